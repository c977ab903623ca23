// What is done to a model's gradients before its update.
#ifndef BACKENDS_CPU_CLIP_INL_H_
#define BACKENDS_CPU_CLIP_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

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

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_CLIP_INL_H_
