// ModelBatch: the models' state, and models that come and go.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/batch/model_batch_internal.h"
#include "modelbatch/model/initialize.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

using batch_internal::CheckValue;
using batch_internal::InModel;
using batch_internal::ModelName;
using batch_internal::Tune;
using batch_internal::WriteInitialValues;

namespace {

constexpr char kParam[] = "param";
constexpr char kStep[] = "step";

}  // namespace

std::vector<ModelBatch::StateSlot> ModelBatch::StateSlots(
    const Layout& layout) const {
  std::vector<StateSlot> slots = {{kParam, layout.parameters}};
  if (optimizer_ == nullptr) return slots;
  for (const OptimizerState& state : optimizer_->state) {
    slots.push_back({state.name, layout.parameters, !state.needed_by.empty()});
    if (state.per_model) slots.back().tensors = {Parameter()};
  }
  return slots;
}

void ModelBatch::NoteStates(const Optimizer& optimizer) {
  for (const OptimizerState& state : optimizer_->state) {
    if (state.needed_by.empty() || held_states_.count(state.name) > 0) continue;
    if (optimizer.Needs(state)) held_states_.insert(state.name);
  }
}

absl::StatusOr<Tensor> ModelBatch::GetParameter(int model,
                                                const std::string& parameter) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  return session_->ReadState(slots_.slot(model), kParam, parameter);
}

absl::StatusOr<ModelState> ModelBatch::GetModelState(int model) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  const int at = slots_.slot(model);
  ModelState state;
  for (const StateSlot& slot : StateSlots(layouts_[model])) {
    if (slot.optional && held_states_.count(slot.name) == 0) continue;
    std::map<std::string, Tensor> tensors;
    bool is_zero = true;
    for (const Parameter& parameter : slot.tensors) {
      MB_ASSIGN_OR_RETURN(Tensor value,
                          session_->ReadState(at, slot.name, parameter.name));
      is_zero = is_zero && value.IsZero();
      tensors.insert({parameter.name, std::move(value)});
    }
    if (tensors.empty() || (slot.optional && is_zero)) continue;
    state.slots.insert({slot.name, std::move(tensors)});
  }
  if (optimizer_ != nullptr) {
    MB_ASSIGN_OR_RETURN(const Tensor step, session_->ReadState(at, kStep, ""));
    state.step = step.data<int64_t>()[0];
  }
  return state;
}

absl::Status ModelBatch::CheckState(int model, const ModelState& state) const {
  for (const StateSlot& slot : StateSlots(layouts_[model])) {
    const auto tensors = state.slots.find(slot.name);
    if (slot.optional && tensors == state.slots.end()) continue;
    for (const Parameter& parameter : slot.tensors) {
      const std::string name =
          parameter.name.empty() ? slot.name
                                 : absl::StrCat(slot.name, " ", parameter.name);
      const Tensor* value = nullptr;
      if (tensors != state.slots.end()) {
        const auto it = tensors->second.find(parameter.name);
        if (it != tensors->second.end()) value = &it->second;
      }
      if (value == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat("the state has no ", name));
      }
      MB_RETURN_IF_ERROR(CheckValue(name, *value, parameter));
    }
  }
  // What would be dropped without a word.
  const std::vector<StateSlot> known = StateSlots(layouts_[model]);
  for (const auto& [name, tensors] : state.slots) {
    const auto slot = std::find_if(
        known.begin(), known.end(),
        [&name = name](const StateSlot& s) { return s.name == name; });
    if (slot == known.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the state has ", name, ", which ",
                       optimizer_ == nullptr ? "a batch without optimizer"
                                             : optimizer_->kind,
                       " does not have"));
    }
    for (const auto& [tensor, value] : tensors) {
      if (std::any_of(slot->tensors.begin(), slot->tensors.end(),
                      [&tensor = tensor](const Parameter& p) {
                        return p.name == tensor;
                      })) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat("the state has ", name, " ", tensor,
                       ", which the model does not have"));
    }
  }
  if (state.step < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("step is ", state.step, ", expected at least 0"));
  }
  return absl::OkStatus();
}

absl::Status ModelBatch::WriteModelState(Session& session, int slot,
                                         const Layout& layout,
                                         const ModelState& state) const {
  for (const StateSlot& target : StateSlots(layout)) {
    const auto tensors = state.slots.find(target.name);
    const bool is_zero = target.optional && tensors == state.slots.end();
    if (is_zero && held_states_.count(target.name) == 0) continue;
    for (const Parameter& p : target.tensors) {
      MB_RETURN_IF_ERROR(
          session.WriteState(slot, target.name, p.name,
                             is_zero ? Tensor::Zeros(DType::kFloat32, p.shape)
                                     : tensors->second.at(p.name).Borrow()));
    }
  }
  if (optimizer_ == nullptr) return absl::OkStatus();
  return session.WriteState(slot, kStep, "",
                            Tensor::FromVector<int64_t>({state.step}, {}));
}

absl::Status ModelBatch::LoadModelState(int model, const ModelState& state) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  if (absl::Status status = CheckState(model, state); !status.ok()) {
    return InModel(models_[model], status);
  }
  WeightsChanged();
  for (const StateSlot& slot : StateSlots(layouts_[model])) {
    if (slot.optional && state.slots.count(slot.name) > 0) {
      held_states_.insert(slot.name);
    }
  }
  return WriteModelState(*session_, slots_.slot(model), layouts_[model], state);
}

absl::StatusOr<std::vector<ModelState>> ModelBatch::GetModelStates() {
  std::vector<ModelState> states(num_models());
  for (int i = 0; i < num_models(); ++i) {
    if (removed(i)) continue;
    MB_ASSIGN_OR_RETURN(states[i], GetModelState(i));
  }
  return states;
}

absl::Status ModelBatch::LoadModelStates(absl::Span<const ModelState> states) {
  if (static_cast<int>(states.size()) != num_models()) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are ", states.size(),
                     " states, expected one a model, ", num_models()));
  }
  for (int i = 0; i < num_models(); ++i) {
    if (removed(i)) continue;
    if (absl::Status status = CheckState(i, states[i]); !status.ok()) {
      return InModel(models_[i], status);
    }
  }
  for (int i = 0; i < num_models(); ++i) {
    if (!removed(i)) MB_RETURN_IF_ERROR(LoadModelState(i, states[i]));
  }
  return absl::OkStatus();
}

absl::Status ModelBatch::CheckNoGradients(const char* call) const {
  if (!has_gradients_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      call, " while gradients are kept: call Step and ZeroGrad first"));
}

absl::Status ModelBatch::Reset(int model) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  MB_RETURN_IF_ERROR(CheckNoGradients("Reset"));
  const Layout& layout = layouts_[model];
  ModelState state;
  for (const StateSlot& slot : StateSlots(layout)) {
    if (slot.optional) continue;
    for (size_t p = 0; p < slot.tensors.size(); ++p) {
      const Parameter& parameter = slot.tensors[p];
      state.slots[slot.name].insert(
          {parameter.name,
           slot.name == kParam
               ? InitialValue(layout, static_cast<int>(p), models_[model].seed)
               : Tensor::Zeros(DType::kFloat32, parameter.shape)});
    }
  }
  MB_RETURN_IF_ERROR(SetActive(model, true));
  return LoadModelState(model, state);
}

absl::Status ModelBatch::Replace(int model, ModelInstance instance) {
  return Replace({{model, std::move(instance)}});
}

absl::Status ModelBatch::Replace(std::map<int, ModelInstance> instances) {
  MB_RETURN_IF_ERROR(CheckNoGradients("Replace"));
  for (const auto& [model, instance] : instances) {
    MB_RETURN_IF_ERROR(CheckNumber(model));
    MB_RETURN_IF_ERROR(CheckSameGraph(models_[0].spec, ModelName(models_[0]),
                                      instance.spec, ModelName(instance)));
  }
  return Rebuild(std::move(instances));
}

absl::Status ModelBatch::Copy(int from, int model, int64_t id, uint64_t seed) {
  MB_RETURN_IF_ERROR(CheckModel(from));
  MB_RETURN_IF_ERROR(CheckNumber(model));
  MB_RETURN_IF_ERROR(CheckNoGradients("Copy"));
  MB_ASSIGN_OR_RETURN(const ModelState state, GetModelState(from));
  return Rebuild({{model, {id, seed, models_[from].spec}}}, &state);
}

absl::Status ModelBatch::Remove(int model) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  active_[model] = 0;
  removed_[model] = 1;
  return absl::OkStatus();
}

absl::Status ModelBatch::Compact() {
  int left = 0;
  for (const uint8_t gone : removed_) left += gone == 0;
  // A session has at least one model.
  if (left == slots_.num_slots() || left == 0) return absl::OkStatus();
  MB_RETURN_IF_ERROR(CheckNoGradients("Compact"));
  return Rebuild({});
}

absl::Status ModelBatch::Rebuild(std::map<int, ModelInstance> replaced,
                                 const ModelState* state) {
  std::vector<ModelInstance> models = models_;
  std::vector<Layout> layouts = layouts_;
  for (auto& [model, instance] : replaced) {
    absl::StatusOr<Layout> layout = InferLayout(instance.spec);
    if (!layout.ok()) return InModel(instance, layout.status());
    layouts[model] = *std::move(layout);
    models[model] = std::move(instance);
  }
  std::vector<int> left;
  for (int i = 0; i < num_models(); ++i) {
    if (!removed(i) || replaced.count(i) > 0) left.push_back(i);
  }
  SlotMap slots(num_models(), std::move(left));
  MB_ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                      CompileSession(models, slots));
  if (optimizer_ != nullptr) {
    MB_RETURN_IF_ERROR(session->SetOptimizer(optimizer_->kind));
  }
  if (compile_.has_value())
    MB_RETURN_IF_ERROR(Tune(*session, *compile_).status());
  for (int slot = 0; slot < slots.num_slots(); ++slot) {
    const int model = slots.models()[slot];
    const Layout& layout = layouts[model];
    if (replaced.count(model) == 0) {
      MB_ASSIGN_OR_RETURN(const ModelState own, GetModelState(model));
      MB_RETURN_IF_ERROR(WriteModelState(*session, slot, layout, own));
    } else if (state != nullptr) {
      MB_RETURN_IF_ERROR(WriteModelState(*session, slot, layout, *state));
    } else {
      MB_RETURN_IF_ERROR(
          WriteInitialValues(*session, slot, layout, models[model].seed));
    }
  }
  models_ = std::move(models);
  layouts_ = std::move(layouts);
  slots_ = std::move(slots);
  session_ = std::move(session);
  WeightsChanged();
  for (const auto& [model, unused] : replaced) {
    active_[model] = 1;
    removed_[model] = 0;
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
