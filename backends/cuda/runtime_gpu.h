// A CUDA device through the CUDA runtime, with a stream of its own.
#ifndef BACKENDS_CUDA_RUNTIME_GPU_H_
#define BACKENDS_CUDA_RUNTIME_GPU_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/cuda/gpu.h"

namespace modelbatch::cuda {

// `ordinal` as Device (device.h) has it. Unavailable where there is no such
// device. May be used from any thread, by one at a time.
absl::StatusOr<std::unique_ptr<Gpu>> OpenGpu(int ordinal);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_RUNTIME_GPU_H_
