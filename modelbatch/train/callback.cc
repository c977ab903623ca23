#include "modelbatch/train/callback.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

std::string WhatHappened(int model, Trainer* trainer) {
  return OutcomeName(trainer->last_step().by_model.outcomes[model]);
}

bool IsPowerOfTwo(int64_t value) { return (value & (value - 1)) == 0; }

}  // namespace

// ---- Callback -------------------------------------------------------------

absl::Status Callback::OnTrainStart(Trainer*) { return absl::OkStatus(); }
absl::Status Callback::OnStep(Trainer*) { return absl::OkStatus(); }
absl::Status Callback::OnEpoch(Trainer*) { return absl::OkStatus(); }
absl::Status Callback::OnTrainEnd(Trainer*) { return absl::OkStatus(); }

// ---- CallbackPack ---------------------------------------------------------

absl::Status CallbackPack::OnTrainStart(Trainer* trainer) {
  for (Callback* c : callbacks_) MB_RETURN_IF_ERROR(c->OnTrainStart(trainer));
  return absl::OkStatus();
}

absl::Status CallbackPack::OnStep(Trainer* trainer) {
  for (Callback* c : callbacks_) MB_RETURN_IF_ERROR(c->OnStep(trainer));
  return absl::OkStatus();
}

absl::Status CallbackPack::OnEpoch(Trainer* trainer) {
  for (Callback* c : callbacks_) MB_RETURN_IF_ERROR(c->OnEpoch(trainer));
  return absl::OkStatus();
}

absl::Status CallbackPack::OnTrainEnd(Trainer* trainer) {
  for (Callback* c : callbacks_) MB_RETURN_IF_ERROR(c->OnTrainEnd(trainer));
  return absl::OkStatus();
}

bool CallbackPack::allows_steps_at_once() const {
  for (const Callback* c : callbacks_) {
    if (!c->allows_steps_at_once()) return false;
  }
  return true;
}

// ---- NaNCallback ----------------------------------------------------------

NaNCallback::NaNCallback(NanPolicy policy, int64_t max_resets)
    : policy_(policy), max_resets_(max_resets) {}

absl::Status NaNCallback::OnStep(Trainer* trainer) {
  std::vector<int> again;
  for (const int model : trainer->last_step().non_finite) {
    const ModelRecord& record = trainer->state().models[model];
    // Another callback may have been quicker.
    if (record.frozen()) continue;
    std::string what = WhatHappened(model, trainer);
    if (policy_ == NanPolicy::kWarn) {
      MB_RETURN_IF_ERROR(Warn(model, what, trainer));
      continue;
    }
    if (policy_ == NanPolicy::kReset && record.resets < max_resets_) {
      again.push_back(model);
      continue;
    }
    if (policy_ == NanPolicy::kReset) {
      absl::StrAppend(&what, " after ", record.resets,
                      record.resets == 1 ? " reset" : " resets");
    }
    MB_RETURN_IF_ERROR(trainer->Freeze(model, what));
  }
  return Reset(again, trainer);
}

absl::Status NaNCallback::Reset(const std::vector<int>& models,
                                Trainer* trainer) {
  std::vector<ResetRequest> requests;
  for (const int model : models) {
    const ModelInstance& instance =
        trainer->experiment().population.models[model];
    const int64_t reset = trainer->state().models[model].resets + 1;
    requests.push_back({model,
                        DeriveSeed(instance.seed, static_cast<uint64_t>(reset)),
                        WhatHappened(model, trainer)});
    LogLimited(absl::StrCat("model ", instance.id, ": ", requests.back().reason,
                            " in step ", trainer->state().step, "; reset ",
                            reset, " of ", max_resets_));
  }
  return trainer->Reset(requests);
}

absl::Status NaNCallback::Warn(int model, const std::string& what,
                               Trainer* trainer) {
  const int64_t skipped = trainer->state().models[model].skipped_updates;
  if (!IsPowerOfTwo(skipped)) return absl::OkStatus();
  const std::string message = absl::StrCat(
      what, ", ", skipped, skipped == 1 ? " update" : " updates", " skipped");
  LogLimited(absl::StrCat("model ",
                          trainer->experiment().population.models[model].id,
                          ": ", message, " by step ", trainer->state().step));
  return trainer->Warn(model, message);
}

void NaNCallback::LogLimited(const std::string& message) {
  if (messages_ > kMaxNanMessages) return;
  if (messages_++ == kMaxNanMessages) {
    Log(LogSeverity::kWarning,
        "more models are not finite; the run's events have them all");
    return;
  }
  Log(LogSeverity::kWarning, message);
}

// ---- EarlyStopping --------------------------------------------------------

EarlyStopping::EarlyStopping(EarlyStoppingConfig config) : config_(config) {}

absl::Status EarlyStopping::OnTrainStart(Trainer* trainer) {
  const Experiment& experiment = trainer->experiment();
  if (config_.patience < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("early stopping: patience is ", config_.patience,
                     ", expected at least 1"));
  }
  if (!(config_.min_delta >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("early stopping: min_delta is ", config_.min_delta,
                     ", expected a number of at least 0"));
  }
  if (!experiment.has_validation()) {
    return absl::FailedPreconditionError(
        "early stopping needs validation rows, the split has none");
  }
  if (config_.metric == StoppingMetric::kValidationAccuracy &&
      !experiment.has_classes()) {
    return absl::FailedPreconditionError(
        "early stopping by validation_accuracy needs classes, the task is "
        "regression");
  }
  return absl::OkStatus();
}

double EarlyStopping::Metric(const Trainer& trainer, int64_t epoch,
                             int model) const {
  const Score& score = trainer.state().curves[epoch].validation[model];
  if (config_.metric == StoppingMetric::kValidationLoss) return score.loss;
  return static_cast<double>(score.correct) /
         static_cast<double>(trainer.experiment().counted_validation(model));
}

// NaN compares false.
bool EarlyStopping::Improves(double value, const Progress& progress) const {
  if (!progress.any) return value == value;
  return config_.metric == StoppingMetric::kValidationLoss
             ? value < progress.best - config_.min_delta
             : value > progress.best + config_.min_delta;
}

// Counts from the curves, so that nothing need be kept over a resume.
absl::Status EarlyStopping::OnEpoch(Trainer* trainer) {
  models_.resize(trainer->num_models());
  for (int i = 0; i < trainer->num_models(); ++i) {
    const ModelRecord& record = trainer->state().models[i];
    if (record.frozen()) continue;
    Progress& progress = models_[i];
    if (progress.since != record.since_epoch) {
      progress = Progress();
      progress.since = progress.next = record.since_epoch;
    }
    for (; progress.next < trainer->state().epoch; ++progress.next) {
      const double value = Metric(*trainer, progress.next, i);
      ++progress.wait;
      if (!Improves(value, progress)) continue;
      progress.any = true;
      progress.best = value;
      progress.wait = 0;
    }
    if (progress.wait < config_.patience) continue;
    MB_RETURN_IF_ERROR(trainer->StopEarly(
        i, absl::StrCat(StoppingMetricName(config_.metric),
                        " has not improved for ", progress.wait,
                        progress.wait == 1 ? " epoch" : " epochs")));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
