#include "modelbatch/train/trained_run.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/search/population.h"
#include "modelbatch/tensor/view.h"
#include "modelbatch/train/best_models.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/population_events.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_checkpoint.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Of one pass of a model through the rows.
constexpr int64_t kMaxRowsAtOnce = 256;

absl::Status CheckFinite(const Tensor& outputs, int64_t id, int64_t begin) {
  const float* x = outputs.data<float>();
  for (int64_t i = 0; i < outputs.size(); ++i) {
    if (std::isfinite(x[i])) continue;
    const int64_t columns = outputs.shape()[1];
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", id, " gives ", x[i], " as output ", i % columns, " for row ",
        begin + i / columns,
        " (from 0), expected a finite number: are the features as large as "
        "those it was trained on?"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainedRun> LoadTrainedRun(const RunFolder& folder,
                                          ExperimentConfig config) {
  const auto nothing = [&folder](const std::string& why) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder.path(), ": ", why, ": there are no weights to predict with"));
  };
  if (!folder.HasCheckpoint()) return nothing("the run has no checkpoint yet");
  MB_ASSIGN_OR_RETURN(Checkpoint checkpoint, ReadRunCheckpoint(folder, config));
  TrainedRun run;
  Experiment& experiment = run.experiment;
  MB_ASSIGN_OR_RETURN(experiment.population,
                      ExpandPopulation(config, checkpoint.input_shape));
  experiment.config = std::move(config);
  experiment.data_fingerprint = checkpoint.data_fingerprint;
  experiment.initial_fingerprint = checkpoint.initial_fingerprint;
  MB_RETURN_IF_ERROR(CheckBelongs(checkpoint, experiment));
  for (const int64_t rows : checkpoint.validation_rows) {
    experiment.folds.push_back({nullptr, nullptr, static_cast<size_t>(rows)});
  }
  run.state = std::move(checkpoint.state);
  run.feature_names = std::move(checkpoint.feature_names);
  MB_ASSIGN_OR_RETURN(
      experiment.population,
      PopulationAfter(run.state.events, std::move(experiment.population)));
  for (int model : Ranking(experiment, run.state)) {
    if (run.state.models[model].best_epoch > 0) run.usable.push_back(model);
  }
  if (run.usable.empty()) return nothing("no model has finished an epoch");
  return run;
}

absl::StatusOr<std::unique_ptr<Predictor>> Predictor::Create(
    const TrainedRun& run, const std::vector<int>& models,
    const DataTable& data, Backend* backend) {
  const Experiment& experiment = run.experiment;
  Capabilities capabilities = backend->capabilities();
  // Nothing is trained, and all models see the same rows.
  capabilities.optimizers = {experiment.config.optimizer.kind};
  capabilities.features.push_back("tuning");
  capabilities.features.push_back("ragged_rows");
  MB_RETURN_IF_ERROR(CheckCapabilities(experiment, capabilities,
                                       experiment.config.backend.name));
  auto predictor = std::unique_ptr<Predictor>(new Predictor());
  MB_ASSIGN_OR_RETURN(
      predictor->batch_,
      BatchOfBestModels(experiment, run.state, models, backend,
                        std::clamp<int64_t>(data.rows(), 1, kMaxRowsAtOnce)));
  Shape shape = run.input_shape();
  shape.insert(shape.begin(), data.rows());
  if (data.features.size() != NumElements(shape)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the rows have the shape ",
                     ShapeToString(data.row_shape()), ", expected ",
                     ShapeToString(run.input_shape()), ", the models' input"));
  }
  MB_ASSIGN_OR_RETURN(
      predictor->dataset_,
      backend->CreateDataset(View(data.features, std::move(shape)), Tensor()));
  return predictor;
}

absl::Status Predictor::Predict(int64_t begin, int64_t end,
                                std::vector<Tensor>* outputs) {
  std::vector<int32_t> rows(end - begin);
  std::iota(rows.begin(), rows.end(), static_cast<int32_t>(begin));
  MB_RETURN_IF_ERROR(batch_->Predict(*dataset_, RowSet{rows, {}}, outputs));
  for (int i = 0; i < batch_->num_models(); ++i) {
    MB_RETURN_IF_ERROR(CheckFinite((*outputs)[i], batch_->model(i).id, begin));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
