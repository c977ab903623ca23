#include "backends/libtorch/loss.h"

#include <ATen/core/Reduction.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/huber_loss.h>
#include <ATen/ops/l1_loss.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/smooth_l1_loss.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

namespace modelbatch::libtorch {
namespace {

at::Tensor ToTensor(const std::vector<double>& values, at::Device device) {
  return at::tensor(values, at::kFloat).to(device);
}

at::Tensor ZeroWhereNot(const at::Tensor& valid, const at::Tensor& values) {
  return at::where(valid, values, at::scalar_tensor(0, values.options()));
}

at::Tensor ClassLosses(const LossSettings& loss, const at::Tensor& output,
                       const Batch& batch) {
  const at::Tensor classes =
      batch.targets.tensor.expand({output.size(0), output.size(1)});
  const at::Tensor log_p =
      loss.kind == LossKind::kNll ? output : at::log_softmax(output, -1);
  at::Tensor losses =
      at::gather(log_p, -1, classes.unsqueeze(-1)).squeeze(-1).neg();
  if (batch.row_weights.defined()) losses = losses.mul(batch.row_weights);
  if (loss.label_smoothing == 0) return losses;
  at::Tensor all = log_p;
  if (!loss.weight.empty()) {
    all = all.mul(ToTensor(loss.weight, output.device()));
  }
  return losses.mul(1 - loss.label_smoothing)
      .sub(all.mean(-1), loss.label_smoothing);
}

at::Tensor ValueLosses(const LossSettings& loss, const at::Tensor& output,
                       const at::Tensor& targets) {
  switch (loss.kind) {
    case LossKind::kBceWithLogits:
      return at::binary_cross_entropy_with_logits(
          output, targets, {},
          loss.pos_weight.empty() ? at::Tensor()
                                  : ToTensor(loss.pos_weight, output.device()),
          at::Reduction::None);
    case LossKind::kL1:
      return at::l1_loss(output, targets, at::Reduction::None);
    case LossKind::kHuber:
      return at::huber_loss(output, targets, at::Reduction::None, loss.delta);
    case LossKind::kSmoothL1:
      return at::smooth_l1_loss(output, targets, at::Reduction::None,
                                loss.beta);
    default:
      return output.sub(targets).square();
  }
}

}  // namespace

at::Tensor RowLosses(const LossSettings& loss, const at::Tensor& output,
                     const Batch& batch) {
  if (!loss.has_classes()) {
    const at::Tensor losses =
        ValueLosses(loss, output, batch.targets.tensor.expand_as(output))
            .mean(-1);
    return batch.valid.defined() ? ZeroWhereNot(batch.valid, losses) : losses;
  }
  if (!batch.valid.defined()) return ClassLosses(loss, output, batch);
  // Before and after: a NaN of an ignored row would come back as 0 * NaN.
  return ZeroWhereNot(
      batch.valid,
      ClassLosses(loss, ZeroWhereNot(batch.valid.unsqueeze(-1), output),
                  batch));
}

at::Tensor ModelLosses(const at::Tensor& row_losses, const Batch& batch) {
  if (!batch.valid.defined() && !batch.row_weights.defined()) {
    return row_losses.mean(1);
  }
  return row_losses.sum(1).div(ToTensor(batch.weights, row_losses.device()));
}

at::Tensor CountCorrect(const at::Tensor& output, const Batch& batch) {
  const at::Tensor right = at::argmax(output, -1).eq(batch.targets.tensor);
  return (batch.valid.defined() ? right.logical_and(batch.valid) : right)
      .sum(1);
}

}  // namespace modelbatch::libtorch
