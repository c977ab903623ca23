// Turns compact [n, k] weights into padded [k, n] rows, 8 x 8 at a time.
#ifndef BACKENDS_CPU_TRANSPOSE_INL_H_
#define BACKENDS_CPU_TRANSPOSE_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

inline void Transpose(int64_t n, int64_t k, const float* w, Matrix out) {
  // Both halves of a cache line of out one after the other.
  static_assert(kAlignFloats == 16);
  for (int64_t line = 0; line < n; line += kAlignFloats) {
    for (int64_t p = 0; p < k; p += 8) {
      const int64_t rows = k - p < 8 ? k - p : 8;
      for (int64_t j = line; j < line + kAlignFloats; j += 8) {
        V block[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) {
          block[r] = j + r < n ? LoadUpTo(w + (j + r) * k + p, k - p) : Zero();
        }
        Transpose8(block);
        float* to = out.data + p * out.ld + j;
        for (int64_t r = 0; r < rows; ++r) Store(to + r * out.ld, block[r]);
      }
    }
  }
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_TRANSPOSE_INL_H_
