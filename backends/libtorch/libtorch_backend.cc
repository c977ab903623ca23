#include "backends/libtorch/libtorch_backend.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/grouped/dataset.h"
#include "backends/grouped/plan.h"
#include "backends/grouped/session.h"
#include "backends/libtorch/libtorch_executor.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::libtorch {
namespace {

// More than any machine has CPUs; refuses typing errors.
constexpr int64_t kMaxThreads = 1024;

}  // namespace

ProbeResult ProbeLibTorch() {
  // Below cpu's 10: on a CPU the grouped kernels are faster.
  return {5, absl::StrCat(AvailableCpus(), " threads"),
          "runs on every CPU, and on CUDA devices when asked to"};
}

absl::StatusOr<std::unique_ptr<Backend>> LibTorchBackend::Create(
    const Attributes& options) {
  AttributeReader reader("backend libtorch", options);
  MB_ASSIGN_OR_RETURN(int64_t threads, reader.Int("threads", 0));
  MB_ASSIGN_OR_RETURN(const std::string device, reader.String("device", "cpu"));
  MB_RETURN_IF_ERROR(reader.Finish());
  if (threads < 0 || threads > kMaxThreads) {
    return reader.Error(absl::StrCat(
        "threads is ", threads, ", expected 0 (all CPUs) to ", kMaxThreads));
  }
  auto backend = std::unique_ptr<LibTorchBackend>(new LibTorchBackend);
  absl::StatusOr<DeviceChoice> choice = ParseDevice(device);
  if (!choice.ok()) return reader.Error(std::string(choice.status().message()));
  MB_RETURN_IF_ERROR(PrepareDevice(*choice));
  backend->device_ = *choice;
  if (threads == 0) threads = AvailableCpus();
  backend->pool_ = std::make_shared<ThreadPool>(static_cast<int>(threads));
  return std::unique_ptr<Backend>(std::move(backend));
}

Capabilities LibTorchBackend::capabilities() const {
  return {grouped::PlannedOperators(),
          grouped::PlannedLosses(),
          grouped::GroupedOptimizers(),
          {"fp32"},
          {"mixed_widths", "ragged_rows", "gradients", "gradient_clipping"}};
}

absl::StatusOr<std::unique_ptr<Session>> LibTorchBackend::Compile(
    const CompileRequest& request) {
  MB_ASSIGN_OR_RETURN(grouped::Plan built, grouped::BuildPlan(request));
  auto plan = std::make_shared<const grouped::Plan>(std::move(built));
  MB_ASSIGN_OR_RETURN(std::unique_ptr<LibTorchExecutor> executor,
                      LibTorchExecutor::Create(plan, pool_, device_));
  return grouped::GroupedSession::Create(std::move(plan), std::move(executor));
}

absl::StatusOr<std::unique_ptr<Dataset>> LibTorchBackend::CreateDataset(
    Tensor features, Tensor targets) {
  MB_ASSIGN_OR_RETURN(
      std::unique_ptr<grouped::HostDataset> dataset,
      grouped::HostDataset::Create(std::move(features), std::move(targets)));
  return std::unique_ptr<Dataset>(std::move(dataset));
}

}  // namespace modelbatch::libtorch
