// What a run has come to, wherever it lies: in one checkpoint, or in those of
// its waves.
#ifndef MODELBATCH_TRAIN_RUN_CHECKPOINT_H_
#define MODELBATCH_TRAIN_RUN_CHECKPOINT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_folder.h"

namespace modelbatch {

// Of all models. In a run whose waves have not all ended, models of later waves
// have not begun (merge_checkpoints.h); such a checkpoint is to be looked at,
// not to be continued from. NotFound: there is none yet.
absl::StatusOr<Checkpoint> ReadRunCheckpoint(const RunFolder& folder,
                                             const ExperimentConfig& config);

// The checkpoint that a model's state is in, and the experiment of the models
// in it.
struct CheckpointOfModel {
  Experiment experiment;
  Checkpoint checkpoint;
};
// FailedPrecondition: its wave has not begun.
absl::StatusOr<CheckpointOfModel> ReadCheckpointOfModel(
    const RunFolder& folder, const Experiment& experiment, int64_t id);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_CHECKPOINT_H_
