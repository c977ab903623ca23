#include "modelbatch/batch/model_batch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/model_batch_internal.h"
#include "modelbatch/model/initializer.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

using batch_internal::InModel;
using batch_internal::ModelName;
using batch_internal::WriteInitialValues;

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
  batch->backend_ = backend;
  batch->loss_ = std::move(loss);
  batch->max_rows_ = max_rows;
  batch->options_ = std::move(options);
  batch->models_ = std::move(models);
  batch->active_.assign(batch->models_.size(), 1);
  batch->removed_.assign(batch->models_.size(), 0);
  batch->slots_ = SlotMap(batch->num_models());
  MB_ASSIGN_OR_RETURN(batch->session_,
                      batch->CompileSession(batch->models_, batch->slots_));
  for (int i = 0; i < batch->num_models(); ++i) {
    MB_RETURN_IF_ERROR(WriteInitialValues(
        *batch->session_, i, batch->layouts_[i], batch->models_[i].seed));
  }
  return batch;
}

absl::StatusOr<std::unique_ptr<Session>> ModelBatch::CompileSession(
    const std::vector<ModelInstance>& models, const SlotMap& slots) const {
  CompileRequest request;
  for (const int model : slots.models()) {
    // Initial values are written here; a backend need not know where from.
    request.models.push_back({models[model].id, models[model].seed,
                              WithoutInitializers(models[model].spec)});
  }
  request.loss = loss_;
  request.max_rows = max_rows_;
  request.options = options_;
  return backend_->Compile(request);
}

absl::StatusOr<TuneReport> ModelBatch::EnableCompile(
    const TuneOptions& options) {
  MB_ASSIGN_OR_RETURN(TuneReport report,
                      batch_internal::Tune(*session_, options));
  compile_ = options;
  // The file was read and written; later sessions have the process' table.
  compile_->cache.clear();
  return report;
}

absl::Status ModelBatch::CheckModel(int model) const {
  MB_RETURN_IF_ERROR(CheckNumber(model));
  if (!removed(model)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(ModelName(models_[model]), " was removed"));
}

absl::Status ModelBatch::CheckNumber(int model) const {
  if (model >= 0 && model < num_models()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "model ", model, " does not exist, expected 0 to ", num_models() - 1));
}

absl::Status ModelBatch::CheckRows(const RowSet& rows) const {
  if (rows.offsets.empty()) return absl::OkStatus();
  if (static_cast<int>(rows.offsets.size()) != num_models() + 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "row offsets have ", rows.offsets.size(),
        " entries, expected number of models + 1 = ", num_models() + 1));
  }
  int64_t previous = 0;
  for (const int64_t offset : rows.offsets) {
    if (offset < previous || offset > static_cast<int64_t>(rows.rows.size())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "row offsets contain ", offset, " after ", previous,
          ", expected offsets that do not decrease, up to the number of rows, ",
          rows.rows.size()));
    }
    previous = offset;
  }
  return absl::OkStatus();
}

absl::Status ModelBatch::CheckOptimizer(const Optimizer& optimizer) const {
  if (optimizer_ == &optimizer.info() &&
      optimizer.num_models() == num_models()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the batch of ", num_models(), " models has ",
      optimizer_ == nullptr ? "no optimizer" : optimizer_->kind,
      ", the step came with ", optimizer.info().kind, " for ",
      optimizer.num_models(),
      "; make the optimizer with OptimizerFactory for this batch"));
}

absl::Status ModelBatch::SetOptimizer(const std::string& kind) {
  MB_ASSIGN_OR_RETURN(const OptimizerInfo* info, FindOptimizer(kind));
  MB_RETURN_IF_ERROR(session_->SetOptimizer(kind));
  WeightsChanged();  // the step counts choose the masks
  optimizer_ = info;
  held_states_.clear();
  return absl::OkStatus();
}

absl::Status ModelBatch::SetActive(int model, bool active) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  active_[model] = active;
  return absl::OkStatus();
}

absl::Status ModelBatch::TrainStep(const Dataset& dataset, const RowSet& rows,
                                   const Optimizer& optimizer) {
  MB_RETURN_IF_ERROR(CheckOptimizer(optimizer));
  if (!slots_.identity()) MB_RETURN_IF_ERROR(CheckRows(rows));
  StepRequest request;
  request.dataset = &dataset;
  request.rows = slots_.Rows(rows);
  request.columns = slots_.Columns(optimizer.columns());
  request.active = slots_.Active(active_);
  // First: a step that fails may have been made by some models.
  NoteStates(optimizer);
  MB_RETURN_IF_ERROR(session_->TrainStep(request, &step_));
  WeightsChanged();
  has_gradients_ = false;
  KeepLosses();
  KeepOutcomes();
  return absl::OkStatus();
}

void ModelBatch::KeepLosses() {
  slots_.Scatter(0.0f, &step_.losses);
  std::swap(last_step_.losses, step_.losses);
  computed_losses_.clear();
}

void ModelBatch::KeepOutcomes() {
  slots_.Scatter(Outcome::kInactive, &step_.outcomes);
  std::swap(last_step_.outcomes, step_.outcomes);
}

absl::Status ModelBatch::Evaluate(const Dataset& dataset, const RowSet& rows,
                                  EvaluateResult* result) {
  if (!slots_.identity()) MB_RETURN_IF_ERROR(CheckRows(rows));
  EvaluateRequest request;
  request.dataset = &dataset;
  request.rows = slots_.Rows(rows);
  request.active = slots_.Active(active_);
  MB_RETURN_IF_ERROR(session_->Evaluate(request, result));
  slots_.Scatter(0.0, &result->losses);
  slots_.Scatter(int64_t{-1}, &result->correct);
  return absl::OkStatus();
}

absl::Status ModelBatch::Predict(const Dataset& dataset, const RowSet& rows,
                                 std::vector<Tensor>* outputs) {
  return RunForward(dataset, rows, /*training=*/false, outputs);
}

absl::Status ModelBatch::RunForward(const Dataset& dataset, const RowSet& rows,
                                    bool training,
                                    std::vector<Tensor>* outputs) {
  if (!slots_.identity()) MB_RETURN_IF_ERROR(CheckRows(rows));
  ForwardRequest request;
  request.dataset = &dataset;
  request.rows = slots_.Rows(rows);
  request.training = training;
  std::vector<Tensor> by_slot;
  MB_RETURN_IF_ERROR(session_->Forward(request, &by_slot));
  outputs->clear();
  outputs->resize(num_models());
  for (int slot = 0; slot < slots_.num_slots(); ++slot) {
    const int model = slots_.models()[slot];
    if (!removed(model)) (*outputs)[model] = std::move(by_slot[slot]);
  }
  return absl::OkStatus();
}

std::map<std::string, double> ModelBatch::Metrics() const {
  std::map<std::string, double> metrics;
  for (size_t i = 0; i < computed_losses_.size(); ++i) {
    metrics[absl::StrCat("loss_model_", i)] = computed_losses_[i];
  }
  if (!metrics.empty()) return metrics;
  for (size_t i = 0; i < last_step_.losses.size(); ++i) {
    const Outcome outcome = last_step_.outcomes[i];
    if (outcome == Outcome::kInactive || outcome == Outcome::kEmpty) continue;
    metrics[absl::StrCat("loss_model_", i)] = last_step_.losses[i];
  }
  return metrics;
}

}  // namespace modelbatch
