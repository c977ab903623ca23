// The kernels' sources as host C++.
#ifndef BACKENDS_CUDA_EMULATOR_EMULATED_KERNELS_H_
#define BACKENDS_CUDA_EMULATOR_EMULATED_KERNELS_H_

#include "backends/cuda/kernels/kernels.h"

namespace modelbatch::cuda::emulator {

// Kernel::function is a `void (*)(const void* args)` that runs one thread.
const Kernels& EmulatedKernels();

}  // namespace modelbatch::cuda::emulator

#endif  // BACKENDS_CUDA_EMULATOR_EMULATED_KERNELS_H_
