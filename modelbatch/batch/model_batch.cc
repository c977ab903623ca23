#include "modelbatch/batch/model_batch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/model/initialize.h"
#include "modelbatch/model/initializer.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr char kParam[] = "param";
constexpr char kStep[] = "step";

std::string ModelName(const ModelInstance& model) {
  return absl::StrCat("model ", model.id);
}

absl::Status InModel(const ModelInstance& model, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(ModelName(model), ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelBatch>> ModelBatch::Create(
    Backend* backend, std::vector<ModelInstance> models, LossSpec loss,
    int64_t max_rows, Attributes options) {
  if (models.empty()) {
    return absl::InvalidArgumentError("no models, expected at least one");
  }
  auto batch = std::unique_ptr<ModelBatch>(new ModelBatch);
  for (const ModelInstance& model : models) {
    absl::StatusOr<Layout> layout = InferLayout(model.spec);
    if (!layout.ok()) return InModel(model, layout.status());
    batch->layouts_.push_back(*std::move(layout));
    MB_RETURN_IF_ERROR(CheckSameGraph(models[0].spec, ModelName(models[0]),
                                      model.spec, ModelName(model)));
  }
  CompileRequest request{{}, std::move(loss), max_rows, std::move(options)};
  for (const ModelInstance& model : models) {
    // Initial values are written here; a backend need not know where from.
    request.models.push_back(
        {model.id, model.seed, WithoutInitializers(model.spec)});
  }
  MB_ASSIGN_OR_RETURN(batch->session_, backend->Compile(request));
  batch->models_ = std::move(models);
  batch->active_.assign(batch->models_.size(), 1);
  for (int i = 0; i < batch->num_models(); ++i) {
    const Layout& layout = batch->layouts_[i];
    for (size_t p = 0; p < layout.parameters.size(); ++p) {
      MB_RETURN_IF_ERROR(batch->session_->WriteState(
          i, kParam, layout.parameters[p].name,
          InitialValue(layout, static_cast<int>(p), batch->models_[i].seed)));
    }
  }
  return batch;
}

absl::Status ModelBatch::SetOptimizer(const std::string& kind) {
  MB_ASSIGN_OR_RETURN(const OptimizerInfo* info, FindOptimizer(kind));
  MB_RETURN_IF_ERROR(session_->SetOptimizer(kind));
  optimizer_ = info;
  return absl::OkStatus();
}

absl::Status ModelBatch::TrainStep(const Dataset& dataset, const RowSet& rows,
                                   const Optimizer& optimizer) {
  if (optimizer_ != &optimizer.info() ||
      optimizer.num_models() != num_models()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the batch of ", num_models(), " models has ",
        optimizer_ == nullptr ? "no optimizer" : optimizer_->kind,
        ", the step came with ", optimizer.info().kind, " for ",
        optimizer.num_models(),
        "; make the optimizer with OptimizerFactory for this batch"));
  }
  StepRequest request;
  request.dataset = &dataset;
  request.rows = rows;
  request.columns = optimizer.columns();
  request.active = active_;
  return session_->TrainStep(request, &last_step_);
}

absl::Status ModelBatch::Evaluate(const Dataset& dataset, const RowSet& rows,
                                  EvaluateResult* result) {
  EvaluateRequest request;
  request.dataset = &dataset;
  request.rows = rows;
  request.active = active_;
  return session_->Evaluate(request, result);
}

absl::Status ModelBatch::Forward(const Dataset& dataset, const RowSet& rows,
                                 std::vector<Tensor>* outputs) {
  return session_->Forward(dataset, rows, outputs);
}

std::vector<std::string> ModelBatch::StateSlots() const {
  std::vector<std::string> slots = {kParam};
  if (optimizer_ != nullptr) {
    slots.insert(slots.end(), optimizer_->state.begin(),
                 optimizer_->state.end());
  }
  return slots;
}

absl::Status ModelBatch::CheckModel(int model) const {
  if (model >= 0 && model < num_models()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "model ", model, " does not exist, expected 0 to ", num_models() - 1));
}

absl::Status ModelBatch::SetActive(int model, bool active) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  active_[model] = active;
  return absl::OkStatus();
}

absl::StatusOr<ModelState> ModelBatch::GetModelState(int model) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  ModelState state;
  for (const std::string& slot : StateSlots()) {
    for (const Parameter& parameter : layouts_[model].parameters) {
      MB_ASSIGN_OR_RETURN(Tensor value,
                          session_->ReadState(model, slot, parameter.name));
      state.slots[slot].insert({parameter.name, std::move(value)});
    }
  }
  if (optimizer_ != nullptr) {
    MB_ASSIGN_OR_RETURN(const Tensor step,
                        session_->ReadState(model, kStep, ""));
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
      if (value->dtype() != DType::kFloat32 ||
          value->shape() != parameter.shape) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, " is ", DTypeName(value->dtype()), " ",
                         ShapeToString(value->shape()), ", expected float32 ",
                         ShapeToString(parameter.shape)));
      }
    }
  }
  if (state.step < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("step is ", state.step, ", expected at least 0"));
  }
  return absl::OkStatus();
}

absl::Status ModelBatch::LoadModelState(int model, const ModelState& state) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  if (absl::Status status = CheckState(model, state); !status.ok()) {
    return InModel(models_[model], status);
  }
  for (const std::string& slot : StateSlots()) {
    for (const Parameter& parameter : layouts_[model].parameters) {
      MB_RETURN_IF_ERROR(
          session_->WriteState(model, slot, parameter.name,
                               state.slots.at(slot).at(parameter.name)));
    }
  }
  if (optimizer_ == nullptr) return absl::OkStatus();
  return session_->WriteState(model, kStep, "",
                              Tensor::FromVector<int64_t>({state.step}, {}));
}

}  // namespace modelbatch
