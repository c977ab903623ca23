#include "backends/libtorch/optimizer.h"

#include <ATen/ops/addcmul.h>
#include <ATen/ops/where.h>

#include "backends/libtorch/update_adam.h"
#include "backends/libtorch/update_columns.h"

namespace modelbatch::libtorch {
namespace {

using grouped::OptimizerKind;
using grouped::UpdateRule;

// Columns are by their positions in OptimizerInfo::hyper_parameters.
constexpr int kLr = 0;

int AddStep(UpdateColumns* c) {
  return c->Add([c](int64_t i) { return -c->Value(kLr, i); });
}

// As torch.optim.SGD: the first update sets the buffer to the gradient, and a
// model without momentum has no buffer.
void UpdateSgd(const UpdateRule& rule, const std::vector<int>& models,
               const std::vector<int64_t>& steps, const UpdateTensors& t) {
  constexpr int kMomentum = 1, kDampening = 2, kWeightDecay = 3, kNesterov = 4,
                kMaximize = 5;
  UpdateColumns c(rule, models, steps);
  const Decay decay(&c, kWeightDecay, kMaximize);
  const int step = AddStep(&c);
  const int keep = c.Add(kMomentum);
  const int fresh =
      c.Add([&](int64_t i) { return 1 - c.Value(kDampening, i); });
  const auto first = c.AddFlag([&](int64_t i) { return c.Step(i) == 1; });
  const auto with_momentum = c.AddFlag(kMomentum);
  const auto nesterov = c.AddFlag(kNesterov);
  c.Upload(t.parameter.device());

  decay.Apply(c, t);
  at::Tensor g = t.gradient;
  if (with_momentum.any) {
    at::Tensor buffer = t.states[0].mul(c[keep]).addcmul_(g, c[fresh]);
    buffer = c.Choose(first, g, buffer);
    t.states[0].copy_(c.Choose(with_momentum, buffer, t.states[0]));
    at::Tensor direction = buffer;
    if (nesterov.any) {
      direction = c.Choose(nesterov, at::addcmul(g, buffer, c[keep]), buffer);
    }
    g = c.Choose(with_momentum, direction, g);
  }
  t.parameter.addcmul_(g, c[step]);
}

// As torch.optim.RMSprop: a model without momentum has no buffer, one that is
// not centered no average of gradients.
void UpdateRmsProp(const UpdateRule& rule, const std::vector<int>& models,
                   const std::vector<int64_t>& steps, const UpdateTensors& t) {
  constexpr int kAlpha = 1, kEps = 2, kWeightDecay = 3, kMomentum = 4,
                kCentered = 5, kMaximize = 6;
  UpdateColumns c(rule, models, steps);
  const Decay decay(&c, kWeightDecay, kMaximize);
  const int step = AddStep(&c);
  const int alpha = c.Add(kAlpha);
  const int fresh = c.Add([&](int64_t i) { return 1 - c.Value(kAlpha, i); });
  const int eps = c.Add(kEps);
  const int momentum = c.Add(kMomentum);
  const auto with_momentum = c.AddFlag(kMomentum);
  const auto centered = c.AddFlag(kCentered);
  c.Upload(t.parameter.device());

  decay.Apply(c, t);
  const at::Tensor& g = t.gradient;
  const at::Tensor& square = t.states[0];
  square.mul_(c[alpha]).addcmul_(g.mul(c[fresh]), g);
  at::Tensor variance = square;
  if (centered.any) {
    const at::Tensor& average = t.states[2];
    average.copy_(c.Choose(centered, average.lerp(g, c[fresh]), average));
    // Rounding may leave less than 0, of which torch takes the root.
    variance = c.Choose(
        centered, square.addcmul(average, average, -1).clamp_min_(0), square);
  }
  const at::Tensor root = variance.sqrt().add_(c[eps]);
  if (!with_momentum.any) {
    t.parameter.addcdiv_(g.mul(c[step]), root);
    return;
  }
  const at::Tensor buffer = t.states[1].mul(c[momentum]).add_(g.div(root));
  const at::Tensor moved = at::addcmul(t.parameter, buffer, c[step]);
  t.parameter.copy_(with_momentum.all
                        ? moved
                        : c.Choose(with_momentum, moved,
                                   t.parameter.addcdiv(g.mul(c[step]), root)));
  t.states[1].copy_(c.Choose(with_momentum, buffer, t.states[1]));
}

// As torch.optim.Adagrad.
void UpdateAdagrad(const UpdateRule& rule, const std::vector<int>& models,
                   const std::vector<int64_t>& steps, const UpdateTensors& t) {
  constexpr int kLrDecay = 1, kWeightDecay = 2, kInitial = 3, kEps = 4,
                kMaximize = 5;
  UpdateColumns c(rule, models, steps);
  const Decay decay(&c, kWeightDecay, kMaximize);
  const int step = c.Add([&](int64_t i) {
    const double count = static_cast<double>(c.Step(i) - 1);
    return -(c.Value(kLr, i) / (1 + count * c.Value(kLrDecay, i)));
  });
  const int initial = c.Add(kInitial);
  const int eps = c.Add(kEps);
  const auto first = c.AddFlag([&](int64_t i) { return c.Step(i) == 1; });
  c.Upload(t.parameter.device());

  decay.Apply(c, t);
  const at::Tensor& sum = t.states[0];
  if (first.any) {
    sum.copy_(c.Choose(first, c[initial].expand_as(sum), sum));
  }
  sum.addcmul_(t.gradient, t.gradient);
  const at::Tensor root = sum.sqrt().add_(c[eps]);
  t.parameter.addcdiv_(t.gradient.mul_(c[step]), root);
}

// As torch.optim.Adadelta.
void UpdateAdadelta(const UpdateRule& rule, const std::vector<int>& models,
                    const std::vector<int64_t>& steps, const UpdateTensors& t) {
  constexpr int kRho = 1, kEps = 2, kWeightDecay = 3, kMaximize = 4;
  UpdateColumns c(rule, models, steps);
  const Decay decay(&c, kWeightDecay, kMaximize);
  const int step = AddStep(&c);
  const int rho = c.Add(kRho);
  const int fresh = c.Add([&](int64_t i) { return 1 - c.Value(kRho, i); });
  const int eps = c.Add(kEps);
  c.Upload(t.parameter.device());

  decay.Apply(c, t);
  const at::Tensor &square = t.states[0], &changes = t.states[1];
  square.mul_(c[rho]).addcmul_(t.gradient.mul(c[fresh]), t.gradient);
  const at::Tensor root = square.add(c[eps]).sqrt_();
  const at::Tensor delta =
      changes.add(c[eps]).sqrt_().div_(root).mul_(t.gradient);
  changes.mul_(c[rho]).addcmul_(delta.mul(c[fresh]), delta);
  t.parameter.addcmul_(delta, c[step]);
}

// Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023,
// Algorithm 2:
//   c = beta1 m + (1 - beta1) g;  p = p - lr (sign(c) + weight_decay p)
//   m = beta2 m + (1 - beta2) g
void UpdateLion(const UpdateRule& rule, const std::vector<int>& models,
                const std::vector<int64_t>& steps, const UpdateTensors& t) {
  constexpr int kBeta1 = 1, kBeta2 = 2, kWeightDecay = 3, kMaximize = 4;
  UpdateColumns c(rule, models, steps);
  const Decay decay(&c, kWeightDecay, kMaximize, [](int64_t) { return true; });
  const int step = AddStep(&c);
  const int keep1 = c.Add(kBeta1), keep2 = c.Add(kBeta2);
  const int fresh1 = c.Add([&](int64_t i) { return 1 - c.Value(kBeta1, i); });
  const int fresh2 = c.Add([&](int64_t i) { return 1 - c.Value(kBeta2, i); });
  c.Upload(t.parameter.device());

  decay.Apply(c, t);
  const at::Tensor direction =
      t.states[0].mul(c[keep1]).addcmul_(t.gradient, c[fresh1]).sign_();
  t.states[0].mul_(c[keep2]).addcmul_(t.gradient, c[fresh2]);
  t.parameter.addcmul_(direction, c[step]);
}

}  // namespace

void Update(const UpdateRule& rule, const std::vector<int>& models,
            const std::vector<int64_t>& steps, const UpdateTensors& tensors) {
  switch (rule.optimizer) {
    case OptimizerKind::kNone:
      return;
    case OptimizerKind::kSgd:
      return UpdateSgd(rule, models, steps, tensors);
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return UpdateAdam(rule, models, steps, tensors);
    case OptimizerKind::kNAdam:
      return UpdateNAdam(rule, models, steps, tensors);
    case OptimizerKind::kRAdam:
      return UpdateRAdam(rule, models, steps, tensors);
    case OptimizerKind::kRmsProp:
      return UpdateRmsProp(rule, models, steps, tensors);
    case OptimizerKind::kAdagrad:
      return UpdateAdagrad(rule, models, steps, tensors);
    case OptimizerKind::kAdadelta:
      return UpdateAdadelta(rule, models, steps, tensors);
    case OptimizerKind::kLion:
      return UpdateLion(rule, models, steps, tensors);
  }
}

}  // namespace modelbatch::libtorch
