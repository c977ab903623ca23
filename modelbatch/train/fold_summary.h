// What cross-validation says of each setting of the hyper-parameters: mean and
// standard deviation over its folds.
//
//   for (const SettingSummary& setting : SummarizeFolds(experiment, state)) {
//     if (setting.rank == 1) Use(setting.models);
//   }
#ifndef MODELBATCH_TRAIN_FOLD_SUMMARY_H_
#define MODELBATCH_TRAIN_FOLD_SUMMARY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "modelbatch/train/experiment.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// Over the folds that have a best epoch: mean = sum x / n, deviation =
// sqrt(sum (x - mean)^2 / n), as numpy.mean and numpy.std find them. NaN where
// there is nothing to take them of.
struct OverFolds {
  double mean = 0;
  double deviation = 0;
};

struct SettingSummary {
  int64_t setting = 0;
  // Indices of its models that have a best epoch, by fold.
  std::vector<int> models;
  // From 1, by the mean of what Ranking goes by; settings that lack folds come
  // after those that have all.
  int rank = 0;
  OverFolds validation_loss;
  OverFolds validation_accuracy;
  OverFolds test_loss;
  OverFolds test_accuracy;
};

// All settings, in their order; empty without data.folds. Copies that came in
// the place of models are of none.
std::vector<SettingSummary> SummarizeFolds(const Experiment& experiment,
                                           const TrainState& state);

// One line a setting: setting,<swept fields>,rank,folds,validation_loss_mean,
// validation_loss_std,... of the others. `folds`: how many have a best epoch.
std::string FoldsCsv(const Experiment& experiment, const TrainState& state);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_FOLD_SUMMARY_H_
