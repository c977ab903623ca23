#ifndef MODELBATCH_THIRD_PARTY_CUDA_SMOKE_KERNEL_H_
#define MODELBATCH_THIRD_PARTY_CUDA_SMOKE_KERNEL_H_

#include <cuda_runtime_api.h>

namespace modelbatch {

// Adds one to each of `size` numbers on the host, by way of the device.
cudaError_t AddOneOnDevice(float* values, int size);

}  // namespace modelbatch

#endif  // MODELBATCH_THIRD_PARTY_CUDA_SMOKE_KERNEL_H_
