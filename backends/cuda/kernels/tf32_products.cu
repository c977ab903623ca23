// The products of linear layers on tensor cores, in tf32.
#include "backends/cuda/kernels/families.h"
#include "backends/cuda/kernels/tensor_products-inl.h"

namespace modelbatch::cuda {

void AddTf32Products(Kernels& kernels) {
  FillTensorProducts<Precision::kTf32>(kernels);
}

}  // namespace modelbatch::cuda
