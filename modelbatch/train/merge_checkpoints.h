// Checkpoints of some models each, joined to that of all, and taken apart.
//
//   MB_ASSIGN_OR_RETURN(Checkpoint whole,
//                       MergeCheckpoints(std::move(parts), models, epochs));
//
// Where all parts have ended, the whole is what one batch of all models would
// have left, to the byte.
#ifndef MODELBATCH_TRAIN_MERGE_CHECKPOINTS_H_
#define MODELBATCH_TRAIN_MERGE_CHECKPOINTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/train/checkpoint.h"

namespace modelbatch {

struct CheckpointPart {
  int begin = 0;  // of the models
  Checkpoint checkpoint;
};

// Whether training has nothing left to do.
bool HasEnded(const TrainState& state, int64_t epochs);

// Unimplemented where models were replaced or removed, whose numbers and places
// differ: such a run goes on in one batch only.
absl::Status CheckIsSliceable(const Checkpoint& checkpoint);

// Of `models` models, numbered from 0; the parts are in order and have at least
// one. Models of no part have the records of models that have not begun, and no
// state. While something is missing or goes on, the whole stands where the
// least advanced model is; what others have beyond is in its records, curves
// and events. DataLoss: the parts are of different runs.
absl::StatusOr<Checkpoint> MergeCheckpoints(std::vector<CheckpointPart> parts,
                                            int models, int64_t epochs);

// Of the models [begin, end) of a checkpoint whose models have not been
// replaced.
Checkpoint SliceCheckpoint(Checkpoint whole, int begin, int end);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_MERGE_CHECKPOINTS_H_
