// A run whose models are not all trained together (train.models_at_once): wave
// after wave, each with a checkpoint of its own, joined at the end to the files
// that one batch would have left, to the byte (models are independent).
#ifndef MODELBATCH_TRAIN_RUN_WAVES_H_
#define MODELBATCH_TRAIN_RUN_WAVES_H_

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_options.h"

namespace modelbatch {

// As RunTraining. With "auto" a wave that does not fit (ResourceExhausted
// before its first step, be it the host's memory) is tried with half of its
// models. Unimplemented: a callback of the program, which would see one wave
// only.
absl::StatusOr<RunResult> RunWaves(const Experiment& experiment,
                                   Backend* backend, const RunFolder& folder,
                                   const RunOptions& options,
                                   TrainObserver* observer);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_WAVES_H_
