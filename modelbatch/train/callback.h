// What acts on a training while it runs, between its steps.
//
//   class HalveAfterEpoch : public Callback {
//     absl::Status OnEpoch(Trainer* trainer) override {
//       return trainer->Remove(WorstModel(*trainer), "the worse half");
//     }
//   };
//   trainer->AddCallback(&halve);
//
// The trainer makes those of the config itself (train.on_nan,
// train.early_stopping) and calls them before all others.
#ifndef MODELBATCH_TRAIN_CALLBACK_H_
#define MODELBATCH_TRAIN_CALLBACK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/config/experiment_config.h"

namespace modelbatch {

class Trainer;

// An error ends the training: Trainer::Step returns it. A callback may act on
// the trainer (freeze, reset, remove, replace), not call its Step.
//
// A run that resumes ends with the same bits when a callback's decisions are a
// function of the trainer's state; what a callback keeps itself is not in the
// checkpoint.
class Callback {
 public:
  virtual ~Callback() = default;

  // Before the first step of this process, also of one that resumes.
  virtual absl::Status OnTrainStart(Trainer* trainer);
  // After every step: trainer->last_step(). In the last one of an epoch before
  // the evaluation.
  virtual absl::Status OnStep(Trainer* trainer);
  // After the evaluation at an epoch's end: trainer->state().curves.back().
  virtual absl::Status OnEpoch(Trainer* trainer);
  // After the step that finished the training.
  virtual absl::Status OnTrainEnd(Trainer* trainer);

  // Whether steps may be made several at once (train.steps_at_once), and OnStep
  // be called for each afterwards. It then finds trainer->last_step(), state()
  // and experiment() as after that step; but models that were updated in it are
  // further on, and to act on them is FailedPrecondition.
  virtual bool allows_steps_at_once() const { return false; }
};

// Several, called in order; the first error ends the round.
class CallbackPack : public Callback {
 public:
  // Must outlive the pack.
  void Add(Callback* callback) { callbacks_.push_back(callback); }

  absl::Status OnTrainStart(Trainer* trainer) override;
  absl::Status OnStep(Trainer* trainer) override;
  absl::Status OnEpoch(Trainer* trainer) override;
  absl::Status OnTrainEnd(Trainer* trainer) override;
  // All do.
  bool allows_steps_at_once() const override;

 private:
  std::vector<Callback*> callbacks_;
};

// What becomes of a model whose loss or gradient is not finite. The step has
// left its state as it was.
//
//   kFreeze  it takes no further part
//   kReset   it starts again from new initial values, without moments, with the
//            seed DeriveSeed(its seed, number of its resets from 1): the same
//            seed would end in the same place. At most `max_resets` times; then
//            it is frozen
//   kWarn    it goes on without this update; a warning after 1, 2, 4, 8 ...
//            skipped updates
//
// Resets and warnings are logged, kMaxNanMessages in a process at most.
inline constexpr int kMaxNanMessages = 20;

class NaNCallback : public Callback {
 public:
  // max_resets >= 0.
  explicit NaNCallback(NanPolicy policy = NanPolicy::kFreeze,
                       int64_t max_resets = kDefaultMaxResets);

  absl::Status OnStep(Trainer* trainer) override;
  // It acts on models that were not updated.
  bool allows_steps_at_once() const override { return true; }

 private:
  absl::Status Reset(const std::vector<int>& models, Trainer* trainer);
  absl::Status Warn(int model, const std::string& what, Trainer* trainer);
  void LogLimited(const std::string& message);

  NanPolicy policy_;
  int64_t max_resets_;
  int messages_ = 0;
};

// Stops each model by itself: freezes it after `patience` epochs in which its
// metric was not better than its best by more than `min_delta`. NaN is never
// better. A reset or unfreeze begins anew.
class EarlyStopping : public Callback {
 public:
  explicit EarlyStopping(EarlyStoppingConfig config = {});

  // FailedPrecondition: the experiment lacks validation rows, or classes for an
  // accuracy. InvalidArgument: patience below 1, min_delta negative or NaN.
  absl::Status OnTrainStart(Trainer* trainer) override;
  absl::Status OnEpoch(Trainer* trainer) override;
  bool allows_steps_at_once() const override { return true; }

 private:
  // What the curves say of one model so far.
  struct Progress {
    int64_t since = -1;  // the epoch it is counted from
    int64_t next = 0;    // the first epoch not looked at
    bool any = false;    // whether there is a best
    double best = 0;
    int64_t wait = 0;  // epochs without improvement
  };

  double Metric(const Trainer& trainer, int64_t epoch, int model) const;
  bool Improves(double value, const Progress& progress) const;

  EarlyStoppingConfig config_;
  std::vector<Progress> models_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_CALLBACK_H_
