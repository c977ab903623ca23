// Shows that a model of a run is the model it would have been alone.
//
//   MB_ASSIGN_OR_RETURN(VerifyReport report,
//                       VerifyModel(experiment, checkpoint, 17, backend));
//   std::cout << report.text;
//
// The model is trained again by itself, to the checkpoint's step, and compared
// with it bit for bit: weights, the optimizer's state, step count, the curve of
// every epoch, the best epoch with its scores and weights, and its events.
//
// What the config does to a model (train.on_nan, train.early_stopping) training
// alone does again; what the program did is repeated at its steps. A copy is
// verified from the beginning of the first model it comes from. After every
// event the fingerprints of the model must be equal, so that a difference is
// named where it began.
#ifndef MODELBATCH_TRAIN_VERIFY_H_
#define MODELBATCH_TRAIN_VERIFY_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/experiment.h"

namespace modelbatch {

struct VerifyReport {
  int index = 0;  // of the model in the run, as it is now
  bool passed = false;
  // What was compared, or the first difference: the event and its field; or the
  // tensor, element, both values in hex and decimal, how many elements differ
  // and by how much at most.
  std::string text;
};

// `experiment` is that of the config, before all events. NotFound when the run
// has no model `id` (any more). For a backend that promises equal
// bits (the feature bitwise_independence); for others: verify_tolerance.h.
absl::StatusOr<VerifyReport> VerifyModel(const Experiment& experiment,
                                         const Checkpoint& checkpoint,
                                         int64_t id, Backend* backend);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_VERIFY_H_
