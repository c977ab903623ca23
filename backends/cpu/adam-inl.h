// Adam and its kin, operation by operation as torch.optim makes them.
#ifndef BACKENDS_CPU_ADAM_INL_H_
#define BACKENDS_CPU_ADAM_INL_H_

#include <cstdint>

#include "backends/cpu/optimizer-inl.h"
#include "backends/cpu/optimizer_args.h"
#include "backends/cpu/parts-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Kingma and Ba, "Adam", 2015, and Loshchilov and Hutter, "Decoupled Weight
// Decay Regularization", 2019:
//   m = lerp(m, g, 1 - beta1); v = beta2 v + (1 - beta2) g g
//   p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
// With amsgrad (Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond",
// 2018) the largest v so far in the place of v.
class AdamUpdate {
 public:
  MODELBATCH_MEMBER explicit AdamUpdate(const AdamArgs& a)
      : exp_avg_(a.exp_avg),
        exp_avg_sq_(a.exp_avg_sq),
        max_exp_avg_sq_(a.max_exp_avg_sq),
        amsgrad_(a.amsgrad),
        step_(SetRounded(-a.lr / (1 - Power(a.beta1, a.step)))),
        inverse_root_(
            SetRounded(1 / __builtin_sqrt(1 - Power(a.beta2, a.step)))),
        eps_(SetRounded(a.eps)),
        average_(1 - a.beta1),
        square_(a.beta2) {}
  MODELBATCH_MEMBER V operator()(int64_t e, int64_t n, V p, V g) const {
    const V m = average_(LoadUpTo(exp_avg_ + e, n), g);
    V v = square_(LoadUpTo(exp_avg_sq_ + e, n), g);
    StoreUpTo(exp_avg_ + e, m, n);
    StoreUpTo(exp_avg_sq_ + e, v, n);
    if (amsgrad_) {
      v = Max(v, LoadUpTo(max_exp_avg_sq_ + e, n));
      StoreUpTo(max_exp_avg_sq_ + e, v, n);
    }
    return p + step_ * m / Fma(Sqrt(v), inverse_root_, eps_);
  }

 private:
  float *exp_avg_, *exp_avg_sq_, *max_exp_avg_sq_;
  bool amsgrad_;
  V step_, inverse_root_, eps_;
  Lerp average_;
  SquareAverage square_;
};

MODELBATCH_INLINE void Adam(const AdamArgs& a) {
  UpdateAll(a, a.decoupled, AdamUpdate(a));
}

// 0.96^y for y >= 0: e^x with x = y ln 0.96 = k ln 2 + r, e^r by its series, of
// which |r| <= 0.35 leaves 5e-18 out.
MODELBATCH_INLINE double PowerOf096(double y) {
  constexpr double kLog096 = -0x1.4e69ed6d80eb3p-5;
  constexpr double kInverseLn2 = 0x1.71547652b82fep0;
  constexpr double kLn2High = 0x1.62e42feep-1;  // 32 bits: k times it is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kRound = 0x1.8p52;
  const double x = y * kLog096;
  if (!(x > -700)) return 0;
  const double k = (x * kInverseLn2 + kRound) - kRound;
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = 1;
  for (int i = 14; i > 0; --i) sum = 1 + sum * r / i;
  const uint64_t bits = static_cast<uint64_t>(1023 + static_cast<int64_t>(k))
                        << 52;
  double scale;
  __builtin_memcpy(&scale, &bits, sizeof(scale));
  return sum * scale;
}

// Dozat, "Incorporating Nesterov Momentum into Adam", 2016:
//   mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), M_t = mu_1 ... mu_t
//   p = p - lr ((1 - mu_t) / (1 - M_t) g + mu_{t+1} / (1 - M_{t+1}) m)
//           / (sqrt(v / (1 - beta2^t)) + eps)
MODELBATCH_INLINE void NAdam(const NAdamArgs& a) {
  const auto mu_of = [&a](int64_t step) {
    const double decay = static_cast<double>(step) * a.momentum_decay;
    return a.beta1 * (1 - 0.5 * PowerOf096(decay));
  };
  const double mu = mu_of(a.step), next = mu_of(a.step + 1);
  const float before = a.step == 1 ? 1.0f : *a.mu_product;
  *a.mu_product = before * static_cast<float>(mu);
  const double product = *a.mu_product;
  const V of_gradient = SetRounded(-a.lr * (1 - mu) / (1 - product));
  const V of_average = SetRounded(-a.lr * next / (1 - product * next));
  const V correction2 = SetRounded(1 - Power(a.beta2, a.step));
  const V eps = SetRounded(a.eps);
  const Lerp average(1 - a.beta1);
  const SquareAverage square(a.beta2);
  UpdateAll(a, a.decoupled, [&](int64_t e, int64_t n, V p, V g) {
    const V m = average(LoadUpTo(a.exp_avg + e, n), g);
    const V v = square(LoadUpTo(a.exp_avg_sq + e, n), g);
    StoreUpTo(a.exp_avg + e, m, n);
    StoreUpTo(a.exp_avg_sq + e, v, n);
    const V root = Sqrt(v / correction2) + eps;
    p = p + of_gradient * g / root;
    return p + of_average * m / root;
  });
}

// Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020:
//   rho_inf = 2 / (1 - beta2) - 1
//   rho = rho_inf - 2 t beta2^t / (1 - beta2^t)
//   p = p - lr m / (1 - beta1^t), and where rho > 5 times
//       sqrt(1 - beta2^t) / (sqrt(v) + eps) r,
//   r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
MODELBATCH_INLINE void RAdam(const RAdamArgs& a) {
  const double power2 = Power(a.beta2, a.step);
  const double rho_inf = 2 / (1 - a.beta2) - 1;
  const double count = static_cast<double>(a.step);
  const double rho = rho_inf - 2 * count * power2 / (1 - power2);
  const bool rectified = rho > 5;
  const double rectification =
      (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho);
  const V r = SetRounded(rectified ? __builtin_sqrt(rectification) : 1);
  const V root2 = SetRounded(__builtin_sqrt(1 - power2));
  const V correction1 = SetRounded(1 - Power(a.beta1, a.step));
  const V eps = SetRounded(a.eps), lr = SetRounded(a.lr), one = Set1(1);
  const Lerp average(1 - a.beta1);
  const SquareAverage square(a.beta2);
  UpdateAll(a, a.decoupled, [&](int64_t e, int64_t n, V p, V g) {
    const V m = average(LoadUpTo(a.exp_avg + e, n), g);
    const V v = square(LoadUpTo(a.exp_avg_sq + e, n), g);
    StoreUpTo(a.exp_avg + e, m, n);
    StoreUpTo(a.exp_avg_sq + e, v, n);
    V update = m / correction1 * lr;
    if (rectified) update = update * (one / (Sqrt(v) + eps) * root2) * r;
    return p - update;
  });
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_ADAM_INL_H_
