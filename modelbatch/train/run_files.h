// The files that a run ends with, or is interrupted with (run_folder.h).
#ifndef MODELBATCH_TRAIN_RUN_FILES_H_
#define MODELBATCH_TRAIN_RUN_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// Results, curves, folds, models, the summary. `experiment` is as events have
// changed it.
absl::Status WriteRunFiles(const RunFolder& folder,
                           const Experiment& experiment,
                           const TrainState& state, const RunInfo& info,
                           const SessionStats& stats, const RunTimes& times);

// Now, in RFC 3339.
std::string TimeNow();

// The state without the weights.
TrainState WithoutWeights(const TrainState& state);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_FILES_H_
