// Reductions over the 16 virtual lanes of kernels.h.
#ifndef BACKENDS_CPU_LANES_INL_H_
#define BACKENDS_CPU_LANES_INL_H_

#include "backends/cpu/parts-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Sum over columns e in [0, cols) with lane e % 16. `terms(j, n)` gives the
// terms of columns j to j + 7, of which n are real; the others are dropped.
// It is called once for each j, in ascending order.
template <typename F>
inline float SumColumns(int64_t cols, F terms) {
  V low = Zero(), high = Zero();
  int64_t j = 0;
  for (; j + 16 <= cols; j += 16) {
    low = low + terms(j, 8);
    high = high + terms(j + 8, 8);
  }
  const int64_t n = cols - j;
  if (n > 8) {
    low = low + terms(j, 8);
    high = high + ZeroUnless(FirstN(n - 8), terms(j + 8, n - 8));
  } else if (n > 0) {
    low = low + ZeroUnless(FirstN(n), terms(j, n));
  }
  return JoinLanes(low, high);
}

// Lanes first to first + 7 of SumRows.
template <typename F>
inline void SumEightLanes(int64_t rows, int64_t first, F terms, V (&lane)[8]) {
#pragma GCC unroll 8
  for (int l = 0; l < 8; ++l) lane[l] = Zero();
  int64_t i = first;
  for (; i + 8 <= rows; i += 16) {
#pragma GCC unroll 8
    for (int l = 0; l < 8; ++l) lane[l] = lane[l] + terms(i + l);
  }
#pragma GCC unroll 8
  for (int l = 0; l < 8; ++l) {
    if (i + l < rows) lane[l] = lane[l] + terms(i + l);
  }
}

// Sum over rows i in [0, rows) with lane i % 16, for eight columns at once;
// `terms(i)` gives row i's. Half of the lanes at a time, to fit the registers.
template <typename F>
inline V SumRows(int64_t rows, F terms) {
  V lane[8], high[8];
  SumEightLanes(rows, 8, terms, high);
  SumEightLanes(rows, 0, terms, lane);
#pragma GCC unroll 8
  for (int l = 0; l < 8; ++l) lane[l] = lane[l] + high[l];
  const V s0 = lane[0] + lane[4], s1 = lane[1] + lane[5];
  const V s2 = lane[2] + lane[6], s3 = lane[3] + lane[7];
  return (s0 + s2) + (s1 + s3);
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_LANES_INL_H_
