#include "modelbatch/train/confusion.h"

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

}  // namespace

absl::StatusOr<std::string> ConfusionCsv(const Experiment& experiment,
                                         const TrainState& state,
                                         const Dataset& dataset,
                                         Backend* backend) {
  std::string out = "model,label";
  const int64_t classes =
      NumElements(experiment.population.layouts[0].output());
  for (int64_t c = 0; c < classes; ++c) {
    absl::StrAppend(&out, ",predicted_", c);
  }
  out.push_back('\n');
  std::vector<int> models;
  for (int i = 0; i < experiment.population.size(); ++i) {
    if (state.models[i].best_epoch > 0) models.push_back(i);
  }
  if (models.empty()) return out;
  MB_ASSIGN_OR_RETURN(
      const std::unique_ptr<ModelBatch> batch,
      BatchOfBestModels(experiment, state, models, backend, kMaxRowsAtOnce));
  MB_ASSIGN_OR_RETURN(const Evaluation evaluation,
                      Evaluate(batch.get(), dataset, experiment.data->targets,
                               RowSet{experiment.split.test, {}}));
  for (size_t i = 0; i < models.size(); ++i) {
    const int64_t* row = evaluation.classification[i].confusion.data<int64_t>();
    const int64_t id = experiment.population.models[models[i]].id;
    for (int64_t label = 0; label < classes; ++label, row += classes) {
      absl::StrAppend(&out, id, ",", label);
      for (int64_t c = 0; c < classes; ++c) absl::StrAppend(&out, ",", row[c]);
      out.push_back('\n');
    }
  }
  return out;
}

}  // namespace modelbatch
