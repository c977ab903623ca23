// The widest vector of an instruction set, for matrix products: sixteen floats
// with AVX-512, else simd.h's eight.
//
//   X, MX              kWide floats, as many truth values
//   kRegisters         of which the instruction set has so many
//   ZeroX, SetX, LoadX, LoadMaskedX, FirstNX, Store, Fma, Max, +,
//   ReluBackward
#ifndef BACKENDS_CPU_WIDE_INL_H_
#define BACKENDS_CPU_WIDE_INL_H_

#include <cstdint>

#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

#if defined(MODELBATCH_CPU_AVX512)

inline constexpr int kWide = 16, kRegisters = 32;

struct X {
  __m512 v;
};
struct MX {
  __mmask16 v;
};

inline X ZeroX() { return {_mm512_setzero_ps()}; }
inline X SetX(float x) { return {_mm512_set1_ps(x)}; }
inline X LoadX(const float* p) { return {_mm512_loadu_ps(p)}; }
inline X LoadMaskedX(const float* p, MX m) {
  return {_mm512_maskz_loadu_ps(m.v, p)};
}
inline MX FirstNX(int64_t n) { return {static_cast<__mmask16>((1u << n) - 1)}; }
inline void Store(float* p, X a) { _mm512_storeu_ps(p, a.v); }
inline X Fma(X a, X b, X c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// With a mask, of which GCC 12's _mm512_max_ps has an uninitialised one.
inline X Max(X a, X b) { return {_mm512_maskz_max_ps(0xffff, a.v, b.v)}; }
inline X operator+(X a, X b) { return {_mm512_add_ps(a.v, b.v)}; }
// activation-inl.h's.
inline X ReluBackward(X y, X dy) {
  const __mmask16 on =
      _mm512_cmp_ps_mask(y.v, _mm512_setzero_ps(), _CMP_NLE_UQ);
  return {_mm512_maskz_mov_ps(on, dy.v)};
}

#else

inline constexpr int kWide = 8, kRegisters = 16;

using X = V;
using MX = M;

inline X ZeroX() { return Zero(); }
inline X SetX(float x) { return Set1(x); }
inline X LoadX(const float* p) { return Load(p); }
inline X LoadMaskedX(const float* p, MX m) { return LoadMasked(p, m); }
inline MX FirstNX(int64_t n) { return FirstN(n); }

#endif

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_WIDE_INL_H_
