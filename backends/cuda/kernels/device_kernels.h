// The kernels for CUDA devices. Free of other headers, so that nvcc compiles
// the other side of it alone.
#ifndef BACKENDS_CUDA_KERNELS_DEVICE_KERNELS_H_
#define BACKENDS_CUDA_KERNELS_DEVICE_KERNELS_H_

#include "backends/cuda/kernels/kernels.h"

namespace modelbatch::cuda {

const Kernels& DeviceKernels();

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_DEVICE_KERNELS_H_
