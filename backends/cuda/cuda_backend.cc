#include "backends/cuda/cuda_backend.h"

#include <string>
#include <utility>
#include <vector>

#include "backends/cuda/cuda_dataset.h"
#include "backends/cuda/cuda_executor.h"
#include "backends/cuda/kernels/precision.h"
#include "backends/grouped/plan.h"
#include "backends/grouped/session.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {

namespace {

std::vector<std::string> Precisions() {
  return {kPrecisionNames, kPrecisionNames + kNumPrecisions};
}

}  // namespace

Capabilities CudaBackend::capabilities() const {
  return {grouped::PlannedOperators(),
          grouped::PlannedLosses(),
          grouped::GroupedOptimizers(),
          Precisions(),
          {"bitwise_independence", "mixed_widths", "ragged_rows", "gradients",
           "gradient_clipping", "tuning", "train_steps"}};
}

absl::StatusOr<std::unique_ptr<Session>> CudaBackend::Compile(
    const CompileRequest& request) {
  MB_ASSIGN_OR_RETURN(grouped::Plan built,
                      grouped::BuildPlan(request, Precisions()));
  auto plan = std::make_shared<const grouped::Plan>(std::move(built));
  MB_ASSIGN_OR_RETURN(std::unique_ptr<Gpu> gpu, open_());
  MB_ASSIGN_OR_RETURN(std::unique_ptr<CudaExecutor> executor,
                      CudaExecutor::Create(plan, std::move(gpu), updates_));
  return grouped::GroupedSession::Create(std::move(plan), std::move(executor));
}

absl::StatusOr<std::unique_ptr<Dataset>> CudaBackend::CreateDataset(
    Tensor features, Tensor targets) {
  MB_ASSIGN_OR_RETURN(std::unique_ptr<Gpu> gpu, open_());
  MB_ASSIGN_OR_RETURN(std::unique_ptr<CudaDataset> dataset,
                      CudaDataset::Create(std::move(gpu), std::move(features),
                                          std::move(targets)));
  return std::unique_ptr<Dataset>(std::move(dataset));
}

}  // namespace modelbatch::cuda
