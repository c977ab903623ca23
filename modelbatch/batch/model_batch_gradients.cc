// ModelBatch: the parts of a step.
#include <cstring>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/batch/model_batch_internal.h"
#include "modelbatch/tensor/view.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

using batch_internal::ModelName;

namespace {

constexpr char kGradient[] = "grad";

Shape WithRows(int64_t rows, const Shape& shape) {
  Shape result = {rows};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

}  // namespace

absl::StatusOr<Tensor> ModelBatch::Forward(const Tensor& inputs) {
  const Shape& row = models_[0].spec.input_shape();
  const size_t rank = row.size() + 1;
  const Shape& shape = inputs.shape();
  const bool shared = shape.size() == rank;
  const bool fits =
      inputs.dtype() == DType::kFloat32 &&
      (shared || (shape.size() == rank + 1 && shape[0] == num_models())) &&
      std::equal(row.begin(), row.end(), shape.end() - row.size());
  if (!fits) {
    return absl::InvalidArgumentError(
        absl::StrCat("inputs are ", DTypeName(inputs.dtype()), " ",
                     ShapeToString(shape), ", expected float32 [batch, *",
                     ShapeToString(row), "] for all models or [", num_models(),
                     ", batch, *", ShapeToString(row), "]"));
  }
  for (int i = 0; i < num_models(); ++i) {
    if (removed(i)) {
      return absl::InvalidArgumentError(absl::StrCat(
          ModelName(models_[i]),
          " was removed: its outputs have no place in one tensor, use Forward "
          "on a dataset"));
    }
    if (layouts_[i].output() == layouts_[0].output()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "outputs of ", ModelName(models_[0]), " are ",
        ShapeToString(layouts_[0].output()), " a row, of ",
        ModelName(models_[i]), " ", ShapeToString(layouts_[i].output()),
        ": they do not make one tensor, use Forward on a dataset"));
  }
  const int64_t batch = shape[shared ? 0 : 1];
  const int64_t rows = shared ? batch : batch * num_models();
  // A copy, as Backward reads them again.
  const Tensor own = training_ ? inputs.Clone() : inputs.Borrow();
  MB_ASSIGN_OR_RETURN(
      std::unique_ptr<Dataset> dataset,
      backend_->CreateDataset(View(own, WithRows(rows, row)), Tensor()));
  std::vector<int32_t> ids(rows);
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<int64_t> offsets;
  for (int i = 0; !shared && i <= num_models(); ++i) {
    offsets.push_back(i * batch);
  }
  std::vector<Tensor> outputs;
  MB_RETURN_IF_ERROR(Forward(*dataset, {ids, offsets}, &outputs));
  forward_.inputs = std::move(dataset);
  Tensor result = Tensor::Zeros(
      DType::kFloat32,
      WithRows(num_models(), WithRows(batch, layouts_[0].output())));
  float* to = result.data<float>();
  for (const Tensor& output : outputs) {
    if (output.byte_size() > 0) {
      std::memcpy(to, output.raw(), output.byte_size());
    }
    to += output.size();
  }
  return result;
}

absl::Status ModelBatch::Forward(const Dataset& dataset, const RowSet& rows,
                                 std::vector<Tensor>* outputs) {
  MB_RETURN_IF_ERROR(CheckRows(rows));
  forward_ = ForwardPass();
  MB_RETURN_IF_ERROR(RunForward(dataset, rows, training_, outputs));
  if (!training_) return absl::OkStatus();
  forward_.dataset = &dataset;
  forward_.rows.assign(rows.rows.begin(), rows.rows.end());
  forward_.offsets.assign(rows.offsets.begin(), rows.offsets.end());
  for (const Tensor& output : *outputs) {
    forward_.outputs.push_back(output.shape());
  }
  return absl::OkStatus();
}

absl::Status ModelBatch::Backward(const Tensor& output_gradients) {
  std::vector<Tensor> parts;
  if (forward_.dataset != nullptr) {
    Shape expected = forward_.outputs[0];
    expected.insert(expected.begin(), num_models());
    bool alike = true;
    for (const Shape& shape : forward_.outputs) {
      alike &= shape == forward_.outputs[0];
    }
    if (!alike || output_gradients.dtype() != DType::kFloat32 ||
        output_gradients.shape() != expected) {
      return absl::InvalidArgumentError(absl::StrCat(
          "output gradients are ", DTypeName(output_gradients.dtype()), " ",
          ShapeToString(output_gradients.shape()), ", expected ",
          alike ? absl::StrCat("float32 ", ShapeToString(expected))
                : "one tensor a model, as outputs differ in shape"));
    }
    for (int i = 0; i < num_models(); ++i) {
      parts.push_back(Entry(output_gradients, i));
    }
  }
  return Backward(parts);
}

absl::Status ModelBatch::Backward(absl::Span<const Tensor> output_gradients) {
  if (forward_.dataset == nullptr) {
    return absl::FailedPreconditionError(
        "Backward needs a Forward in training mode since the last change of "
        "the weights");
  }
  if (static_cast<int>(output_gradients.size()) != num_models()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there are ", output_gradients.size(),
        " output gradients, expected one a model, ", num_models()));
  }
  BackwardRequest request;
  request.dataset = forward_.dataset;
  request.rows = slots_.Rows(forward_.row_set());
  request.active = slots_.Active(active_);
  std::vector<Tensor> by_slot;
  for (const int model : slots_.models()) {
    const Tensor& gradient = output_gradients[model];
    if (active_[model] != 0 && (gradient.dtype() != DType::kFloat32 ||
                                gradient.shape() != forward_.outputs[model])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the output gradient of ", ModelName(models_[model]), " is ",
          DTypeName(gradient.dtype()), " ", ShapeToString(gradient.shape()),
          ", expected float32 ", ShapeToString(forward_.outputs[model])));
    }
    by_slot.push_back(gradient.Borrow());
  }
  request.output_gradients = by_slot;
  MB_RETURN_IF_ERROR(session_->Backward(request, &step_.outcomes));
  has_gradients_ = true;
  KeepOutcomes();
  return absl::OkStatus();
}

absl::Status ModelBatch::Accumulate(const Dataset& dataset,
                                    const RowSet& rows) {
  MB_RETURN_IF_ERROR(CheckRows(rows));
  StepRequest request;
  request.dataset = &dataset;
  request.rows = slots_.Rows(rows);
  request.active = slots_.Active(active_);
  request.keep_gradients = true;
  request.update = false;
  request.accumulate = true;
  MB_RETURN_IF_ERROR(session_->TrainStep(request, &step_));
  has_gradients_ = true;
  KeepLosses();
  KeepOutcomes();
  return absl::OkStatus();
}

absl::Status ModelBatch::Step(const Optimizer& optimizer) {
  MB_RETURN_IF_ERROR(CheckOptimizer(optimizer));
  UpdateRequest request;
  request.columns = slots_.Columns(optimizer.columns());
  request.active = slots_.Active(active_);
  NoteStates(optimizer);  // first, as in TrainStep
  MB_RETURN_IF_ERROR(session_->Update(request, &step_.outcomes));
  WeightsChanged();
  KeepOutcomes();
  return absl::OkStatus();
}

absl::Status ModelBatch::ZeroGrad(bool set_to_none) {
  MB_RETURN_IF_ERROR(session_->ZeroGrad(set_to_none));
  has_gradients_ = false;
  return absl::OkStatus();
}

absl::StatusOr<Tensor> ModelBatch::Gradient(int model,
                                            const std::string& parameter) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  return session_->ReadState(slots_.slot(model), kGradient, parameter);
}

}  // namespace modelbatch
