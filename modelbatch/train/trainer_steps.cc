// Trainer: several steps in one call of the backend.
#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/backend/features.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// What the arguments of the steps of one call may take. They are copied, to the
// backend and to its device.
constexpr int64_t kMostBytes = int64_t{32} << 20;

}  // namespace

bool Trainer::ahead() const {
  return submission_.next < submission_.steps.made || !submission_.error.ok();
}

void Trainer::DropStepsOfNone() {
  if (num_active() == 0) submission_ = Submission();
}

absl::Status Trainer::CheckRecorded() const {
  if (recording_ || !ahead()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the models are ", submission_.steps.made - submission_.next,
      " steps ahead of what is recorded: call Step, or let Steps end, before "
      "anything else is done with them"));
}

absl::Status Trainer::Steps(int64_t most,
                            absl::FunctionRef<absl::Status()> after_each) {
  if (most < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(most, " steps at once, expected at least 1"));
  }
  if (most > 1 && !callbacks_.allows_steps_at_once()) {
    return absl::InvalidArgumentError(
        absl::StrCat(most,
                     " steps at once with a callback that may act between "
                     "two of them, expected 1"));
  }
  do {
    MB_RETURN_IF_ERROR(Advance(most));
    MB_RETURN_IF_ERROR(after_each());
  } while (ahead());
  return absl::OkStatus();
}

absl::Status Trainer::CheckStepsAtOnce(const ExperimentConfig& config,
                                       const Callback& callback) {
  const int64_t most = config.train.steps_at_once;
  if (most <= 1 || callback.allows_steps_at_once()) return absl::OkStatus();
  return config.source.Error(
      "train.steps_at_once",
      absl::StrCat("is ", most,
                   ", but the program's callback may act between two steps: "
                   "expected 1 or \"auto\""));
}

absl::StatusOr<int64_t> Trainer::StepsAtOnce() {
  const ExperimentConfig& config = experiment_.config;
  MB_RETURN_IF_ERROR(CheckStepsAtOnce(config, callbacks_));
  int64_t most = config.train.steps_at_once;
  if (most == kStepsThatGain) {
    most = callbacks_.allows_steps_at_once() ? StepsThatPay(*backend_) : 1;
  }
  if (most == 1) return 1;
  const int64_t bytes = static_cast<int64_t>(
      batches_.Batch(0).rows.size() * sizeof(int32_t) +
      optimizer_->columns().size() * num_models() * sizeof(double));
  return std::clamp(kMostBytes / bytes, int64_t{1},
                    std::min(most, steps_per_epoch()));
}

absl::Status Trainer::Submit(int64_t most) {
  submission_ = Submission();
  submission_.behind.assign(num_models(), 0);
  StepsResult& result = submission_.steps;
  most = std::min(most, steps_per_epoch() - state_.step_in_epoch);
  if (one_by_one_ || behind_in_epoch_ == state_.epoch) most = 1;
  if (!AnyRows()) {  // of this step: it only counts
    result.made = 1;
    return absl::OkStatus();
  }
  if (most > 1) MB_RETURN_IF_ERROR(SubmitSeveral(most));
  // Also where there was no memory for several.
  if (most == 1 || one_by_one_) {
    MB_RETURN_IF_ERROR(batch_->TrainStep(
        *dataset_, batches_.Batch(state_.step_in_epoch), *optimizer_));
    result.made = 1;
    result.losses = batch_->last_step().losses;
    result.outcomes = batch_->last_step().outcomes;
  }
  return absl::OkStatus();
}

absl::Status Trainer::SubmitSeveral(int64_t most) {
  const std::vector<Optimizer> planned = PlanOptimizers(most);
  if (!planned.empty()) most = static_cast<int64_t>(planned.size());
  std::vector<RoutedRows> rows(most);
  std::vector<BatchStep> steps(most);
  for (int64_t s = 0; s < most; ++s) {
    steps[s].rows = batches_.Batch(state_.step_in_epoch + s);
    if (!steps[s].rows.offsets.empty()) {  // valid until the next Batch
      rows[s].rows.assign(steps[s].rows.rows.begin(), steps[s].rows.rows.end());
      rows[s].offsets.assign(steps[s].rows.offsets.begin(),
                             steps[s].rows.offsets.end());
      steps[s].rows = rows[s].view();
    }
    steps[s].optimizer = planned.empty() ? optimizer_.get() : &planned[s];
  }
  const absl::Status status = batch_->TrainSteps(*dataset_, steps);
  if (absl::IsResourceExhausted(status) && batch_->last_steps().made == 0) {
    if (experiment_.config.train.steps_at_once != kStepsThatGain) {
      return absl::ResourceExhaustedError(absl::StrCat(
          std::string(status.message()), "; train.steps_at_once is ",
          experiment_.config.train.steps_at_once, ", fewer need less"));
    }
    one_by_one_ = true;
    Log(LogSeverity::kWarning,
        absl::StrCat("steps are made one by one, as there is no memory for ",
                     most, " at once: ", status.message()));
    return absl::OkStatus();
  }
  submission_.error = status;
  submission_.steps = batch_->last_steps();
  return absl::OkStatus();
}

std::vector<Optimizer> Trainer::PlanOptimizers(int64_t most) const {
  std::vector<Optimizer> planned;
  if (schedules_.empty() ||
      !experiment_.config.optimizer.schedule->every_step) {
    return planned;
  }
  std::vector<LrScheduleState> states;
  for (const ModelRecord& model : state_.models) {
    states.push_back(model.schedule);
  }
  planned.push_back(*optimizer_);
  while (static_cast<int64_t>(planned.size()) < most) {
    Optimizer next = planned.back();
    const int64_t step =
        state_.step_in_epoch + static_cast<int64_t>(planned.size()) - 1;
    for (int i = 0; i < num_models(); ++i) {
      // A model with rows that is not updated drops out.
      if (state_.models[i].frozen() || batches_.BatchOf(i, step).empty()) {
        continue;
      }
      // An error is that of the step, when it is recorded.
      if (!schedules_[i].Step(&next, i, &states[i]).ok()) return planned;
    }
    planned.push_back(std::move(next));
  }
  return planned;
}

absl::Status Trainer::TakeStep() {
  if (submission_.next == submission_.steps.made) {
    const absl::Status error = std::move(submission_.error);
    submission_ = Submission();
    return error;
  }
  const StepsResult& steps = submission_.steps;
  StepResult step;
  // Those with rows may have frozen since the steps were made.
  if (!steps.outcomes.empty() && AnyRows()) {
    const auto begin = submission_.next * num_models();
    step.losses.assign(steps.losses.begin() + begin,
                       steps.losses.begin() + begin + num_models());
    step.outcomes.assign(steps.outcomes.begin() + begin,
                         steps.outcomes.begin() + begin + num_models());
    MB_RETURN_IF_ERROR(CatchUp(&step));
  }
  for (size_t i = 0; i < step.outcomes.size(); ++i) {
    const absl::Span<const int32_t> rows =
        batches_.BatchOf(static_cast<int>(i), state_.step_in_epoch);
    if (EndsSteps(step.outcomes[i], RowSet{rows, {}}, 0)) {
      submission_.behind[i] = 1;
    }
  }
  report_.by_model = std::move(step);
  ++submission_.next;
  return absl::OkStatus();
}

// Models that dropped out and go on make the step now. A model's bits do not
// depend on who else is there.
absl::Status Trainer::CatchUp(StepResult* step) {
  std::vector<uint8_t> behind = submission_.behind;
  std::vector<uint8_t> active(num_models(), 0);
  bool any = false, any_rows = false;
  for (int i = 0; i < num_models(); ++i) {
    active[i] = !state_.models[i].frozen();
    behind[i] = behind[i] && active[i];
    any = any || behind[i];
    any_rows = any_rows || (behind[i] &&
                            !batches_.BatchOf(i, state_.step_in_epoch).empty());
  }
  if (!any) return absl::OkStatus();
  behind_in_epoch_ = state_.epoch;
  if (any_rows) {
    MB_RETURN_IF_ERROR(Activate(behind));
    const absl::Status status = batch_->TrainStep(
        *dataset_, batches_.Batch(state_.step_in_epoch), *optimizer_);
    MB_RETURN_IF_ERROR(Activate(active));
    MB_RETURN_IF_ERROR(status);
  }
  for (int i = 0; i < num_models(); ++i) {
    if (!behind[i]) continue;
    step->losses[i] = any_rows ? batch_->last_step().losses[i] : 0.0f;
    step->outcomes[i] =
        any_rows ? batch_->last_step().outcomes[i] : Outcome::kEmpty;
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
