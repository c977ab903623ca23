// A callback for tests that does what a list says, step by step.
#ifndef MODELBATCH_TRAIN_SCRIPTED_CALLBACK_H_
#define MODELBATCH_TRAIN_SCRIPTED_CALLBACK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "modelbatch/train/callback.h"
#include "modelbatch/train/trainer.h"

namespace modelbatch {

class ScriptedCallback : public Callback {
 public:
  using Action = std::function<absl::Status(Trainer*)>;

  // After step `step`; of an epoch's last one, before the evaluation.
  void AtStep(int64_t step, Action action) {
    at_step_[step] = std::move(action);
  }
  // After the evaluation of epoch `epoch`, counted from 1.
  void AtEpoch(int64_t epoch, Action action) {
    at_epoch_[epoch] = std::move(action);
  }

  absl::Status OnStep(Trainer* trainer) override;
  absl::Status OnEpoch(Trainer* trainer) override;

 private:
  std::map<int64_t, Action> at_step_;
  std::map<int64_t, Action> at_epoch_;
};

// For the eight models and 15 steps of TestExperiment, something of every kind:
// in the end indices 0 to 7 have the models 0 (frozen), 9 (a copy of a copy),
// 2 (reset), 8 (removed), 4 (frozen for a while), 11 (a copy of 0), 10 (a copy
// of 6 in its own place) and 7, which nothing was done to.
ScriptedCallback EventfulScript();

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_SCRIPTED_CALLBACK_H_
