// What the command prints about an experiment and its outcome.
#ifndef MODELBATCH_CLI_DESCRIBE_H_
#define MODELBATCH_CLI_DESCRIBE_H_

#include <string>

#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// "model 17 (lr 0.001, out_features 64)"
std::string DescribeModel(const Experiment& experiment, int model);

// Two lines: the population and its data; backend and device.
std::string DescribeExperiment(const Experiment& experiment,
                               const RunInfo& info);

// With data.folds: the settings, each with mean and standard deviation over its
// folds, as Leaderboard shows models. Else empty.
std::string FoldsTable(const Experiment& experiment, const TrainState& state);

// "Best setting: 6 (lr 0.01): ..." of a run with data.folds; else empty.
std::string BestSetting(const Experiment& experiment, const TrainState& state);

// The ten best and the three worst models in aligned columns, then those that
// were frozen, by name.
std::string Leaderboard(const Experiment& experiment, const TrainState& state);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_DESCRIBE_H_
