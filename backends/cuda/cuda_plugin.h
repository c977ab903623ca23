// What the cuda plugin exports: whether this machine has a device, and a
// backend on the first one.
#ifndef BACKENDS_CUDA_CUDA_PLUGIN_H_
#define BACKENDS_CUDA_CUDA_PLUGIN_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/cuda/device.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/probe.h"

namespace modelbatch::cuda {

// What this machine's devices mean for the backend. Where there is one, the
// score is below the cpu backend's, so that "auto" does not choose it: it has
// only been tried on an emulator so far.
ProbeResult ProbeCuda();
ProbeResult ProbeCuda(const DeviceReport& report);

// Unavailable with the reason where there is no device. Has no options.
absl::StatusOr<std::unique_ptr<Backend>> CreateCuda(const Attributes& options);
absl::StatusOr<std::unique_ptr<Backend>> CreateCuda(const Attributes& options,
                                                    const DeviceReport& report);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_CUDA_PLUGIN_H_
