#include "backends/libtorch/loss.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/_log_softmax_backward_data.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/huber_loss.h>
#include <ATen/ops/l1_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/smooth_l1_loss.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

namespace modelbatch::libtorch {
namespace {

at::Tensor ToTensor(const std::vector<double>& values, at::Device device) {
  return at::tensor(values, at::kFloat).to(device);
}

// Whether rows weigh differently.
bool HasWeights(const Batch& batch) {
  return batch.valid.defined() || batch.row_weights.defined();
}

at::Tensor ZeroWhereNot(const at::Tensor& valid, const at::Tensor& values) {
  return at::where(valid, values, at::scalar_tensor(0, values.options()));
}

// Of losses on classes, tensors of [n, classes, rows]: a sum over the few
// classes is then one of vectors.
at::Tensor LogProbabilities(const LossSettings& loss, const at::Tensor& output,
                            const Batch& batch) {
  at::Tensor logits = output.transpose(1, 2);
  // A NaN of an ignored row would come back as 0 * NaN.
  if (batch.valid.defined()) {
    logits = ZeroWhereNot(batch.valid.unsqueeze(1), logits);
  }
  return loss.kind == LossKind::kNll
             ? logits
             : at::_log_softmax(logits, 1, /*half_to_float=*/false);
}

// [n, 1, rows].
at::Tensor Classes(const at::Tensor& log_p, const Batch& batch) {
  return batch.targets.tensor.expand({log_p.size(0), log_p.size(2)})
      .unsqueeze(1);
}

at::Tensor ClassWeights(const LossSettings& loss, at::Device device) {
  return ToTensor(loss.weight, device).unsqueeze(-1);
}

at::Tensor ClassLosses(const LossSettings& loss, const at::Tensor& log_p,
                       const Batch& batch) {
  at::Tensor losses =
      at::gather(log_p, 1, Classes(log_p, batch)).squeeze(1).neg_();
  if (batch.row_weights.defined()) losses.mul_(batch.row_weights);
  if (loss.label_smoothing != 0) {
    const at::Tensor all = loss.weight.empty()
                               ? log_p
                               : log_p.mul(ClassWeights(loss, log_p.device()));
    losses.mul_(1 - loss.label_smoothing)
        .sub_(all.mean(1), loss.label_smoothing);
  }
  return batch.valid.defined() ? ZeroWhereNot(batch.valid, losses) : losses;
}

// What each row's term is divided by, [n, 1].
at::Tensor Divisors(const Batch& batch, at::Device device) {
  return ToTensor(batch.weights, device).unsqueeze(-1);
}

// Of ModelLosses of ClassLosses, by the output.
at::Tensor ClassGradient(const LossSettings& loss, const at::Tensor& log_p,
                         const Batch& batch) {
  const at::Tensor classes = Classes(log_p, batch);
  at::Tensor by_log_p = at::zeros(log_p.sizes(), log_p.options());
  const double own = loss.label_smoothing - 1;
  if (!HasWeights(batch) && loss.label_smoothing == 0) {
    by_log_p.scatter_(1, classes, -1.0 / static_cast<double>(log_p.size(2)));
  } else {
    const at::Tensor ones =
        at::ones({log_p.size(0), log_p.size(2)}, log_p.options());
    const at::Tensor share = ones.div(Divisors(batch, log_p.device()));
    at::Tensor at_class = share.mul(own);
    if (batch.row_weights.defined()) at_class.mul_(batch.row_weights);
    by_log_p.scatter_(1, classes, at_class.unsqueeze(1));
    if (loss.label_smoothing != 0) {
      at::Tensor at_all = share.unsqueeze(1).mul(
          -loss.label_smoothing / static_cast<double>(log_p.size(1)));
      if (!loss.weight.empty()) {
        at_all = at_all.mul(ClassWeights(loss, log_p.device()));
      }
      by_log_p.add_(at_all);
    }
    if (batch.valid.defined()) {
      by_log_p = ZeroWhereNot(batch.valid.unsqueeze(1), by_log_p);
    }
  }
  return (loss.kind == LossKind::kNll
              ? by_log_p
              : at::_log_softmax_backward_data(by_log_p, log_p, 1, at::kFloat))
      .transpose(1, 2);
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
  return ClassLosses(loss, LogProbabilities(loss, output, batch), batch);
}

at::Tensor ModelLosses(const at::Tensor& row_losses, const Batch& batch) {
  if (!HasWeights(batch)) return row_losses.mean(1);
  return row_losses.sum(1).div(ToTensor(batch.weights, row_losses.device()));
}

ModelLossesAndGradient LossesAndGradient(const LossSettings& loss,
                                         const at::Tensor& output,
                                         const Batch& batch) {
  if (loss.has_classes()) {
    const at::AutoDispatchBelowADInplaceOrView without_autograd;
    const at::Tensor log_p = LogProbabilities(loss, output, batch);
    return {ModelLosses(ClassLosses(loss, log_p, batch), batch),
            ClassGradient(loss, log_p, batch)};
  }
  const at::AutoGradMode with_gradients(true);
  const at::Tensor leaf = output.detach().requires_grad_();
  const at::Tensor losses = ModelLosses(RowLosses(loss, leaf, batch), batch);
  // Each model's own loss: a sum over models, not a mean.
  return {losses.detach(),
          torch::autograd::grad({losses}, {leaf}, {at::ones_like(losses)})[0]};
}

at::Tensor CountCorrect(const at::Tensor& output, const Batch& batch) {
  const at::Tensor right = at::argmax(output, -1).eq(batch.targets.tensor);
  return (batch.valid.defined() ? right.logical_and(batch.valid) : right)
      .sum(1);
}

}  // namespace modelbatch::libtorch
