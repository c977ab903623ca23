// The learning-rate schedule of one model: a function of how often it has
// ticked, or, for reduce_lr_on_plateau, of the metrics it was given. It has no
// device and no model: it reads and sets values of an Optimizer.
//
//   MB_ASSIGN_OR_RETURN(LrSchedule schedule,
//                       LrSchedule::Create({"step_lr", {{"step_size", 30}}},
//                                          optimizer.info()));
//   LrScheduleState state;
//   MB_RETURN_IF_ERROR(schedule.Start(&optimizer, model, &state));
//   MB_RETURN_IF_ERROR(schedule.Step(&optimizer, model, &state));  // a tick
//
// LrScheduler (lr_scheduler.h) has those of all models; lr_schedule_info.h
// lists the kinds.
//
// Formulas, and the order of their operations in double, are those of
// torch.optim.lr_scheduler 2.11 in its recursive ("chainable") form: each tick
// starts from the learning rate that the optimizer has. Cosines and powers are
// rounded to nearest, where torch takes libm's. A rate that rounding has made
// negative is 0.
#ifndef MODELBATCH_OPTIM_LR_SCHEDULE_H_
#define MODELBATCH_OPTIM_LR_SCHEDULE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/optim/optimizer_info.h"

namespace modelbatch {

struct LrScheduleSpec {
  std::string kind;      // "cosine_annealing_lr"
  Attributes arguments;  // by torch's names
  // Of sequential_lr and chained_scheduler; plain ones only.
  std::vector<LrScheduleSpec> schedulers = {};
};

// What a tick changes. A fresh one belongs to no schedule.
struct LrScheduleState {
  // Of the schedule itself, or of one it is made of.
  struct Part {
    double base_lr = 0;
    int64_t last_epoch = 0;
    int64_t t_cur = 0;  // cosine_annealing_warm_restarts
    int64_t t_i = 0;
    double best = 0;  // reduce_lr_on_plateau
    int64_t cooldown_counter = 0;
    int64_t num_bad_epochs = 0;
  };

  double initial_lr = 0;   // the optimizer's when it began
  double lr = 0;           // get_last_lr()
  double momentum = 0;     // or beta1; one_cycle_lr
  int64_t last_epoch = 0;  // ticks
  std::vector<Part> parts;

  // All of it as numbers, and back. InvalidArgument: they are not from
  // ToNumbers.
  std::vector<double> ToNumbers() const;
  static absl::StatusOr<LrScheduleState> FromNumbers(
      absl::Span<const double> numbers);
};

// Immutable. Copyable: copies share what they were made of.
class LrSchedule {
 public:
  // InvalidArgument names the kind and the argument; FailedPrecondition: a
  // function of lambda_lr that is not registered (lr_lambda.h).
  static absl::StatusOr<LrSchedule> Create(const LrScheduleSpec& spec,
                                           const OptimizerInfo& optimizer);

  // Begins: the optimizer's lr is the initial one. Sets what the schedule
  // starts with (a warm-up's first factor, one_cycle_lr's momentum).
  absl::Status Start(Optimizer* optimizer, int model,
                     LrScheduleState* state) const;

  // One tick. An error (a rate that the optimizer does not take, a cycle that
  // is over, a metric that is missing or not wanted) names the model and
  // changes nothing.
  absl::Status Step(Optimizer* optimizer, int model,
                    LrScheduleState* state) const;
  // reduce_lr_on_plateau; NaN is no improvement.
  absl::Status Step(double metric, Optimizer* optimizer, int model,
                    LrScheduleState* state) const;
  bool needs_metric() const { return plateau_ != nullptr; }

  // Gives the optimizer the values that `state` left it with. InvalidArgument:
  // it is the state of another schedule.
  absl::Status Restore(const LrScheduleState& state, Optimizer* optimizer,
                       int model) const;

  // As if it had begun with the initial rate `lr`, at the same tick. A
  // plateau's rate, which no tick count tells, changes in proportion.
  absl::Status Rebase(double lr, Optimizer* optimizer, int model,
                      LrScheduleState* state) const;

  // Whether the optimizer's own value of this hyper-parameter has no effect, as
  // the schedule sets it by its arguments alone: one_cycle_lr's lr and
  // momentum.
  bool Overrides(const std::string& hyper_parameter) const;

  // ---- For lr_schedule.cc

  class Rule;     // a kind with its arguments
  class Plateau;  // reduce_lr_on_plateau

 private:
  enum class Form { kPlain, kSequential, kChained };

  LrSchedule() = default;
  absl::Status Write(double lr, double momentum, Optimizer* optimizer,
                     int model, LrScheduleState* state) const;

  std::string kind_;
  Form form_ = Form::kPlain;
  std::vector<std::shared_ptr<const Rule>> rules_;  // none: a plateau
  std::shared_ptr<const Plateau> plateau_;
  std::vector<int64_t> milestones_;
  std::string momentum_;  // the optimizer's name of what is cycled; empty: none
};

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_LR_SCHEDULE_H_
