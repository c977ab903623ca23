#include "modelbatch/train/confusion.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/evaluate.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/train/best_models.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Of one pass of a model through the rows.
constexpr int64_t kMaxRowsAtOnce = 256;

// The lines of some models.
absl::Status AddModels(const Experiment& experiment, const TrainState& state,
                       const std::vector<int>& models, int64_t classes,
                       const Dataset& dataset, Backend* backend,
                       std::string* out) {
  MB_ASSIGN_OR_RETURN(
      const std::unique_ptr<ModelBatch> batch,
      BatchOfBestModels(experiment, state, models, backend, kMaxRowsAtOnce));
  MB_ASSIGN_OR_RETURN(const Evaluation evaluation,
                      Evaluate(batch.get(), dataset, experiment.data->targets,
                               RowSet{experiment.split.test, {}}));
  for (size_t i = 0; i < models.size(); ++i) {
    const Tensor& confusion = evaluation.classification[i].confusion;
    const int64_t own = confusion.shape()[0];
    const int64_t* row = confusion.data<int64_t>();
    const int64_t id = experiment.population.models[models[i]].id;
    for (int64_t label = 0; label < own; ++label, row += own) {
      absl::StrAppend(out, id, ",", label);
      for (int64_t c = 0; c < own; ++c) absl::StrAppend(out, ",", row[c]);
      out->append(static_cast<size_t>(classes - own), ',');
      out->push_back('\n');
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ConfusionCsv(const Experiment& experiment,
                                         const TrainState& state,
                                         const Dataset& dataset,
                                         Backend* backend, int models_at_once) {
  std::string out = "model,label";
  // The last layer's width may differ between models.
  int64_t classes = 0;
  for (const Layout& layout : experiment.population.layouts) {
    classes = std::max(classes, NumElements(layout.output()));
  }
  for (int64_t c = 0; c < classes; ++c) {
    absl::StrAppend(&out, ",predicted_", c);
  }
  out.push_back('\n');
  std::vector<int> models;
  for (int i = 0; i < experiment.population.size(); ++i) {
    if (state.models[i].best_epoch > 0) models.push_back(i);
  }
  if (models.empty()) return out;
  const int at_once =
      models_at_once > 0 ? models_at_once : static_cast<int>(models.size());
  for (size_t begin = 0; begin < models.size(); begin += at_once) {
    const std::vector<int> some(
        models.begin() + begin,
        models.begin() + std::min(models.size(), begin + at_once));
    MB_RETURN_IF_ERROR(
        AddModels(experiment, state, some, classes, dataset, backend, &out));
  }
  return out;
}

}  // namespace modelbatch
