// The cuda backend. It finds the devices; it cannot train yet: its kernels are
// not written, so it scores 0 everywhere and says so.
#ifndef BACKENDS_CUDA_CUDA_BACKEND_H_
#define BACKENDS_CUDA_CUDA_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/cuda/device.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/probe.h"

namespace modelbatch::cuda {

// What this machine's devices mean for the backend.
ProbeResult ProbeCuda();
ProbeResult ProbeCuda(const DeviceReport& report);

// Unavailable with the reason where there is no device, else
// FailedPrecondition: nothing can be trained yet, which is what a score of 0
// promises. Has no options.
absl::StatusOr<std::unique_ptr<Backend>> CreateCuda(const Attributes& options);
absl::StatusOr<std::unique_ptr<Backend>> CreateCuda(const Attributes& options,
                                                    const DeviceReport& report);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_CUDA_BACKEND_H_
