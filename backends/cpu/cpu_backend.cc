#include "backends/cpu/cpu_backend.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/cpu/kernels.h"
#include "backends/grouped/dataset.h"
#include "backends/grouped/plan.h"
#include "backends/grouped/session.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cpu {
namespace {

// More than any machine has CPUs; refuses typing errors.
constexpr int64_t kMaxThreads = 1024;

}  // namespace

ProbeResult ProbeCpu() {
  // 10: runs everywhere; a device with kernels of its own scores higher.
  return {10,
          absl::StrCat(AvailableCpus(), " threads, ", BestKernels().name,
                       " kernels"),
          "runs on every CPU"};
}

absl::StatusOr<std::unique_ptr<Backend>> CpuBackend::Create(
    const Attributes& options) {
  return CreateWith(options, {});
}

absl::StatusOr<std::unique_ptr<Backend>> CpuBackend::CreateWith(
    const Attributes& options, CpuExecutor::Options executor_options) {
  AttributeReader reader("backend cpu", options);
  MB_ASSIGN_OR_RETURN(int64_t threads, reader.Int("threads", 0));
  MB_ASSIGN_OR_RETURN(const int64_t per_model,
                      reader.Int("threads_per_model", 0));
  MB_ASSIGN_OR_RETURN(const std::string kernels,
                      reader.String("kernels", "best"));
  MB_RETURN_IF_ERROR(reader.Finish());
  if (threads < 0 || threads > kMaxThreads) {
    return reader.Error(absl::StrCat(
        "threads is ", threads, ", expected 0 (all CPUs) to ", kMaxThreads));
  }
  if (threads == 0) threads = AvailableCpus();
  if (per_model < 0 || per_model > kMaxThreads) {
    return reader.Error(absl::StrCat("threads_per_model is ", per_model,
                                     ", expected 0 (as many as there are) to ",
                                     kMaxThreads));
  }
  executor_options.threads_per_model = static_cast<int>(per_model);
  executor_options.kernels =
      kernels == "best" ? &BestKernels() : FindKernels(kernels.c_str());
  if (executor_options.kernels == nullptr) {
    return reader.Error(absl::StrCat("kernels \"", kernels,
                                     "\" cannot run here, expected \"best\", "
                                     "\"avx512\", \"avx2\" or \"generic\""));
  }
  auto backend = std::unique_ptr<CpuBackend>(new CpuBackend);
  backend->executor_options_ = executor_options;
  backend->pool_ = std::make_shared<ThreadPool>(static_cast<int>(threads));
  return std::unique_ptr<Backend>(std::move(backend));
}

Capabilities CpuBackend::capabilities() const {
  return {grouped::PlannedOperators(),
          grouped::PlannedLosses(),
          grouped::GroupedOptimizers(),
          {"fp32"},
          {"bitwise_independence", "mixed_widths", "ragged_rows", "gradients",
           "gradient_clipping", "tuning"}};
}

absl::StatusOr<std::unique_ptr<Session>> CpuBackend::Compile(
    const CompileRequest& request) {
  MB_ASSIGN_OR_RETURN(grouped::Plan built, grouped::BuildPlan(request));
  auto plan = std::make_shared<const grouped::Plan>(std::move(built));
  MB_ASSIGN_OR_RETURN(std::unique_ptr<CpuExecutor> executor,
                      CpuExecutor::Create(plan, pool_, executor_options_));
  return grouped::GroupedSession::Create(std::move(plan), std::move(executor));
}

absl::StatusOr<std::unique_ptr<Dataset>> CpuBackend::CreateDataset(
    Tensor features, Tensor targets) {
  MB_ASSIGN_OR_RETURN(
      std::unique_ptr<grouped::HostDataset> dataset,
      grouped::HostDataset::Create(std::move(features), std::move(targets)));
  return std::unique_ptr<Dataset>(std::move(dataset));
}

}  // namespace modelbatch::cpu
