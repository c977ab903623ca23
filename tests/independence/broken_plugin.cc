// The cpu backend with its contract broken on purpose: it sums products in an
// order that depends on the number of models. What claims to notice such a
// thing is tried on it.
#include "backends/cpu/cpu_backend.h"
#include "modelbatch/plugin/sdk.h"
#include "modelbatch/util/version.h"

namespace {

absl::StatusOr<std::unique_ptr<modelbatch::Backend>> Create(
    const modelbatch::Attributes& options) {
  modelbatch::cpu::CpuExecutor::Options broken;
  broken.break_contract = true;
  return modelbatch::cpu::CpuBackend::CreateWith(options, broken);
}

}  // namespace

MODELBATCH_PLUGIN("broken", modelbatch::kVersion, modelbatch::cpu::ProbeCpu,
                  Create)
