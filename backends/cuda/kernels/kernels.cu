// The kernels, compiled for CUDA devices.
#include "backends/cuda/kernels/device_kernels.h"

#define MODELBATCH_CUDA_FUNCTION(args, kernel) \
  reinterpret_cast<const void*>(static_cast<void (*)(args)>(kernel))
#include "backends/cuda/kernels/table-inl.h"

namespace modelbatch::cuda {

const Kernels& DeviceKernels() {
  static const Kernels kKernels = MakeKernels();
  return kKernels;
}

}  // namespace modelbatch::cuda
