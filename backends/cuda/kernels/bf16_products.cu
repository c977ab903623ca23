// The products of linear layers on tensor cores, in bf16.
#include "backends/cuda/kernels/families.h"
#include "backends/cuda/kernels/tensor_products-inl.h"

namespace modelbatch::cuda {

void AddBf16Products(Kernels& kernels) {
  FillTensorProducts<Precision::kBf16>(kernels);
}

}  // namespace modelbatch::cuda
