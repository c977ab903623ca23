#include "backends/cuda/kernels/device_kernels.h"
#include "backends/cuda/kernels/families.h"

namespace modelbatch::cuda {

const Kernels& DeviceKernels() {
  static const Kernels kKernels = MakeKernels();
  return kKernels;
}

}  // namespace modelbatch::cuda
