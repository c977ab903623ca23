// The whole state of a run in one safetensors file: enough to continue with the
// same bits.
//
//   model.<id>.<slot>.<parameter>  "param" and the optimizer's state
//   model.<id>.step                updates made, int64
//   model.<id>.schedule            LrScheduleState::ToNumbers(), float64; where
//                                  there is a schedule
//   best.<id>.<parameter>          weights of the best epoch
//   run.*                          an entry a model: see TrainState
//   run.curves.*                   [epochs, models]
//   run.input_shape                of one row, as the models see it
//   run.validation_rows            of each fold, those that count
//
// Metadata: position, events and names of features (JSON arrays), who made it,
// fingerprints of config, data and initial weights; a checksum of all of it.
// The same state gives the same bytes. Of a model that was removed only the
// record and the best epoch's weights are left.
#ifndef MODELBATCH_TRAIN_CHECKPOINT_H_
#define MODELBATCH_TRAIN_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/train_state.h"
#include "modelbatch/train/trainer.h"

namespace modelbatch {

struct Checkpoint {
  TrainState state;
  std::vector<ModelState> models;
  std::vector<int64_t> ids;  // of the models
  Shape input_shape;         // of one row, as the models see it
  // Of each fold, the validation rows that count; without folds one number.
  std::vector<int64_t> validation_rows;
  std::vector<std::string> feature_names;  // of the data's header, if any
  RunInfo info;                            // backend, build, version, machine
  uint64_t config_fingerprint = 0;
  uint64_t data_fingerprint = 0;
  uint64_t initial_fingerprint = 0;
};

// Atomic. FailedPrecondition in a callback's OnStep at the end of an epoch,
// which is not evaluated yet.
absl::Status WriteCheckpoint(const std::string& path, Trainer* trainer,
                             const RunInfo& info);

// The same of one that was read, or put together; `experiment` is that of
// before all events. FailedPrecondition as of CheckBelongs.
absl::Status WriteCheckpoint(const std::string& path,
                             const Experiment& experiment,
                             const Checkpoint& checkpoint);

// Names the file and what is wrong with it; FailedPrecondition: it is of
// another version's format. Whether its tensors fit the models is checked when
// they are loaded.
absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path);

// FailedPrecondition unless the checkpoint belongs to this experiment (as it
// was before all events): says whether models, config or data differ.
// InvalidArgument names an event that cannot have happened.
absl::Status CheckBelongs(const Checkpoint& checkpoint,
                          const Experiment& experiment);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_CHECKPOINT_H_
