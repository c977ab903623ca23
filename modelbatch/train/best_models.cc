#include "modelbatch/train/best_models.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/train/results.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

absl::Status CheckHasWeights(const Experiment& experiment,
                             const TrainState& state, int model) {
  const ModelRecord& record = state.models[model];
  if (record.best_epoch > 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "model ", experiment.population.models[model].id,
      " has no weights to predict with: ",
      record.frozen() ? StatusOf(record) : "it has finished no epoch"));
}

absl::StatusOr<std::unique_ptr<ModelBatch>> BatchOfBestModels(
    const Experiment& experiment, const TrainState& state,
    const std::vector<int>& models, Backend* backend, int64_t max_rows) {
  std::vector<ModelInstance> instances;
  for (const int model : models) {
    MB_RETURN_IF_ERROR(CheckHasWeights(experiment, state, model));
    instances.push_back(experiment.population.models[model]);
  }
  MB_ASSIGN_OR_RETURN(
      std::unique_ptr<ModelBatch> batch,
      ModelBatch::Create(backend, std::move(instances), experiment.config.loss,
                         max_rows,
                         experiment.config.backend.compile_options()));
  for (size_t i = 0; i < models.size(); ++i) {
    ModelState of_best;
    for (const auto& [name, value] : state.models[models[i]].best) {
      of_best.slots["param"].emplace(name, value.Borrow());
    }
    MB_RETURN_IF_ERROR(batch->LoadModelState(static_cast<int>(i), of_best));
  }
  return batch;
}

}  // namespace modelbatch
