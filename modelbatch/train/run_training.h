// A whole run: trains, checkpoints, and leaves a folder of results.
//
//   RunOptions options;
//   options.info = info;  // who trains: backend, build, machine
//   MB_ASSIGN_OR_RETURN(RunResult result,
//                       RunTraining(experiment, backend, folder, options,
//                                   &observer));
#ifndef MODELBATCH_TRAIN_RUN_TRAINING_H_
#define MODELBATCH_TRAIN_RUN_TRAINING_H_

#include <atomic>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/search/population.h"
#include "modelbatch/train/callback.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/train_state.h"
#include "modelbatch/train/trainer.h"

namespace modelbatch {

// Told what happens, on the training thread; must be quick.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;

  // Before the first step of this process.
  virtual void OnStart(const Trainer&) {}
  // After each step: trainer.last_step().
  virtual void OnStep(const Trainer&) {}
  virtual void OnCheckpoint(const Trainer&, const std::string& /*path*/) {}
};

struct RunOptions {
  RunInfo info;
  // Continue from the folder's checkpoint, or from the start without one.
  bool resume = false;
  // Even when another backend, build or machine made it.
  bool force = false;
  // Set by a signal handler: finish the step, write a checkpoint and return.
  const std::atomic<bool>* stop = nullptr;
  // The program's own (callback.h); must outlive the call. Null: none.
  Callback* callback = nullptr;
};

struct RunResult {
  bool interrupted = false;
  TrainState state;
  Population population;  // as events have changed it
  SessionStats stats;
  RunTimes times;
};

// FailedPrecondition when the checkpoint to resume from belongs to another
// config, data, backend, build or machine: says what differs; or when another
// process trains in the folder. A new run that the backend refuses leaves no
// folder.
absl::StatusOr<RunResult> RunTraining(const Experiment& experiment,
                                      Backend* backend, const RunFolder& folder,
                                      const RunOptions& options,
                                      TrainObserver* observer);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_TRAINING_H_
