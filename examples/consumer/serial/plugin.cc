// The backend "serial": the cpu backend on one thread, for a program that has
// threads of its own.
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cpu/cpu_backend.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/plugin/sdk.h"

namespace {

modelbatch::ProbeResult Probe() {
  modelbatch::ProbeResult result = modelbatch::cpu::ProbeCpu();
  result.device = "1 thread";
  // Below the cpu backend: never chosen without being named.
  result.score = 1;
  return result;
}

absl::StatusOr<std::unique_ptr<modelbatch::Backend>> Create(
    const modelbatch::Attributes& options) {
  if (options.count("threads") > 0) {
    return absl::InvalidArgumentError(
        "option threads: this backend has one thread, expected no such option");
  }
  modelbatch::Attributes all = options;
  all["threads"] = int64_t{1};
  return modelbatch::cpu::CpuBackend::Create(all);
}

}  // namespace

MODELBATCH_PLUGIN("serial", "1.0.0", Probe, Create)
