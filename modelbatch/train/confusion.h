// The confusion matrices of a run, for confusion.csv.
#ifndef MODELBATCH_TRAIN_CONFUSION_H_
#define MODELBATCH_TRAIN_CONFUSION_H_

#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// One line a model and class: model,label,predicted_0,predicted_1,...: how many
// test rows with this label the model gives to each class, with the weights of
// its best epoch. Models without one are not there. `dataset` has the
// experiment's data. Of `models_at_once` models at a time; 0: all.
absl::StatusOr<std::string> ConfusionCsv(const Experiment& experiment,
                                         const TrainState& state,
                                         const Dataset& dataset,
                                         Backend* backend,
                                         int models_at_once = 0);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_CONFUSION_H_
