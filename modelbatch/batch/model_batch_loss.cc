// ModelBatch: losses of outputs that the caller has.
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/batch/model_batch_internal.h"
#include "modelbatch/loss/compute_loss.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/tensor/view.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

using batch_internal::InModel;

absl::StatusOr<bool> ModelBatch::TargetsAreShared(const Tensor& outputs,
                                                  const Tensor& targets,
                                                  bool classes,
                                                  TargetsOf whose) const {
  // What the targets of one model look like.
  Shape one(outputs.shape().begin() + 1, outputs.shape().end());
  if (classes) one.resize(1);
  Shape each = one;
  each.insert(each.begin(), num_models());
  const bool fits_shared = targets.shape() == one;
  const bool fits_each = targets.shape() == each;
  const bool shared = whose == TargetsOf::kShared ||
                      (whose == TargetsOf::kUnsaid && !fits_each);
  if (shared ? fits_shared : fits_each) return shared;
  return absl::InvalidArgumentError(
      absl::StrCat("targets are ", DTypeName(targets.dtype()), " ",
                   ShapeToString(targets.shape()), ", expected ",
                   classes ? "int64 " : "float32 ",
                   whose == TargetsOf::kPerModel ? "" : ShapeToString(one),
                   whose == TargetsOf::kUnsaid ? " for all models or " : "",
                   whose == TargetsOf::kShared ? "" : ShapeToString(each)));
}

absl::StatusOr<BatchLoss> ModelBatch::ComputeLoss(const Tensor& outputs,
                                                  const Tensor& targets,
                                                  const LossSpec& loss,
                                                  Reduction reduction,
                                                  TargetsOf whose) {
  MB_ASSIGN_OR_RETURN(const LossSettings settings, ReadLoss(loss));
  if (outputs.dtype() != DType::kFloat32 || outputs.shape().size() < 3 ||
      outputs.shape()[0] != num_models()) {
    return absl::InvalidArgumentError(
        absl::StrCat("outputs are ", DTypeName(outputs.dtype()), " ",
                     ShapeToString(outputs.shape()), ", expected float32 [",
                     num_models(), ", batch, ...] as Forward returns them"));
  }
  MB_ASSIGN_OR_RETURN(
      const bool shared,
      TargetsAreShared(outputs, targets, settings.has_classes(), whose));
  BatchLoss result;
  result.output_gradients = Tensor::Zeros(DType::kFloat32, outputs.shape());
  char* to = static_cast<char*>(result.output_gradients.raw());
  std::vector<double> losses;
  for (int i = 0; i < num_models(); ++i) {
    const Tensor own = shared ? targets.Borrow() : Entry(targets, i);
    absl::StatusOr<LossValue> value = modelbatch::ComputeLoss(
        settings, Entry(outputs, i), own, /*with_gradient=*/true);
    if (!value.ok()) return InModel(models_[i], value.status());
    losses.push_back(value->loss);
    std::memcpy(to, value->gradient.raw(), value->gradient.byte_size());
    to += value->gradient.byte_size();
  }
  double sum = 0;
  for (const double value : losses) sum += value;
  switch (reduction) {
    case Reduction::kMean:
      result.value = Tensor::FromVector<double>({sum / num_models()}, {});
      break;
    case Reduction::kSum:
      result.value = Tensor::FromVector<double>({sum}, {});
      break;
    case Reduction::kNone:
      result.value = Tensor::FromVector<double>(losses, {num_models()});
      break;
  }
  computed_losses_ = std::move(losses);
  return result;
}

absl::StatusOr<BatchLoss> ModelBatch::ComputeLoss(const Tensor& outputs,
                                                  const Tensor& targets) {
  return ComputeLoss(outputs, targets, loss_);
}

absl::Status ModelBatch::Backward(const BatchLoss& loss) {
  return Backward(loss.output_gradients);
}

}  // namespace modelbatch
