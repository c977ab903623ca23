// The vector wrapper as one number, for code that runs a thread an element:
// what the formulas of activation-inl.h, loss_formulas-inl.h and math-inl.h
// need of simd.h, on the host and on a CUDA device.
#ifndef BACKENDS_CPU_SIMD_LANE_H_
#define BACKENDS_CPU_SIMD_LANE_H_

#include <cstdint>

namespace modelbatch::cpu::lane {

inline constexpr bool kVectorised = false;

using V = float;
using M = bool;
struct I {
  int32_t v;
};

MODELBATCH_INLINE V Set1(float x) { return x; }
MODELBATCH_INLINE V Zero() { return 0.0f; }
MODELBATCH_INLINE V Fma(V a, V b, V c) { return __builtin_fmaf(a, b, c); }
MODELBATCH_INLINE V Sqrt(V a) { return __builtin_sqrtf(a); }
MODELBATCH_INLINE V Max(V a, V b) { return a > b ? a : b; }
MODELBATCH_INLINE V Min(V a, V b) { return a < b ? a : b; }
MODELBATCH_INLINE V Round(V a) { return __builtin_rintf(a); }
MODELBATCH_INLINE V Abs(V a) { return __builtin_fabsf(a); }
MODELBATCH_INLINE V CopySign(V magnitude, V sign) {
  return __builtin_copysignf(magnitude, sign);
}

MODELBATCH_INLINE M Less(V a, V b) { return a < b; }
MODELBATCH_INLINE M LessEqual(V a, V b) { return a <= b; }
MODELBATCH_INLINE M IsNan(V a) { return a != a; }
MODELBATCH_INLINE M And(M a, M b) { return a && b; }
MODELBATCH_INLINE V Select(M m, V yes, V no) { return m ? yes : no; }
MODELBATCH_INLINE V ZeroUnless(M m, V a) { return m ? a : 0.0f; }

MODELBATCH_INLINE I SetI(int32_t x) { return {x}; }
// Through unsigned, so that overflow wraps.
MODELBATCH_INLINE I operator+(I a, I b) {
  return {static_cast<int32_t>(static_cast<uint32_t>(a.v) +
                               static_cast<uint32_t>(b.v))};
}
MODELBATCH_INLINE I operator-(I a, I b) {
  return {static_cast<int32_t>(static_cast<uint32_t>(a.v) -
                               static_cast<uint32_t>(b.v))};
}
MODELBATCH_INLINE I ShiftRightArithmetic(I a, int bits) {
  return {a.v >> bits};
}
MODELBATCH_INLINE I ShiftLeft(I a, int bits) {
  return {static_cast<int32_t>(static_cast<uint32_t>(a.v) << bits)};
}
MODELBATCH_INLINE I Bits(V a) {
  I bits;
  __builtin_memcpy(&bits.v, &a, sizeof(a));
  return bits;
}
MODELBATCH_INLINE V FromBits(I a) {
  V x;
  __builtin_memcpy(&x, &a.v, sizeof(x));
  return x;
}
MODELBATCH_INLINE I ToInt(V a) {
  const float x = __builtin_rintf(a);
  return {x >= -0x1p31f && x < 0x1p31f ? static_cast<int32_t>(x) : INT32_MIN};
}
MODELBATCH_INLINE V ToFloat(I a) { return static_cast<float>(a.v); }

}  // namespace modelbatch::cpu::lane

#endif  // BACKENDS_CPU_SIMD_LANE_H_
