// The vector wrapper in portable C++: see simd.h for what each operation means.
#ifndef BACKENDS_CPU_SIMD_GENERIC_H_
#define BACKENDS_CPU_SIMD_GENERIC_H_

#include <cstdint>

namespace modelbatch::cpu::generic {

inline constexpr bool kVectorised = false;

struct V {
  float v[8];
};
struct I {
  int32_t v[8];
};
struct M {
  bool v[8];
};
struct W {
  uint64_t v[4];
};

// Applies `f(lane)` to each lane of a result of type T.
template <typename T, typename F>
inline T Lanes(F f) {
  T r;
  for (int l = 0; l < 8; ++l) r.v[l] = f(l);
  return r;
}
inline int32_t BitsOf(float x) {
  int32_t i;
  __builtin_memcpy(&i, &x, sizeof(i));
  return i;
}
inline float FloatOf(int32_t i) {
  float x;
  __builtin_memcpy(&x, &i, sizeof(x));
  return x;
}

inline V operator+(V a, V b) {
  return Lanes<V>([&](int l) { return a.v[l] + b.v[l]; });
}
inline V operator-(V a, V b) {
  return Lanes<V>([&](int l) { return a.v[l] - b.v[l]; });
}
inline V operator*(V a, V b) {
  return Lanes<V>([&](int l) { return a.v[l] * b.v[l]; });
}
inline V operator/(V a, V b) {
  return Lanes<V>([&](int l) { return a.v[l] / b.v[l]; });
}
inline V Fma(V a, V b, V c) {
  return Lanes<V>(
      [&](int l) { return __builtin_fmaf(a.v[l], b.v[l], c.v[l]); });
}
inline V Sqrt(V a) {
  return Lanes<V>([&](int l) { return __builtin_sqrtf(a.v[l]); });
}
inline V Max(V a, V b) {
  return Lanes<V>([&](int l) { return a.v[l] > b.v[l] ? a.v[l] : b.v[l]; });
}
inline V Min(V a, V b) {
  return Lanes<V>([&](int l) { return a.v[l] < b.v[l] ? a.v[l] : b.v[l]; });
}
inline V Round(V a) {
  return Lanes<V>([&](int l) { return __builtin_rintf(a.v[l]); });
}

inline V Set1(float x) {
  return Lanes<V>([&](int) { return x; });
}
inline V Zero() { return Set1(0.0f); }
inline V Load(const float* p) {
  return Lanes<V>([&](int l) { return p[l]; });
}
inline void Store(float* p, V a) {
  for (int l = 0; l < 8; ++l) p[l] = a.v[l];
}

inline M FirstN(int64_t n) {
  return Lanes<M>([&](int l) { return l < n; });
}
inline V LoadMasked(const float* p, M m) {
  return Lanes<V>([&](int l) { return m.v[l] ? p[l] : 0.0f; });
}
inline V LoadPartial(const float* p, int64_t n) {
  return LoadMasked(p, FirstN(n));
}
inline void StorePartial(float* p, V a, int64_t n) {
  for (int l = 0; l < n; ++l) p[l] = a.v[l];
}

inline M Less(V a, V b) {
  return Lanes<M>([&](int l) { return a.v[l] < b.v[l]; });
}
inline M LessEqual(V a, V b) {
  return Lanes<M>([&](int l) { return a.v[l] <= b.v[l]; });
}
inline M IsNan(V a) {
  return Lanes<M>([&](int l) { return a.v[l] != a.v[l]; });
}
inline M And(M a, M b) {
  return Lanes<M>([&](int l) { return a.v[l] && b.v[l]; });
}
inline M AllTrue() {
  return Lanes<M>([](int) { return true; });
}
inline bool All(M m) {
  for (bool lane : m.v) {
    if (!lane) return false;
  }
  return true;
}
inline V Select(M m, V yes, V no) {
  return Lanes<V>([&](int l) { return m.v[l] ? yes.v[l] : no.v[l]; });
}
inline V ZeroUnless(M m, V a) { return Select(m, a, Zero()); }

inline V Abs(V a) {
  return Lanes<V>([&](int l) { return __builtin_fabsf(a.v[l]); });
}
inline V CopySign(V magnitude, V sign) {
  return Lanes<V>(
      [&](int l) { return __builtin_copysignf(magnitude.v[l], sign.v[l]); });
}

inline I SetI(int32_t x) {
  return Lanes<I>([&](int) { return x; });
}
// Through unsigned, so that overflow wraps.
inline I operator+(I a, I b) {
  return Lanes<I>([&](int l) {
    return static_cast<int32_t>(static_cast<uint32_t>(a.v[l]) +
                                static_cast<uint32_t>(b.v[l]));
  });
}
inline I operator-(I a, I b) {
  return Lanes<I>([&](int l) {
    return static_cast<int32_t>(static_cast<uint32_t>(a.v[l]) -
                                static_cast<uint32_t>(b.v[l]));
  });
}
inline I operator&(I a, I b) {
  return Lanes<I>([&](int l) { return a.v[l] & b.v[l]; });
}
inline I Max(I a, I b) {
  return Lanes<I>([&](int l) { return a.v[l] > b.v[l] ? a.v[l] : b.v[l]; });
}
inline I ShiftRightArithmetic(I a, int bits) {
  return Lanes<I>([&](int l) { return a.v[l] >> bits; });
}
inline I ShiftLeft(I a, int bits) {
  return Lanes<I>([&](int l) {
    return static_cast<int32_t>(static_cast<uint32_t>(a.v[l]) << bits);
  });
}
inline I Bits(V a) {
  return Lanes<I>([&](int l) { return BitsOf(a.v[l]); });
}
inline V FromBits(I a) {
  return Lanes<V>([&](int l) { return FloatOf(a.v[l]); });
}
inline I ToInt(V a) {
  return Lanes<I>([&](int l) {
    const float x = __builtin_rintf(a.v[l]);
    return x >= -0x1p31f && x < 0x1p31f ? static_cast<int32_t>(x) : INT32_MIN;
  });
}
inline V ToFloat(I a) {
  return Lanes<V>([&](int l) { return static_cast<float>(a.v[l]); });
}
inline M AtLeastUnsigned(const uint32_t* p, uint32_t bound) {
  return Lanes<M>([&](int l) { return p[l] >= bound; });
}

inline float JoinLanes(V low, V high) {
  V s = low + high;
  for (int half = 4; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) s.v[l] += s.v[l + half];
  }
  return s.v[0];
}
inline float MaxOfLanes(V a) {
  for (int half = 4; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) {
      if (!(a.v[l] > a.v[l + half])) a.v[l] = a.v[l + half];
    }
  }
  return a.v[0];
}

inline void Transpose8(V (&r)[8]) {
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < i; ++j) {
      const float t = r[i].v[j];
      r[i].v[j] = r[j].v[i];
      r[j].v[i] = t;
    }
  }
}

template <typename F>
inline W WideLanes(F f) {
  W r;
  for (int l = 0; l < 4; ++l) r.v[l] = f(l);
  return r;
}
inline W SetW(uint32_t x) {
  return WideLanes([&](int) { return uint64_t{x}; });
}
inline W CountUp(uint32_t first) {
  return WideLanes(
      [&](int l) { return uint64_t{static_cast<uint32_t>(first + l)}; });
}
inline W MulWide(W a, W b) {
  return WideLanes([&](int l) {
    return uint64_t{static_cast<uint32_t>(a.v[l])} *
           static_cast<uint32_t>(b.v[l]);
  });
}
inline W HighHalf(W a) {
  return WideLanes([&](int l) { return a.v[l] >> 32; });
}
inline W operator^(W a, W b) {
  return WideLanes([&](int l) { return a.v[l] ^ b.v[l]; });
}
inline void StoreBlocks(W w0, W w1, W w2, W w3, uint32_t* out) {
  for (int l = 0; l < 4; ++l) {
    out[4 * l] = static_cast<uint32_t>(w0.v[l]);
    out[4 * l + 1] = static_cast<uint32_t>(w1.v[l]);
    out[4 * l + 2] = static_cast<uint32_t>(w2.v[l]);
    out[4 * l + 3] = static_cast<uint32_t>(w3.v[l]);
  }
}

}  // namespace modelbatch::cpu::generic

#endif  // BACKENDS_CPU_SIMD_GENERIC_H_
