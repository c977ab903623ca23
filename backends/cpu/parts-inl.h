// Compact arrays vector by vector, the last one partial; or, where a vector is
// one number (simd_lane.h), number by number.
#ifndef BACKENDS_CPU_PARTS_INL_H_
#define BACKENDS_CPU_PARTS_INL_H_

#include <cstdint>

#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// A scalar computed in double, rounded to float once.
MODELBATCH_INLINE V SetRounded(double x) { return Set1(static_cast<float>(x)); }

#if defined(MODELBATCH_CPU_ONE_LANE)

MODELBATCH_INLINE V LoadUpTo(const float* p, int64_t) { return *p; }
MODELBATCH_INLINE void StoreUpTo(float* p, V a, int64_t) { *p = a; }

#else

// Up to eight elements of a compact array of which `n` are left.
inline V LoadUpTo(const float* p, int64_t n) {
  return n >= 8 ? Load(p) : LoadPartial(p, n);
}
inline void StoreUpTo(float* p, V a, int64_t n) {
  if (n >= 8) {
    Store(p, a);
  } else {
    StorePartial(p, a, n);
  }
}

// Calls f(e, n) for each vector of `count` elements: it begins at element e and
// n are left, at most eight of which it has. (A kernel of CUDA brings its own,
// in which each thread takes some.)
template <typename F>
inline void ForEachPart(int64_t count, F f) {
  int64_t e = 0;
  for (; e + 8 <= count; e += 8) f(e, int64_t{8});
  if (e < count) f(e, count - e);
}

#endif

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_PARTS_INL_H_
