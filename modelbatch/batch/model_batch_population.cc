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
using batch_internal::WriteInitialValues;

namespace {

constexpr char kParam[] = "param";
constexpr char kStep[] = "step";

}  // namespace

std::vector<std::string> ModelBatch::StateSlots() const {
  std::vector<std::string> slots = {kParam};
  if (optimizer_ != nullptr) {
    slots.insert(slots.end(), optimizer_->state.begin(),
                 optimizer_->state.end());
  }
  return slots;
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
  for (const std::string& slot : StateSlots()) {
    for (const Parameter& parameter : layouts_[model].parameters) {
      MB_ASSIGN_OR_RETURN(Tensor value,
                          session_->ReadState(at, slot, parameter.name));
      state.slots[slot].insert({parameter.name, std::move(value)});
    }
  }
  if (optimizer_ != nullptr) {
    MB_ASSIGN_OR_RETURN(const Tensor step, session_->ReadState(at, kStep, ""));
    state.step = step.data<int64_t>()[0];
  }
  return state;
}

absl::Status ModelBatch::CheckState(int model, const ModelState& state) const {
  for (const std::string& slot : StateSlots()) {
    for (const Parameter& parameter : layouts_[model].parameters) {
      const std::string name = absl::StrCat(slot, " ", parameter.name);
      const auto tensors = state.slots.find(slot);
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
  const std::vector<std::string> known = StateSlots();
  for (const auto& [slot, tensors] : state.slots) {
    if (std::find(known.begin(), known.end(), slot) == known.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the state has ", slot, ", which ",
                       optimizer_ == nullptr ? "a batch without optimizer"
                                             : optimizer_->kind,
                       " does not have"));
    }
    for (const auto& [name, value] : tensors) {
      const bool there = std::any_of(
          layouts_[model].parameters.begin(), layouts_[model].parameters.end(),
          [&name = name](const Parameter& p) { return p.name == name; });
      if (!there) {
        return absl::InvalidArgumentError(
            absl::StrCat("the state has ", slot, " ", name,
                         ", which the model does not have"));
      }
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
  for (const std::string& name : StateSlots()) {
    for (const Parameter& parameter : layout.parameters) {
      MB_RETURN_IF_ERROR(session.WriteState(
          slot, name, parameter.name, state.slots.at(name).at(parameter.name)));
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
  for (const std::string& slot : StateSlots()) {
    for (size_t p = 0; p < layout.parameters.size(); ++p) {
      const Parameter& parameter = layout.parameters[p];
      state.slots[slot].insert(
          {parameter.name,
           slot == kParam
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
