#include "backends/cuda/cuda_plugin.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/runtime_gpu.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {
namespace {

// Below the cpu backend's 10.
constexpr int kScore = 5;
constexpr char kUntried[] =
    "tried on an emulator only, never on a device: chosen by name, not by "
    "\"auto\"";

}  // namespace

ProbeResult ProbeCuda() { return ProbeCuda(ProbeDevices()); }

ProbeResult ProbeCuda(const DeviceReport& report) {
  if (report.devices.empty()) return {0, "", report.reason};
  return {kScore, Describe(report.devices.front()), kUntried};
}

absl::StatusOr<std::unique_ptr<Backend>> CreateCuda(const Attributes& options) {
  return CreateCuda(options, ProbeDevices());
}

absl::StatusOr<std::unique_ptr<Backend>> CreateCuda(
    const Attributes& options, const DeviceReport& report) {
  MB_RETURN_IF_ERROR(AttributeReader("backend cuda", options).Finish());
  if (report.devices.empty()) {
    return absl::UnavailableError(
        absl::StrCat("backend cuda: ", report.reason));
  }
  const int ordinal = report.devices.front().ordinal;
  return std::unique_ptr<Backend>(
      std::make_unique<CudaBackend>([ordinal] { return OpenGpu(ordinal); }));
}

}  // namespace modelbatch::cuda
