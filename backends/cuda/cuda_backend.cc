#include "backends/cuda/cuda_backend.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {
namespace {

constexpr char kUnfinished[] =
    "training is not implemented in this version; use \"cpu\"";

}  // namespace

ProbeResult ProbeCuda() { return ProbeCuda(ProbeDevices()); }

ProbeResult ProbeCuda(const DeviceReport& report) {
  if (report.devices.empty()) return {0, "", report.reason};
  return {0, Describe(report.devices.front()), kUnfinished};
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
  return absl::FailedPreconditionError(
      absl::StrCat("backend cuda: found ", Describe(report.devices.front()),
                   ", but ", kUnfinished));
}

}  // namespace modelbatch::cuda
