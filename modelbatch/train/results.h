// What a run found, as files and as a ranking.
#ifndef MODELBATCH_TRAIN_RESULTS_H_
#define MODELBATCH_TRAIN_RESULTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// Model indices, the best first: by the validation score of their best epoch
// (train.select; the loss decides between equal accuracies), then by id. Those
// without a best epoch come last.
std::vector<int> Ranking(const Experiment& experiment, const TrainState& state);

// Whether Ranking goes by accuracy, and by loss only among equals.
bool RanksByAccuracy(const Experiment& experiment);

// "ok", "frozen at step 17: non-finite loss", "stopped at step 300: ..."
// (early) or "removed at step 40: ...".
std::string StatusOf(const ModelRecord& record);

// correct / rows, NaN when there is none.
double Accuracy(const Score& score, size_t rows);

// The shortest text that reads back as the same number; empty for NaN.
std::string NumberText(double value);

// Quoted where it has to be.
std::string CsvField(const std::string& text);

// One line a model: model,seed,<swept fields>,rank,status,best_epoch,
// validation_loss,validation_accuracy,test_loss,test_accuracy.
std::string ResultsCsv(const Experiment& experiment, const TrainState& state);

// One line an epoch and model that was there then: epoch,model,train_loss,
// validation_loss,validation_accuracy.
std::string CurvesCsv(const Experiment& experiment, const TrainState& state);

// How a run went, for summary.json.
struct RunTimes {
  std::string started;  // RFC 3339, of this process
  std::string finished;
  double seconds = 0;      // training in this process
  int64_t model_rows = 0;  // trained on in them
  bool resumed = false;
};

std::string SummaryJson(const Experiment& experiment, const TrainState& state,
                        const RunInfo& info, const SessionStats& stats,
                        const RunTimes& times);

// What a file of one model's weights says of them: what selected them, how the
// model ended, and that the names are those of PyTorch's state_dict.
std::map<std::string, std::string> WeightsMetadata(const Experiment& experiment,
                                                   const TrainState& state,
                                                   int model);

// models/model_<id>.safetensors in `folder`: the weights of each model's best
// epoch, with that metadata. Those of models that were replaced
// since are removed.
absl::Status WriteModels(const Experiment& experiment, const TrainState& state,
                         const std::string& folder);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RESULTS_H_
