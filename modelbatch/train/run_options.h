// What a run is asked for, and what it says.
#ifndef MODELBATCH_TRAIN_RUN_OPTIONS_H_
#define MODELBATCH_TRAIN_RUN_OPTIONS_H_

#include <atomic>
#include <string>

#include "modelbatch/backend/backend.h"
#include "modelbatch/search/population.h"
#include "modelbatch/train/callback.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/train_state.h"
#include "modelbatch/train/trainer.h"

namespace modelbatch {

// Told what happens, on the training thread; must be quick.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;

  // Before the first step of this process; in waves, of each wave.
  virtual void OnStart(const Trainer&) {}
  // Before OnStart: models [begin, end) of so many are trained now.
  virtual void OnWave(int /*begin*/, int /*end*/, int /*models*/) {}
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
  // Set by a signal handler: finish the step, or those that are made at once,
  // write a checkpoint and return.
  const std::atomic<bool>* stop = nullptr;
  // The program's own (callback.h); must outlive the call. Null: none.
  Callback* callback = nullptr;
};

struct RunResult {
  bool interrupted = false;
  int models_ended = 0;  // that have nothing left to do
  TrainState state;
  Population population;  // as events have changed it
  SessionStats stats;
  RunTimes times;
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_OPTIONS_H_
