// An epoch of a ModelBatch in one call.
//
//   MB_ASSIGN_OR_RETURN(auto batches,
//                       PerModelBatches::Shared(batch->num_models(), rows, 64,
//                                               /*seed=*/1));
//   for (int64_t epoch = 0; epoch < 20; ++epoch) {
//     MB_ASSIGN_OR_RETURN(
//         EpochResult result,
//         TrainOneEpoch(batch.get(), *dataset, &batches, epoch, optimizer));
//   }
//
// Every model ends with the bits it would have had alone, whatever the others'
// rows and batch sizes.
#ifndef MODELBATCH_BATCH_TRAIN_ONE_EPOCH_H_
#define MODELBATCH_BATCH_TRAIN_ONE_EPOCH_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/routing/per_model_batches.h"

namespace modelbatch {

// A model that was left out of updates, as its loss or gradient was not finite:
// it has the weights of before, and goes on.
struct SkippedUpdates {
  int model = 0;
  int64_t count = 0;                          // in this epoch
  int64_t first_step = 0;                     // of the epoch, from 0
  Outcome outcome = Outcome::kNonFiniteLoss;  // of that step
};

struct EpochResult {
  // Of each model, the mean of its batches' losses before their updates,
  // weighted by their rows; NaN when it made no update.
  std::vector<double> losses;
  std::vector<int64_t> rows;            // of these batches
  std::vector<int64_t> updates;         // that each model made
  std::vector<SkippedUpdates> skipped;  // by model; empty: all is well
};

// What the caller does between steps, by the step's number in the epoch from 0.
// An error ends the epoch and is returned.
struct EpochHooks {
  // The place to set learning rates (Optimizer::Set).
  std::function<absl::Status(int64_t step)> before_step;
  // batch->last_step() says what was done. Not after a step in which no active
  // model has rows: none is made.
  std::function<absl::Status(int64_t step)> after_step;
};

// Trains the active models on the batches of epoch `epoch`, from 0.
// InvalidArgument: batches for another number of models, a negative epoch; else
// what ModelBatch::TrainStep says. After an error the steps before stay made.
absl::StatusOr<EpochResult> TrainOneEpoch(
    ModelBatch* batch, const Dataset& dataset, PerModelBatches* batches,
    int64_t epoch, const Optimizer& optimizer, const EpochHooks& hooks = {});

}  // namespace modelbatch

#endif  // MODELBATCH_BATCH_TRAIN_ONE_EPOCH_H_
