#include "modelbatch/optim/lr_scheduler.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

absl::StatusOr<LrScheduler> LrScheduler::Create(
    Optimizer* optimizer, absl::Span<const LrScheduleSpec> specs) {
  if (static_cast<int>(specs.size()) != optimizer->num_models()) {
    return absl::InvalidArgumentError(
        absl::StrCat(specs.size(), " learning-rate schedules for ",
                     optimizer->num_models(), " models, expected one a model"));
  }
  LrScheduler scheduler;
  for (size_t i = 0; i < specs.size(); ++i) {
    absl::StatusOr<LrSchedule> schedule =
        LrSchedule::Create(specs[i], optimizer->info());
    if (!schedule.ok()) {
      return absl::Status(
          schedule.status().code(),
          absl::StrCat("model ", i, ": ", schedule.status().message()));
    }
    scheduler.schedules_.push_back(*std::move(schedule));
  }
  // On a copy: all begin, or none.
  Optimizer begun = *optimizer;
  scheduler.states_.resize(specs.size());
  for (int i = 0; i < scheduler.num_models(); ++i) {
    MB_RETURN_IF_ERROR(
        scheduler.schedules_[i].Start(&begun, i, &scheduler.states_[i]));
  }
  *optimizer = std::move(begun);
  scheduler.optimizer_ = optimizer;
  return scheduler;
}

absl::Status LrScheduler::CheckModel(int model) const {
  if (model >= 0 && model < num_models()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "model ", model, " does not exist, expected 0 to ", num_models() - 1));
}

absl::Status LrScheduler::CheckCount(const char* what, size_t count) const {
  if (count == schedules_.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(count, " ", what, " for ", num_models(),
                   " models, expected one a model"));
}

absl::Status LrScheduler::Step() {
  for (int i = 0; i < num_models(); ++i) MB_RETURN_IF_ERROR(Step(i));
  return absl::OkStatus();
}

absl::Status LrScheduler::Step(const StepResult& step) {
  MB_RETURN_IF_ERROR(CheckCount("outcomes", step.outcomes.size()));
  for (int i = 0; i < num_models(); ++i) {
    if (step.outcomes[i] == Outcome::kStepped) MB_RETURN_IF_ERROR(Step(i));
  }
  return absl::OkStatus();
}

absl::Status LrScheduler::Step(int model) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  return schedules_[model].Step(optimizer_, model, &states_[model]);
}

absl::Status LrScheduler::Step(absl::Span<const double> metrics) {
  MB_RETURN_IF_ERROR(CheckCount("metrics", metrics.size()));
  for (int i = 0; i < num_models(); ++i) {
    MB_RETURN_IF_ERROR(Step(i, metrics[i]));
  }
  return absl::OkStatus();
}

absl::Status LrScheduler::Step(int model, double metric) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  return schedules_[model].Step(metric, optimizer_, model, &states_[model]);
}

std::vector<double> LrScheduler::GetLastLr() const {
  std::vector<double> rates;
  for (const LrScheduleState& state : states_) rates.push_back(state.lr);
  return rates;
}

absl::Status LrScheduler::Reset(int model) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  MB_RETURN_IF_ERROR(optimizer_->Set(model, "lr", states_[model].initial_lr));
  return schedules_[model].Start(optimizer_, model, &states_[model]);
}

absl::Status LrScheduler::Copy(int from, int model) {
  MB_RETURN_IF_ERROR(CheckModel(from));
  MB_RETURN_IF_ERROR(CheckModel(model));
  MB_RETURN_IF_ERROR(
      schedules_[from].Restore(states_[from], optimizer_, model));
  schedules_[model] = schedules_[from];
  states_[model] = states_[from];
  return absl::OkStatus();
}

absl::Status LrScheduler::LoadState(int model, const LrScheduleState& state) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  MB_RETURN_IF_ERROR(schedules_[model].Restore(state, optimizer_, model));
  states_[model] = state;
  return absl::OkStatus();
}

}  // namespace modelbatch
