#include "backends/cuda/emulator/emulated_kernels.h"

#include "backends/cuda/kernels/bf16_products.cu"
#include "backends/cuda/kernels/families.h"
#include "backends/cuda/kernels/fp32_products.cu"
#include "backends/cuda/kernels/layers.cu"
#include "backends/cuda/kernels/tf32_products.cu"
#include "backends/cuda/kernels/updates.cu"

namespace modelbatch::cuda::emulator {

const Kernels& EmulatedKernels() {
  static const Kernels kKernels = MakeKernels();
  return kKernels;
}

}  // namespace modelbatch::cuda::emulator
