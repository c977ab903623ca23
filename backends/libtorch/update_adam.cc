#include "backends/libtorch/update_adam.h"

#include <ATen/ops/maximum.h>
#include <ATen/ops/mul.h>

#include <cmath>

#include "backends/libtorch/update_columns.h"

namespace modelbatch::libtorch {
namespace {

using grouped::OptimizerKind;
using grouped::UpdateRule;

// Positions in OptimizerInfo::hyper_parameters that all of them share.
constexpr int kLr = 0, kBeta1 = 1, kBeta2 = 2, kEps = 3, kWeightDecay = 4;

// The moving averages of the gradient and of its square:
//   m = lerp(m, g, 1 - beta1);  v = v beta2 + ((1 - beta2) g) g
class Moments {
 public:
  explicit Moments(UpdateColumns* c)
      : fresh1_(c->Add([&](int64_t i) { return 1 - c->Value(kBeta1, i); })),
        keep2_(c->Add(kBeta2)),
        fresh2_(c->Add([&](int64_t i) { return 1 - c->Value(kBeta2, i); })) {}

  // After Upload.
  void Move(const UpdateColumns& c, const UpdateTensors& t) const {
    t.states[0].lerp_(t.gradient, c[fresh1_]);
    t.states[1].mul_(c[keep2_]).addcmul_(t.gradient.mul(c[fresh2_]),
                                         t.gradient);
  }

 private:
  int fresh1_, keep2_, fresh2_;
};

// 1 - beta^t.
double Correction(const UpdateColumns& c, int beta, int64_t row) {
  return 1 - std::pow(c.Value(beta, row), static_cast<double>(c.Step(row)));
}

}  // namespace

// Kingma and Ba, "Adam", 2015; Loshchilov and Hutter, "Decoupled Weight Decay
// Regularization", 2019; Reddi, Kale and Kumar, "On the Convergence of Adam and
// Beyond", 2018, operation by operation as torch.optim.Adam and AdamW, so that
// roundings are theirs too:
//   p = p + (-lr / (1 - beta1^t) m) / (sqrt(v) / sqrt(1 - beta2^t) + eps)
void UpdateAdam(const UpdateRule& rule, const std::vector<int>& models,
                const std::vector<int64_t>& steps, const UpdateTensors& t) {
  constexpr int kAmsgrad = 5, kMaximize = 6;
  const bool decoupled = rule.optimizer == OptimizerKind::kAdamW;
  UpdateColumns c(rule, models, steps);
  const Decay decay(&c, kWeightDecay, kMaximize,
                    [decoupled](int64_t) { return decoupled; });
  const Moments moments(&c);
  const auto amsgrad = c.AddFlag(kAmsgrad);
  const int root =
      c.Add([&](int64_t i) { return std::sqrt(Correction(c, kBeta2, i)); });
  const int eps = c.Add(kEps);
  const int step = c.Add(
      [&](int64_t i) { return -c.Value(kLr, i) / Correction(c, kBeta1, i); });
  c.Upload(t.parameter.device());

  decay.Apply(c, t);
  moments.Move(c, t);
  at::Tensor square = t.states[1];
  if (amsgrad.any) {
    const at::Tensor& largest = t.states[2];
    largest.copy_(c.Choose(amsgrad, at::maximum(largest, square), largest));
    square = c.Choose(amsgrad, largest, square);
  }
  const at::Tensor denominator = square.sqrt().div_(c[root]).add_(c[eps]);
  at::Tensor scaled = t.gradient;
  at::mul_out(scaled, t.states[0], c[step]);
  t.parameter.addcdiv_(scaled, denominator);
}

// Dozat, "Incorporating Nesterov Momentum into Adam", 2016, as
// torch.optim.NAdam:
//   mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), M_t = mu_1 ... mu_t
//   p = p - lr ((1 - mu_t) / (1 - M_t) g + mu_{t+1} / (1 - M_{t+1}) m)
//           / (sqrt(v / (1 - beta2^t)) + eps)
void UpdateNAdam(const UpdateRule& rule, const std::vector<int>& models,
                 const std::vector<int64_t>& steps, const UpdateTensors& t) {
  constexpr int kMomentumDecay = 5, kDecoupled = 6, kMaximize = 7;
  UpdateColumns c(rule, models, steps);
  const Decay decay(&c, kWeightDecay, kMaximize,
                    [&](int64_t i) { return c.Value(kDecoupled, i) != 0; });
  const Moments moments(&c);
  const auto mu = [&](int64_t i, int64_t step) {
    const double count = static_cast<double>(step);
    return c.Value(kBeta1, i) *
           (1 - 0.5 * std::pow(0.96, count * c.Value(kMomentumDecay, i)));
  };
  for (int64_t i = 0; i < c.rows(); ++i) {
    if (c.Step(i) == 1) c.MuProduct(i) = 1;
    c.MuProduct(i) *= static_cast<float>(mu(i, c.Step(i)));
  }
  const int of_gradient = c.Add([&](int64_t i) {
    const double product = c.MuProduct(i);
    return -c.Value(kLr, i) * (1 - mu(i, c.Step(i))) / (1 - product);
  });
  const int of_average = c.Add([&](int64_t i) {
    const double next = mu(i, c.Step(i) + 1);
    return -c.Value(kLr, i) * next / (1 - c.MuProduct(i) * next);
  });
  const int correction2 =
      c.Add([&](int64_t i) { return Correction(c, kBeta2, i); });
  const int eps = c.Add(kEps);
  c.Upload(t.parameter.device());

  decay.Apply(c, t);
  moments.Move(c, t);
  const at::Tensor denominator =
      t.states[1].div(c[correction2]).sqrt_().add_(c[eps]);
  t.parameter.addcdiv_(t.gradient.mul_(c[of_gradient]), denominator);
  t.parameter.addcdiv_(t.states[0].mul(c[of_average]), denominator);
}

// Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020,
// as torch.optim.RAdam:
//   rho_inf = 2 / (1 - beta2) - 1
//   rho = rho_inf - 2 t beta2^t / (1 - beta2^t)
//   p = p - lr m / (1 - beta1^t), and where rho > 5 times
//       sqrt(1 - beta2^t) / (sqrt(v) + eps) r,
//   r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
void UpdateRAdam(const UpdateRule& rule, const std::vector<int>& models,
                 const std::vector<int64_t>& steps, const UpdateTensors& t) {
  constexpr int kDecoupled = 5, kMaximize = 6;
  UpdateColumns c(rule, models, steps);
  const Decay decay(&c, kWeightDecay, kMaximize,
                    [&](int64_t i) { return c.Value(kDecoupled, i) != 0; });
  const Moments moments(&c);
  const auto rho_inf = [&](int64_t i) {
    return 2 / (1 - c.Value(kBeta2, i)) - 1;
  };
  const auto rho = [&](int64_t i) {
    const double correction = Correction(c, kBeta2, i);
    return rho_inf(i) -
           2 * static_cast<double>(c.Step(i)) * (1 - correction) / correction;
  };
  const auto rectified = c.AddFlag([&](int64_t i) { return rho(i) > 5; });
  const int rectification = c.Add([&](int64_t i) {
    const double now = rho(i), end = rho_inf(i);
    if (now <= 5) return 1.0;
    return std::sqrt((now - 4) * (now - 2) * end /
                     ((end - 4) * (end - 2) * now));
  });
  const int root2 =
      c.Add([&](int64_t i) { return std::sqrt(Correction(c, kBeta2, i)); });
  const int correction1 =
      c.Add([&](int64_t i) { return Correction(c, kBeta1, i); });
  const int eps = c.Add(kEps);
  const int lr = c.Add(kLr);
  c.Upload(t.parameter.device());

  decay.Apply(c, t);
  moments.Move(c, t);
  at::Tensor update = t.states[0].div(c[correction1]).mul_(c[lr]);
  if (rectified.any) {
    const at::Tensor adaptive =
        t.states[1].sqrt().add_(c[eps]).reciprocal_().mul_(c[root2]);
    update = c.Choose(rectified, update.mul(adaptive).mul_(c[rectification]),
                      update);
  }
  t.parameter.sub_(update);
}

}  // namespace modelbatch::libtorch
