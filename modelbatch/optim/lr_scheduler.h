// Learning-rate schedules for all models of an Optimizer, each its own: with
// arguments of its own, ticking when it is told to, and nobody else's.
//
//   OptimizerFactory factory("sgd");
//   auto optimizer = factory.CreateOptimizer(batch.get(), configs);
//   auto scheduler = factory.CreateLrScheduler(
//       &*optimizer, "step_lr", {{{"step_size", 30}}, {{"step_size", 60}}});
//   ...
//   scheduler->Step();                     // all models, after an epoch
//   scheduler->Step(batch->last_step());   // those that were updated, after a
//                                          // step
//   scheduler->GetLastLr();
//
// Kinds and arguments are those of torch.optim.lr_scheduler
// (lr_schedule_info.h). Two schedules for one model are a chained_scheduler, or
// a sequential_lr: a warm-up, say.
#ifndef MODELBATCH_OPTIM_LR_SCHEDULER_H_
#define MODELBATCH_OPTIM_LR_SCHEDULER_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/optim/lr_schedule.h"
#include "modelbatch/optim/optimizer.h"

namespace modelbatch {

class LrScheduler {
 public:
  // One spec a model, of any kinds. The optimizer's lr is each model's initial
  // one; its values are set as the schedules begin. It must outlive the
  // scheduler and stay where it is. Errors name model and argument, and leave
  // the optimizer as it was.
  static absl::StatusOr<LrScheduler> Create(
      Optimizer* optimizer, absl::Span<const LrScheduleSpec> specs);

  int num_models() const { return static_cast<int>(schedules_.size()); }

  // A tick of all models, in order; the first error ends it. A model that was
  // not updated should not tick: use one of those below.
  absl::Status Step();
  // Of the models that this step has updated, as ModelBatch::last_step says:
  // not of frozen ones, without rows, or with a loss or gradient that was not
  // finite.
  absl::Status Step(const StepResult& step);
  // Of one model.
  absl::Status Step(int model);
  // The same for reduce_lr_on_plateau, with a metric a model.
  absl::Status Step(absl::Span<const double> metrics);
  absl::Status Step(int model, double metric);

  // As torch's get_last_lr(): what the last tick set. `model` in [0,
  // num_models()).
  double GetLastLr(int model) const { return states_[model].lr; }
  std::vector<double> GetLastLr() const;

  // Begins anew with the initial rate it began with: for a model that was
  // reset.
  absl::Status Reset(int model);
  // The schedule of `from`, as far as it has come, and with its rate: for a
  // model that was replaced by a copy.
  absl::Status Copy(int from, int model);

  // To save, and to continue from with the same bits: LrScheduleState has its
  // numbers. Loading sets the optimizer's values too.
  const LrScheduleState& GetState(int model) const { return states_[model]; }
  absl::Status LoadState(int model, const LrScheduleState& state);

 private:
  LrScheduler() = default;
  absl::Status CheckModel(int model) const;
  absl::Status CheckCount(const char* what, size_t count) const;

  Optimizer* optimizer_ = nullptr;
  std::vector<LrSchedule> schedules_;
  std::vector<LrScheduleState> states_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_LR_SCHEDULER_H_
