// Trains the population of an experiment step by step, in memory: no files, no
// output.
//
//   MB_ASSIGN_OR_RETURN(auto trainer, Trainer::Create(&experiment, backend));
//   while (!trainer->finished()) MB_RETURN_IF_ERROR(trainer->Step());
//
// Steps() makes several in one call of the backend, with what as many Step()
// would give.
//
// Models may have batch sizes of their own, and with data.folds rows of their
// own: one that is through with its epoch waits for the others. After the last
// step of an epoch every model is evaluated on the validation rows, with folds
// each on its own. A model that does better than before (train.select) keeps a
// copy of its weights and is evaluated on the test rows.
//
// A learning-rate schedule (optimizer.schedule) ticks for each model by itself:
// after its updates, or after epochs in which it made one, before the
// callbacks.
//
// Single models are frozen, reset, removed or replaced between any two steps,
// by the config (train.on_nan, train.early_stopping), by callbacks
// (callback.h) or by the program. The others end with the bits they would have
// had. Every such event is part of the state.
#ifndef MODELBATCH_TRAIN_TRAINER_H_
#define MODELBATCH_TRAIN_TRAINER_H_

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/optim/lr_schedule.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/routing/per_model_batches.h"
#include "modelbatch/routing/routed_rows.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/callback.h"
#include "modelbatch/train/event.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// What the last step did.
struct StepReport {
  bool epoch_finished = false;
  // Losses and outcomes; empty: no model that is not frozen had rows.
  StepResult by_model;
  // Models whose loss or gradient was not finite; they were not updated.
  std::vector<int> non_finite;
  std::vector<int> frozen;    // models frozen, stopped or removed since
  std::vector<int> improved;  // models that reached their best epoch
  int64_t model_rows = 0;     // rows trained on, over all models
  // Over the models that stepped; NaN when none did.
  float min_loss = std::numeric_limits<float>::quiet_NaN();
  float max_loss = std::numeric_limits<float>::quiet_NaN();
};

struct ResetRequest {
  int model = 0;
  uint64_t seed = 0;
  std::string reason;
};

class Trainer {
 public:
  // `backend` must outlive the trainer.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(
      const Experiment* experiment, Backend* backend);

  // As events have changed it: ids, seeds and hyper-parameters are those of the
  // models that are there now.
  const Experiment& experiment() const { return experiment_; }
  int num_models() const { return batch_->num_models(); }
  ModelBatch& batch() { return *batch_; }
  const Dataset& dataset() const { return *dataset_; }
  const TrainState& state() const { return state_; }
  const StepReport& last_step() const { return report_; }
  int64_t steps_per_epoch() const { return experiment_.steps_per_epoch; }
  int num_active() const;

  // All epochs done, or no model left.
  bool finished() const;

  // Before the first step. Called after those of the config, in the order they
  // were added; must outlive the trainer.
  void AddCallback(Callback* callback) { callbacks_.Add(callback); }

  // One step of all models that are not frozen; when all are, it only counts.
  // FailedPrecondition when all epochs are done. After any other error the
  // state is that of a whole number of steps and epochs, and the next call goes
  // on from there: where an epoch's evaluation has failed, with that.
  absl::Status Step();

  // At least one step, up to `most` of the epoch that is going on, made in one
  // call of the backend and then recorded one by one, each followed by
  // `after_each`. Results, events and bits are those of as many Step(): a model
  // whose loss or gradient is not finite drops out of the call, the config's
  // policy acts on it in its step, and if it goes on it makes its other steps
  // alone. InvalidArgument: `most` is below 1, or above 1 with a callback that
  // does not allow it.
  //
  // After an error the next Step or Steps goes on from there. As long as steps
  // are made and not recorded, `ahead`, nothing else may be done with the
  // trainer: FailedPrecondition.
  absl::Status Steps(int64_t most,
                     absl::FunctionRef<absl::Status()> after_each);
  bool ahead() const;
  // What train.steps_at_once says for this trainer: at least 1. "auto" is 1
  // where the backend gains nothing by more, or a callback does not allow it.
  // InvalidArgument: it is a number, and a callback does not allow it.
  absl::StatusOr<int64_t> StepsAtOnce();
  // That error, for a callback that is still to be added.
  static absl::Status CheckStepsAtOnce(const ExperimentConfig& config,
                                       const Callback& callback);

  // Continues from `state` with the models' states, as if the steps before had
  // been made here. On an error the trainer is of no more use.
  absl::Status Restore(TrainState state, const std::vector<ModelState>& models);

  // ---- Control of single models, from callbacks too. `model` is an index, in
  // [0, num_models()); each call is an event of the state. InvalidArgument:
  // there is no such model; FailedPrecondition: it was removed, or is already
  // (not) frozen. A failed call changes nothing.

  // It keeps its weights and takes no further part.
  absl::Status Freeze(int model, const std::string& reason);
  // The same, as the event of an early stop.
  absl::Status StopEarly(int model, const std::string& reason);
  absl::Status Unfreeze(int model, const std::string& reason);
  // It starts again from the initial values of `seed` (those of
  // train.init_from, if there are some), without moments, with its schedule
  // from the beginning, and is not frozen.
  absl::Status Reset(int model, uint64_t seed, const std::string& reason);
  // Several at once, each at most once: the batch is compiled again only once.
  absl::Status Reset(absl::Span<const ResetRequest> requests);
  // Its memory is given back at the end of the epoch.
  absl::Status Remove(int model, const std::string& reason);
  // A copy of `from`, which may be the same model, takes the place of `model`,
  // which may have been removed: weights, moments, step count and
  // hyper-parameters (the batch size too) but `changes`. So does its schedule,
  // as far as it has come; a change of lr is of the rate it began with. The
  // copy's id, which is returned, is new; its record begins anew. (Exploit and
  // explore of population-based training, Jaderberg et al. 2017.)
  absl::StatusOr<int64_t> Replace(int model, int from, uint64_t seed,
                                  const OptimizerConfig& changes,
                                  const std::string& reason);
  // Changes nothing.
  absl::Status Warn(int model, const std::string& reason);
  // Does what the event says, whatever step this is; the ids are its own. A
  // copy whose place is not here takes that of its source.
  absl::Status Replay(const Event& event);

 private:
  using Hook = absl::Status (Callback::*)(Trainer*);

  Trainer(const Experiment& experiment, Backend* backend,
          PerModelBatches batches);
  static absl::StatusOr<PerModelBatches> MakeBatches(
      const Experiment& experiment);
  // Each model's own, where models have folds.
  static RoutedRows MakeValidation(const Experiment& experiment);
  // After a change of batch sizes or folds, in the epoch that is going on.
  absl::Status RemakeBatches();
  void MakeBuiltInCallbacks();
  // Batch and optimizer, of the population as it is now.
  absl::Status BuildBatch();
  // The weights of train.init_from, where there are some, in place of random
  // ones.
  absl::Status LoadInitial(int model);
  absl::Status Call(Hook hook);
  // Step, with up to `most` made at once where none is ahead.
  absl::Status Advance(int64_t most);
  absl::Status AdvanceAndRecord(int64_t most);
  absl::Status TrainBatch(int64_t most);
  // Whether a model that is not frozen has rows in the step to come.
  bool AnyRows() const;
  void RecordStep();
  absl::Status FinishEpoch();

  // ---- trainer_steps.cc
  // Has the steps to come made, up to `most`: they are in submission_.
  absl::Status Submit(int64_t most);
  // More than one; none, and one_by_one_, where "auto" finds no memory for it.
  absl::Status SubmitSeveral(int64_t most);
  // The next of these as report_.by_model, with the models that dropped out.
  absl::Status TakeStep();
  absl::Status CatchUp(StepResult* step);
  // Where all models are frozen: none of them took part in steps that are left.
  void DropStepsOfNone();
  // Columns of the steps to come, if models tick after each; as many as can be
  // told.
  std::vector<Optimizer> PlanOptimizers(int64_t most) const;
  absl::Status CheckRecorded() const;
  // Only these of the batch's models are active.
  absl::Status Activate(const std::vector<uint8_t>& models);

  // ---- The schedules' ticks: after a step, of those it has updated; after an
  // epoch, of those that made an update in it.
  absl::Status TickAfterStep();
  absl::Status TickAfterEpoch(int model, const EpochCurve& curve,
                              Optimizer* optimizer,
                              LrScheduleState* state) const;
  absl::Status CompactRemoved();
  bool Improves(int model, const Score& validation) const;
  // What becomes the record of a model that reached its best epoch.
  struct BestOfModel {
    int model = 0;
    Score validation;
    Score test;
    std::map<std::string, Tensor> weights;
  };
  absl::StatusOr<std::vector<BestOfModel>> EvaluateBest(
      const std::vector<int>& improved, const EpochCurve& curve);
  // On the test rows, of some models only.
  absl::Status EvaluateTest(const std::vector<int>& models,
                            EvaluateResult* result);

  // ---- trainer_control.cc
  // In range and not removed.
  absl::Status CheckModel(int model) const;
  absl::Status CheckNumber(int model) const;
  absl::Status CheckFrozen(int model, bool frozen) const;
  // An event of this moment.
  Event NewEvent(EventKind kind, int model, const std::string& reason) const;
  // Does what the event says and records it.
  absl::Status Apply(Event event, int model, int from);
  // Whether the source's schedule takes a copy's changed rate.
  absl::Status CheckRate(const Event& event, int from) const;
  absl::Status ChangeBatch(const Event& event, int model, int from);
  // What is left to do once the batch has changed.
  absl::Status Record(Event event, int model, int from);
  absl::Status ChangeSchedule(const Event& event, int model,
                              LrScheduleState source);
  // Gives the optimizer the rates of all schedules.
  absl::Status RestoreRates();
  absl::Status ResetModel(const Event& event, int model);
  absl::Status CopyModel(const Event& event, int model, int from);
  // Of the model as it is, after what has the fingerprint `before`.
  absl::StatusOr<uint64_t> Fingerprint(int model, uint64_t before);
  // -1: none has this id.
  int PlaceOf(int64_t id) const;

  // Steps that were made in one call and are recorded one by one.
  struct Submission {
    StepsResult steps;
    int64_t next = 0;             // to be recorded
    absl::Status error;           // of the step after the last one made
    std::vector<uint8_t> behind;  // models that dropped out
  };

  Experiment experiment_;
  Backend* backend_;
  PerModelBatches batches_;
  RoutedRows validation_;
  std::unique_ptr<ModelBatch> batch_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<LrSchedule> schedules_;  // empty: there are none
  std::unique_ptr<Dataset> dataset_;
  std::vector<std::unique_ptr<Callback>> owned_;
  CallbackPack built_in_;   // of the config
  CallbackPack callbacks_;  // of the program
  TrainState state_;
  StepReport report_;
  Submission submission_;
  bool recording_ = false;   // a step, and what follows from it
  bool one_by_one_ = false;  // there is no memory for several steps
  // The last epoch in which a model dropped out and went on, as it will again:
  // the epoch's other steps are made one by one. -1: none.
  int64_t behind_in_epoch_ = -1;
  bool started_ = false;
  bool calling_built_in_ = false;
  bool compact_ = false;  // a removed model still has its memory
  int64_t next_id_ = 0;   // of a copy
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_TRAINER_H_
