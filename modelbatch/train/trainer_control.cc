// Trainer: what is done to single models.
#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/train/population_events.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// FNV-1a, 64 bit, a word at a time.
class Hash {
 public:
  void Add(uint64_t word) { hash_ = (hash_ ^ word) * 0x100000001b3u; }
  void Add(const std::string& text) {
    Add(text.size());
    for (unsigned char c : text) Add(uint64_t{c});
  }
  void Add(double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    Add(bits);
  }
  void Add(const Tensor& tensor) {
    const auto* bytes = static_cast<const unsigned char*>(tensor.raw());
    for (size_t i = 0; i < static_cast<size_t>(tensor.byte_size());) {
      uint64_t word = 0;
      const size_t left = static_cast<size_t>(tensor.byte_size()) - i;
      const size_t count = left < sizeof(word) ? left : sizeof(word);
      std::memcpy(&word, bytes + i, count);
      Add(word);
      i += count;
    }
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

}  // namespace

absl::Status Trainer::CheckNumber(int model) const {
  MB_RETURN_IF_ERROR(CheckRecorded());
  if (model < 0 || model >= num_models()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no model at index ", model, ", expected 0 to ", num_models() - 1));
  }
  // A callback's call: only those that dropped out are where they were.
  if (!ahead() || submission_.behind[model] != 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "model ", experiment_.population.models[model].id, " is ",
      submission_.steps.made - submission_.next,
      " steps ahead: a callback that allows steps at once may not act on it "
      "between them"));
}

absl::Status Trainer::CheckModel(int model) const {
  MB_RETURN_IF_ERROR(CheckNumber(model));
  const ModelRecord& record = state_.models[model];
  if (!record.removed()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("model ", experiment_.population.models[model].id,
                   " was removed at step ", record.frozen_step));
}

absl::Status Trainer::CheckFrozen(int model, bool frozen) const {
  MB_RETURN_IF_ERROR(CheckModel(model));
  const ModelRecord& record = state_.models[model];
  if (record.frozen() == frozen) return absl::OkStatus();
  const int64_t id = experiment_.population.models[model].id;
  return absl::FailedPreconditionError(
      frozen ? absl::StrCat("model ", id, " is not frozen")
             : absl::StrCat("model ", id, " is frozen since step ",
                            record.frozen_step, ": ", record.frozen_reason));
}

Event Trainer::NewEvent(EventKind kind, int model,
                        const std::string& reason) const {
  Event event;
  event.kind = kind;
  event.step = state_.step;
  event.epoch_end = state_.step > 0 && state_.step_in_epoch == 0;
  event.epoch = state_.epoch + (event.epoch_end ? 0 : 1);
  event.model = experiment_.population.models[model].id;
  event.reason = reason;
  event.built_in = calling_built_in_;
  return event;
}

absl::Status Trainer::Freeze(int model, const std::string& reason) {
  MB_RETURN_IF_ERROR(CheckFrozen(model, false));
  return Apply(NewEvent(EventKind::kFreeze, model, reason), model, model);
}

absl::Status Trainer::StopEarly(int model, const std::string& reason) {
  MB_RETURN_IF_ERROR(CheckFrozen(model, false));
  return Apply(NewEvent(EventKind::kEarlyStop, model, reason), model, model);
}

absl::Status Trainer::Unfreeze(int model, const std::string& reason) {
  MB_RETURN_IF_ERROR(CheckFrozen(model, true));
  return Apply(NewEvent(EventKind::kUnfreeze, model, reason), model, model);
}

absl::Status Trainer::Reset(int model, uint64_t seed,
                            const std::string& reason) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  Event event = NewEvent(EventKind::kReset, model, reason);
  event.seed = seed;
  return Apply(std::move(event), model, model);
}

absl::Status Trainer::Reset(absl::Span<const ResetRequest> requests) {
  std::vector<Event> events;
  std::map<int, ModelInstance> instances;
  for (const ResetRequest& request : requests) {
    MB_RETURN_IF_ERROR(CheckModel(request.model));
    Event event = NewEvent(EventKind::kReset, request.model, request.reason);
    event.seed = request.seed;
    MB_ASSIGN_OR_RETURN(event.fingerprint, Fingerprint(request.model, 0));
    ModelInstance instance = batch_->model(request.model);
    instance.seed = request.seed;
    if (!instances.emplace(request.model, std::move(instance)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", event.model, " is to be reset twice"));
    }
    events.push_back(std::move(event));
  }
  if (events.empty()) return absl::OkStatus();
  MB_RETURN_IF_ERROR(batch_->Replace(std::move(instances)));
  for (size_t i = 0; i < events.size(); ++i) {
    const int model = requests[i].model;
    MB_RETURN_IF_ERROR(LoadInitial(model));
    MB_RETURN_IF_ERROR(Record(std::move(events[i]), model, model));
  }
  return absl::OkStatus();
}

absl::Status Trainer::Remove(int model, const std::string& reason) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  return Apply(NewEvent(EventKind::kRemove, model, reason), model, model);
}

absl::StatusOr<int64_t> Trainer::Replace(int model, int from, uint64_t seed,
                                         const OptimizerConfig& changes,
                                         const std::string& reason) {
  MB_RETURN_IF_ERROR(CheckNumber(model));
  MB_RETURN_IF_ERROR(CheckModel(from));
  Event event = NewEvent(EventKind::kReplace, model, reason);
  event.seed = seed;
  event.source = experiment_.population.models[from].id;
  event.copy = next_id_;
  event.changes = changes;
  MB_RETURN_IF_ERROR(Apply(std::move(event), model, from));
  return experiment_.population.models[model].id;
}

absl::Status Trainer::Warn(int model, const std::string& reason) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  return Apply(NewEvent(EventKind::kWarning, model, reason), model, model);
}

int Trainer::PlaceOf(int64_t id) const {
  for (int i = 0; i < num_models(); ++i) {
    if (experiment_.population.models[i].id == id) return i;
  }
  return -1;
}

absl::Status Trainer::Replay(const Event& event) {
  const bool replace = event.kind == EventKind::kReplace;
  const int from = PlaceOf(replace ? event.source : event.model);
  int model = PlaceOf(event.model);
  if (model < 0) model = from;
  if (from < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there is no model ", replace ? event.source : event.model));
  }
  switch (event.kind) {
    case EventKind::kFreeze:
    case EventKind::kEarlyStop:
      MB_RETURN_IF_ERROR(CheckFrozen(from, false));
      break;
    case EventKind::kUnfreeze:
      MB_RETURN_IF_ERROR(CheckFrozen(from, true));
      break;
    default:
      MB_RETURN_IF_ERROR(CheckModel(from));
  }
  Event now = NewEvent(event.kind, model, event.reason);
  now.model = event.model;
  now.built_in = event.built_in;
  now.seed = event.seed;
  now.source = event.source;
  now.copy = event.copy;
  now.changes = event.changes;
  return Apply(std::move(now), model, from);
}

absl::Status Trainer::Apply(Event event, int model, int from) {
  if (event.kind != EventKind::kReplace) {
    MB_ASSIGN_OR_RETURN(event.fingerprint, Fingerprint(model, 0));
  }
  MB_RETURN_IF_ERROR(CheckRate(event, from));
  MB_RETURN_IF_ERROR(ChangeBatch(event, model, from));
  return Record(std::move(event), model, from);
}

absl::Status Trainer::CheckRate(const Event& event, int from) const {
  const auto lr = event.changes.find("lr");
  if (schedules_.empty() || lr == event.changes.end()) return absl::OkStatus();
  Optimizer optimizer = *optimizer_;
  LrScheduleState state = state_.models[from].schedule;
  return schedules_[from].Rebase(lr->second, &optimizer, from, &state);
}

absl::Status Trainer::Record(Event event, int model, int from) {
  LrScheduleState source = state_.models[from].schedule;
  ChangePopulation(event, model, from, &experiment_.population);
  RecordEvent(event, &state_.models[model]);
  if (event.kind == EventKind::kReplace) MB_RETURN_IF_ERROR(RemakeBatches());
  if (event.kind == EventKind::kFreeze || event.kind == EventKind::kRemove ||
      event.kind == EventKind::kEarlyStop) {
    report_.frozen.push_back(model);
  }
  next_id_ = std::max(next_id_, event.copy + 1);
  if (event.kind == EventKind::kReset || event.kind == EventKind::kReplace) {
    state_.epoch_loss[model] = 0;
    state_.epoch_rows[model] = 0;
    state_.epoch_lr[model] = std::numeric_limits<double>::quiet_NaN();
    MB_RETURN_IF_ERROR(ChangeSchedule(event, model, std::move(source)));
    MB_ASSIGN_OR_RETURN(event.fingerprint,
                        Fingerprint(model, event.fingerprint));
  }
  state_.events.push_back(std::move(event));
  return absl::OkStatus();
}

absl::Status Trainer::ChangeBatch(const Event& event, int model, int from) {
  switch (event.kind) {
    case EventKind::kFreeze:
    case EventKind::kEarlyStop:
      return batch_->SetActive(model, false);
    case EventKind::kUnfreeze:
      return batch_->SetActive(model, true);
    case EventKind::kReset:
      return ResetModel(event, model);
    case EventKind::kRemove:
      compact_ = true;
      return batch_->Remove(model);
    case EventKind::kReplace:
      return CopyModel(event, model, from);
    case EventKind::kWarning:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Trainer::ChangeSchedule(const Event& event, int model,
                                     LrScheduleState source) {
  if (schedules_.empty()) return absl::OkStatus();
  const Population& population = experiment_.population;
  LrScheduleState* const state = &state_.models[model].schedule;
  if (event.kind == EventKind::kReset) {
    MB_RETURN_IF_ERROR(
        optimizer_->Set(model, "lr", population.optimizers[model].at("lr")));
    return schedules_[model].Start(optimizer_.get(), model, state);
  }
  MB_ASSIGN_OR_RETURN(
      schedules_[model],
      LrSchedule::Create(population.schedules[model], optimizer_->info()));
  *state = std::move(source);
  const auto lr = event.changes.find("lr");
  if (lr != event.changes.end()) {
    return schedules_[model].Rebase(lr->second, optimizer_.get(), model, state);
  }
  return schedules_[model].Restore(*state, optimizer_.get(), model);
}

absl::Status Trainer::RestoreRates() {
  for (size_t i = 0; i < schedules_.size(); ++i) {
    if (state_.models[i].removed()) continue;
    MB_RETURN_IF_ERROR(schedules_[i].Restore(
        state_.models[i].schedule, optimizer_.get(), static_cast<int>(i)));
  }
  return absl::OkStatus();
}

absl::Status Trainer::ResetModel(const Event& event, int model) {
  ModelInstance instance = batch_->model(model);
  if (instance.seed == event.seed) {
    MB_RETURN_IF_ERROR(batch_->Reset(model));
  } else {
    instance.seed = event.seed;
    MB_RETURN_IF_ERROR(batch_->Replace(model, std::move(instance)));
  }
  return LoadInitial(model);
}

absl::Status Trainer::CopyModel(const Event& event, int model, int from) {
  std::vector<OptimizerConfig> configs = experiment_.population.optimizers;
  configs[model] = configs[from];
  for (const auto& [name, value] : event.changes) {
    if (!schedules_.empty() && schedules_[from].Overrides(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("copy of model ", event.source, ": a change of ", name,
                       " would have no effect, as the schedule sets it"));
    }
    configs[model][name] = value;
  }
  absl::StatusOr<Optimizer> optimizer =
      Optimizer::Create(optimizer_->info().kind, {}, configs);
  if (!optimizer.ok()) {
    return absl::Status(
        optimizer.status().code(),
        absl::StrCat("copy of model ", event.source, " in the place of ",
                     optimizer.status().message()));
  }
  MB_RETURN_IF_ERROR(batch_->Copy(from, model, event.copy, event.seed));
  *optimizer_ = *std::move(optimizer);
  return RestoreRates();
}

absl::StatusOr<uint64_t> Trainer::Fingerprint(int model, uint64_t before) {
  MB_ASSIGN_OR_RETURN(const ModelState state, batch_->GetModelState(model));
  Hash hash;
  hash.Add(before);
  for (const auto& [slot, tensors] : state.slots) {
    hash.Add(slot);
    for (const auto& [name, tensor] : tensors) {
      hash.Add(name);
      hash.Add(tensor);
    }
  }
  hash.Add(static_cast<uint64_t>(state.step));
  hash.Add(batch_->model(model).seed);
  for (const auto& [name, value] : experiment_.population.optimizers[model]) {
    hash.Add(name);
    hash.Add(value);
  }
  if (!schedules_.empty()) {
    for (double number : state_.models[model].schedule.ToNumbers()) {
      hash.Add(number);
    }
  }
  return hash.value();
}

}  // namespace modelbatch
