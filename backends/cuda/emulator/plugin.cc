// The cuda backend on the emulator, as a plugin: the conformance suite, which
// all plugins pass, runs its kernels without a device.
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/emulator/emulated_gpu.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/plugin/sdk.h"
#include "modelbatch/util/status_macros.h"
#include "modelbatch/util/version.h"

namespace modelbatch::cuda::emulator {
namespace {

ProbeResult Probe() { return {1, "emulated", "for tests"}; }

absl::StatusOr<std::unique_ptr<Backend>> Create(const Attributes& options) {
  MB_RETURN_IF_ERROR(
      AttributeReader("backend cuda_emulated", options).Finish());
  RunOptions run;
  run.order = Order::kRandom;
  run.seed = 1;
  return std::unique_ptr<Backend>(std::make_unique<CudaBackend>(
      [run]() -> absl::StatusOr<std::unique_ptr<Gpu>> {
        return std::make_unique<EmulatedGpu>(run);
      }));
}

}  // namespace
}  // namespace modelbatch::cuda::emulator

MODELBATCH_PLUGIN("cuda_emulated", modelbatch::kVersion,
                  modelbatch::cuda::emulator::Probe,
                  modelbatch::cuda::emulator::Create)
