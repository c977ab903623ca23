// Optimizer updates of compact parameters. Scalars are computed in double and
// rounded to float once, as PyTorch does.
#ifndef BACKENDS_CPU_OPTIMIZER_INL_H_
#define BACKENDS_CPU_OPTIMIZER_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

inline V SetRounded(double x) { return Set1(static_cast<float>(x)); }

// The product of two floats is exact in double, so nothing here rounds but the
// sums.
inline double SquaredNorm(int64_t count, const float* x) {
  double lanes[16] = {};
  const auto add = [&](int64_t e, int64_t n) {
    for (int64_t l = 0; l < n; ++l) {
      const double value = x[e + l];
      lanes[l] += value * value;
    }
  };
  int64_t e = 0;
  for (; e + 16 <= count; e += 16) add(e, 16);
  add(e, count - e);
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

inline void Clip(const ClipArgs& c) {
  const auto map = [&c](auto f) {
    for (int64_t e = 0; e < c.count; e += 8) {
      const int64_t n = c.count - e;
      StoreUpTo(c.grad + e, f(LoadUpTo(c.grad + e, n)), n);
    }
  };
  if (c.scale != 1) {
    const V scale = SetRounded(c.scale);
    map([=](V g) { return g * scale; });
  }
  if (c.value < __builtin_inf()) {
    const V low = SetRounded(-c.value), high = SetRounded(c.value);
    map([=](V g) { return Max(low, Min(high, g)); });
  }
  if (c.norm < __builtin_inf()) {
    const double norm = __builtin_sqrt(SquaredNorm(c.count, c.grad));
    const double factor = c.norm / (norm + 1e-6);
    if (!(factor >= 1)) {
      const V scale = SetRounded(factor);
      map([=](V g) { return g * scale; });
    }
  }
}

// Operation by operation torch.optim.SGD; add(x, alpha) is one FMA there.
inline void Sgd(const SgdArgs& s) {
  const V decay = SetRounded(s.weight_decay), step = SetRounded(-s.lr);
  const V momentum = SetRounded(s.momentum);
  const V fresh = SetRounded(1 - s.dampening);
  const bool has_decay = s.weight_decay != 0, has_momentum = s.momentum != 0;
  for (int64_t e = 0; e < s.count; e += 8) {
    const int64_t n = s.count - e;
    const V p = LoadUpTo(s.param + e, n);
    V g = LoadUpTo(s.grad + e, n);
    if (has_decay) g = Fma(p, decay, g);
    if (has_momentum) {
      const V b =
          s.first ? g : Fma(g, fresh, LoadUpTo(s.buffer + e, n) * momentum);
      StoreUpTo(s.buffer + e, b, n);
      g = s.nesterov ? Fma(b, momentum, g) : b;
    }
    StoreUpTo(s.param + e, Fma(g, step, p), n);
  }
}

// x^n by repeated squaring: no libm, so the same bits everywhere.
inline double Power(double x, int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2) {
    if (n % 2 != 0) result *= x;
    x *= x;
  }
  return result;
}

// Kingma and Ba, "Adam", 2015, and Loshchilov and Hutter, "Decoupled Weight
// Decay Regularization", 2019, arranged as torch.optim.Adam does:
//   m = lerp(m, g, 1 - beta1); v = beta2 v + (1 - beta2) g g
//   p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
inline void Adam(const AdamArgs& a) {
  const double correction1 = 1 - Power(a.beta1, a.step);
  const double correction2 = 1 - Power(a.beta2, a.step);
  const V step = SetRounded(-a.lr / correction1);
  const V inverse_root = SetRounded(1 / __builtin_sqrt(correction2));
  const V eps = SetRounded(a.eps);
  const V fresh1 = SetRounded(1 - a.beta1);
  const V beta2 = SetRounded(a.beta2), fresh2 = SetRounded(1 - a.beta2);
  const V decay = SetRounded(a.weight_decay);
  const V shrink = SetRounded(1 - a.lr * a.weight_decay);
  const bool has_decay = a.weight_decay != 0;
  // torch.lerp starts from the nearer end.
  const bool from_end = 1 - a.beta1 >= 0.5;
  const V back = SetRounded((1 - a.beta1) - 1);
  const auto update = [&](int64_t e, int64_t n) {
    V p = LoadUpTo(a.param + e, n);
    V g = LoadUpTo(a.grad + e, n);
    if (has_decay) {
      if (a.decoupled) {
        p = p * shrink;
      } else {
        g = Fma(p, decay, g);
      }
    }
    V m = LoadUpTo(a.exp_avg + e, n);
    V v = LoadUpTo(a.exp_avg_sq + e, n);
    m = from_end ? Fma(back, g - m, g) : Fma(fresh1, g - m, m);
    v = Fma(fresh2 * g, g, v * beta2);
    const V denominator = Fma(Sqrt(v), inverse_root, eps);
    StoreUpTo(a.exp_avg + e, m, n);
    StoreUpTo(a.exp_avg_sq + e, v, n);
    StoreUpTo(a.param + e, p + step * m / denominator, n);
  };
  int64_t e = 0;
  for (; e + 8 <= a.count; e += 8) update(e, 8);
  if (e < a.count) update(e, a.count - e);
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_OPTIMIZER_INL_H_
