// Whether this library has code for a device. Free of other headers, so that
// nvcc compiles the other side of it alone.
#ifndef BACKENDS_CUDA_CODE_CHECK_H_
#define BACKENDS_CUDA_CODE_CHECK_H_

#include <cuda_runtime_api.h>

namespace modelbatch::cuda {

// cudaSuccess, or cudaErrorNoKernelImageForDevice for a device older than the
// architectures that the kernels are compiled for. Asks the current device and
// makes its context.
cudaError_t CheckCodeForCurrentDevice();

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_CODE_CHECK_H_
