// Losses with their derivatives, argmax, and the search for non-finite values.
#ifndef BACKENDS_CPU_LOSS_INL_H_
#define BACKENDS_CPU_LOSS_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/math-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// The largest of a row; NaN only where the row holds nothing else or -Inf.
inline float RowMax(int64_t cols, const float* x) {
  const V lowest = Set1(-__builtin_inff());
  V most = lowest;
  int64_t j = 0;
  for (; j + 8 <= cols; j += 8) most = Max(Load(x + j), most);
  if (j < cols) most = Max(Select(FirstN(cols - j), Load(x + j), lowest), most);
  return MaxOfLanes(most);
}

// -log softmax(x)[t] = log(sum of exp(x - max)) - (x[t] - max): any Inf or NaN
// in the row ends as a loss that is not finite.
inline float CrossEntropy(int64_t rows, int64_t cols, ConstMatrix x,
                          const int64_t* targets, Matrix dx,
                          float* row_losses) {
  const float count = static_cast<float>(rows);
  const float weight = 1.0f / count;
  V lanes[2] = {Zero(), Zero()};
  for (int64_t i0 = 0; i0 < rows; i0 += 16) {
    const int64_t block = rows - i0 < 16 ? rows - i0 : 16;
    float sums[16], shifted[16];
    for (int64_t r = 0; r < 16; ++r) {
      sums[r] = 1.0f;
      shifted[r] = 0.0f;
    }
    for (int64_t r = 0; r < block; ++r) {
      const int64_t i = i0 + r, target = targets[i];
      const float* const from = x.data + i * x.ld;
      const float max = RowMax(cols, from);
      const V shift = Set1(max);
      shifted[r] = from[target] - max;
      if (dx.data == nullptr) {
        sums[r] = SumColumns(cols, [&](int64_t j, int64_t) {
          return Exp(Load(from + j) - shift);
        });
        continue;
      }
      float* const to = dx.data + i * dx.ld;
      sums[r] = SumColumns(cols, [&](int64_t j, int64_t) {
        const V e = Exp(Load(from + j) - shift);
        Store(to + j, e);
        return e;
      });
      const float inverse = 1.0f / sums[r];
      const float at_target = (to[target] * inverse - 1.0f) * weight;
      const V scale = Set1(inverse);
      for (int64_t j = 0; j < cols; j += 8) {
        Store(to + j, Load(to + j) * scale * Set1(weight));
      }
      to[target] = at_target;
    }
    for (int half = 0; half < 2; ++half) {
      const V loss = Log(Load(sums + 8 * half)) - Load(shifted + 8 * half);
      int64_t n = block - 8 * half;
      if (n <= 0) break;
      if (n > 8) n = 8;
      lanes[half] = lanes[half] + ZeroUnless(FirstN(n), loss);
      if (row_losses != nullptr) StoreUpTo(row_losses + i0 + 8 * half, loss, n);
    }
  }
  return JoinLanes(lanes[0], lanes[1]) / count;
}

inline float MeanSquaredError(int64_t rows, int64_t cols, ConstMatrix x,
                              ConstMatrix target, Matrix dx,
                              float* row_losses) {
  const double elements = static_cast<double>(rows) * static_cast<double>(cols);
  const V scale = Set1(static_cast<float>(2 / elements));
  alignas(32) float lanes[16] = {};
  for (int64_t i = 0; i < rows; ++i) {
    const float* const a = x.data + i * x.ld;
    const float* const b = target.data + i * target.ld;
    float* const to = dx.data == nullptr ? nullptr : dx.data + i * dx.ld;
    const float sum = SumColumns(cols, [&](int64_t j, int64_t) {
      const V d = Load(a + j) - Load(b + j);
      if (to != nullptr) Store(to + j, d * scale);
      return d * d;
    });
    lanes[i % 16] += sum;
    if (row_losses != nullptr) row_losses[i] = sum / static_cast<float>(cols);
  }
  return JoinLanes(Load(lanes), Load(lanes + 8)) / static_cast<float>(elements);
}

inline void ArgMax(int64_t rows, int64_t cols, ConstMatrix x, int64_t* out) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* const row = x.data + i * x.ld;
    int64_t best = 0;
    for (int64_t j = 1; j < cols && row[best] == row[best]; ++j) {
      if (!(row[j] <= row[best])) best = j;
    }
    out[i] = best;
  }
}

inline bool AllFinite(int64_t count, const float* x) {
  const V inf = Set1(__builtin_inff());
  M finite[4] = {AllTrue(), AllTrue(), AllTrue(), AllTrue()};
  int64_t e = 0;
  for (; e + 32 <= count; e += 32) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) {
      finite[u] = And(finite[u], Less(Abs(Load(x + e + 8 * u)), inf));
    }
  }
  for (; e < count; e += 8) {
    finite[0] = And(finite[0], Less(Abs(LoadUpTo(x + e, count - e)), inf));
  }
  return All(And(And(finite[0], finite[1]), And(finite[2], finite[3])));
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_LOSS_INL_H_
