#include "backends/cuda/code_check.h"

namespace modelbatch::cuda {
namespace {

__global__ void Nothing() {}

}  // namespace

cudaError_t CheckCodeForCurrentDevice() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, Nothing);
}

}  // namespace modelbatch::cuda
