// A whole run: trains, checkpoints, and leaves a folder of results.
//
//   RunOptions options;
//   options.info = info;  // who trains: backend, build, machine
//   MB_ASSIGN_OR_RETURN(RunResult result,
//                       RunTraining(experiment, backend, folder, options,
//                                   &observer));
#ifndef MODELBATCH_TRAIN_RUN_TRAINING_H_
#define MODELBATCH_TRAIN_RUN_TRAINING_H_

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_options.h"

namespace modelbatch {

// FailedPrecondition when the checkpoint to resume from belongs to another
// config, data, backend, build or machine: says what differs; or when another
// process trains in the folder. A new run that the backend refuses leaves no
// folder, nor one whose first step finds no memory. ResourceExhausted: the
// models do not fit, and train.models_at_once wants them all at once.
absl::StatusOr<RunResult> RunTraining(const Experiment& experiment,
                                      Backend* backend, const RunFolder& folder,
                                      const RunOptions& options,
                                      TrainObserver* observer);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_TRAINING_H_
