#include "backends/cuda/emulator/emulated_kernels.h"

namespace modelbatch::cuda {
namespace {

template <typename Args, void (*kKernel)(Args)>
void RunThread(const void* args) {
  kKernel(*static_cast<const Args*>(args));
}

}  // namespace
}  // namespace modelbatch::cuda

#define MODELBATCH_CUDA_FUNCTION(args, kernel) \
  reinterpret_cast<const void*>(&RunThread<args, kernel>)
#include "backends/cuda/kernels/table-inl.h"

namespace modelbatch::cuda::emulator {

const Kernels& EmulatedKernels() {
  static const Kernels kKernels = MakeKernels();
  return kKernels;
}

}  // namespace modelbatch::cuda::emulator
