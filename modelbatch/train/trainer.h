// Trains the population of an experiment step by step, in memory: no files, no
// output.
//
//   MB_ASSIGN_OR_RETURN(auto trainer, Trainer::Create(&experiment, backend));
//   while (!trainer->finished()) MB_RETURN_IF_ERROR(trainer->Step());
//
// Models may have batch sizes of their own: one that is through with its epoch
// waits for the others. After the last step of an epoch every model is
// evaluated on the validation rows. A model that does better than before
// (train.select) keeps a copy of its weights and is evaluated on the test rows.
// A model whose loss or gradient is not finite is frozen: it keeps its last
// weights and takes no further part.
#ifndef MODELBATCH_TRAIN_TRAINER_H_
#define MODELBATCH_TRAIN_TRAINER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/routing/per_model_batches.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// What the last step did.
struct StepReport {
  bool epoch_finished = false;
  std::vector<int> frozen;    // models frozen in it
  std::vector<int> improved;  // models that reached their best epoch
  int64_t model_rows = 0;     // rows trained on, over all models
  // Over the models that stepped; NaN when none did.
  float min_loss = 0;
  float max_loss = 0;
};

class Trainer {
 public:
  // Both must outlive the trainer.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(
      const Experiment* experiment, Backend* backend);

  const Experiment& experiment() const { return *experiment_; }
  int num_models() const { return batch_->num_models(); }
  ModelBatch& batch() { return *batch_; }
  const TrainState& state() const { return state_; }
  const StepReport& last_step() const { return report_; }
  int64_t steps_per_epoch() const { return experiment_->steps_per_epoch; }
  int num_active() const;

  // All epochs done, or no model left.
  bool finished() const;

  // One step of all models that are not frozen. Not when finished.
  absl::Status Step();

  // Continues from `state` with the models' states, as if the steps before had
  // been made here. On an error the trainer is of no more use.
  absl::Status Restore(TrainState state, const std::vector<ModelState>& models);

 private:
  Trainer(const Experiment* experiment, PerModelBatches batches);
  // Whether a model that is not frozen has rows in the step to come.
  bool AnyRows() const;
  absl::Status RecordStep();
  absl::Status FinishEpoch();
  bool Improves(int model, const Score& validation) const;
  absl::Status KeepBest(const std::vector<uint8_t>& improved,
                        const EpochCurve& curve);

  const Experiment* experiment_;
  PerModelBatches batches_;
  std::unique_ptr<ModelBatch> batch_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Dataset> dataset_;
  TrainState state_;
  StepReport report_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_TRAINER_H_
