// The vector wrapper on AVX2 and FMA: see simd.h for what each operation means.
// The AVX-512 build has it too, for all but matrix products.
#ifndef BACKENDS_CPU_SIMD_AVX2_H_
#define BACKENDS_CPU_SIMD_AVX2_H_

#include <immintrin.h>

#include <cstdint>

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

inline constexpr bool kVectorised = true;

struct V {
  __m256 v;
};
struct I {
  __m256i v;
};
struct M {
  __m256 v;
};
struct W {
  __m256i v;
};

inline V operator+(V a, V b) { return {_mm256_add_ps(a.v, b.v)}; }
inline V operator-(V a, V b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline V operator*(V a, V b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline V operator/(V a, V b) { return {_mm256_div_ps(a.v, b.v)}; }
inline V Fma(V a, V b, V c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline V Sqrt(V a) { return {_mm256_sqrt_ps(a.v)}; }
inline V Max(V a, V b) { return {_mm256_max_ps(a.v, b.v)}; }
inline V Min(V a, V b) { return {_mm256_min_ps(a.v, b.v)}; }
inline V Round(V a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}

inline V Zero() { return {_mm256_setzero_ps()}; }
inline V Set1(float x) { return {_mm256_set1_ps(x)}; }
inline V Load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void Store(float* p, V a) { _mm256_storeu_ps(p, a.v); }

inline M FirstN(int64_t n) {
  alignas(32) static constexpr int32_t kSlidingOnes[16] = {
      -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return {_mm256_castsi256_ps(_mm256_loadu_si256(
      reinterpret_cast<const __m256i*>(kSlidingOnes + 8 - n)))};
}
inline V LoadMasked(const float* p, M m) {
  return {_mm256_maskload_ps(p, _mm256_castps_si256(m.v))};
}
inline V LoadPartial(const float* p, int64_t n) {
  return LoadMasked(p, FirstN(n));
}
// vmaskmovps stores are microcoded on AMD: pieces are faster.
inline void StorePartial(float* p, V a, int64_t n) {
  __m128 part = _mm256_castps256_ps128(a.v);
  if (n & 8) {
    Store(p, a);
    return;
  }
  if (n & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(a.v, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, part);
}

inline M Less(V a, V b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
inline M LessEqual(V a, V b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
inline M IsNan(V a) { return {_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q)}; }
inline M And(M a, M b) { return {_mm256_and_ps(a.v, b.v)}; }
inline M AllTrue() { return {_mm256_castsi256_ps(_mm256_set1_epi32(-1))}; }
inline bool All(M m) { return _mm256_movemask_ps(m.v) == 0xff; }
inline V Select(M m, V yes, V no) {
  return {_mm256_blendv_ps(no.v, yes.v, m.v)};
}
inline V ZeroUnless(M m, V a) { return {_mm256_and_ps(m.v, a.v)}; }

inline V Abs(V a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
inline V CopySign(V magnitude, V sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(bit, magnitude.v),
                       _mm256_and_ps(bit, sign.v))};
}

inline I SetI(int32_t x) { return {_mm256_set1_epi32(x)}; }
inline I operator+(I a, I b) { return {_mm256_add_epi32(a.v, b.v)}; }
inline I operator-(I a, I b) { return {_mm256_sub_epi32(a.v, b.v)}; }
inline I operator&(I a, I b) { return {_mm256_and_si256(a.v, b.v)}; }
inline I Max(I a, I b) { return {_mm256_max_epi32(a.v, b.v)}; }
inline I ShiftRightArithmetic(I a, int bits) {
  return {_mm256_srai_epi32(a.v, bits)};
}
inline I ShiftLeft(I a, int bits) { return {_mm256_slli_epi32(a.v, bits)}; }
inline I Bits(V a) { return {_mm256_castps_si256(a.v)}; }
inline V FromBits(I a) { return {_mm256_castsi256_ps(a.v)}; }
inline I ToInt(V a) { return {_mm256_cvtps_epi32(a.v)}; }
inline V ToFloat(I a) { return {_mm256_cvtepi32_ps(a.v)}; }
inline M AtLeastUnsigned(const uint32_t* p, uint32_t bound) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i b = _mm256_set1_epi32(static_cast<int32_t>(bound));
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(x, b), x))};
}

inline float JoinLanes(V low, V high) {
  const __m256 s8 = _mm256_add_ps(low.v, high.v);
  const __m128 s4 =
      _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
inline float MaxOfLanes(V a) {
  const __m128 m4 =
      _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));
  return _mm_cvtss_f32(_mm_max_ss(m2, _mm_movehdup_ps(m2)));
}

inline void Transpose8(V (&r)[8]) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_ps(r[i].v, r[i + 1].v);
    a[i + 1] = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_shuffle_ps(a[i], a[i + 2], _MM_SHUFFLE(1, 0, 1, 0));
    b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], _MM_SHUFFLE(3, 2, 3, 2));
    b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], _MM_SHUFFLE(1, 0, 1, 0));
    b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], _MM_SHUFFLE(3, 2, 3, 2));
  }
  for (int i = 0; i < 4; ++i) {
    r[i].v = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
    r[i + 4].v = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
  }
}

inline W SetW(uint32_t x) { return {_mm256_set1_epi64x(x)}; }
inline W CountUp(uint32_t first) {
  return {_mm256_add_epi32(_mm256_set1_epi64x(first),
                           _mm256_set_epi32(0, 3, 0, 2, 0, 1, 0, 0))};
}
inline W MulWide(W a, W b) { return {_mm256_mul_epu32(a.v, b.v)}; }
inline W HighHalf(W a) { return {_mm256_srli_epi64(a.v, 32)}; }
inline W operator^(W a, W b) { return {_mm256_xor_si256(a.v, b.v)}; }
inline void StoreBlocks(W w0, W w1, W w2, W w3, uint32_t* out) {
  const __m256i w01 =
      _mm256_blend_epi32(w0.v, _mm256_slli_epi64(w1.v, 32), 0xaa);
  const __m256i w23 =
      _mm256_blend_epi32(w2.v, _mm256_slli_epi64(w3.v, 32), 0xaa);
  const __m256i even = _mm256_unpacklo_epi64(w01, w23);
  const __m256i odd = _mm256_unpackhi_epi64(w01, w23);
  __m256i* const to = reinterpret_cast<__m256i*>(out);
  _mm256_storeu_si256(to, _mm256_permute2x128_si256(even, odd, 0x20));
  _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(even, odd, 0x31));
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_SIMD_AVX2_H_
