// Losses with their derivatives, argmax, and the search for large values.
#ifndef BACKENDS_CPU_LOSS_INL_H_
#define BACKENDS_CPU_LOSS_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/loss_formulas-inl.h"
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

inline void ZeroRow(int64_t cols, float* to) {
  for (int64_t j = 0; j < cols; j += 8) Store(to + j, Zero());
}

// Sum of w * (x - shift) over a row, or of x - shift without w.
inline float WeightedSum(int64_t cols, const float* x, V shift,
                         const float* w) {
  return SumColumns(cols, [&](int64_t j, int64_t) {
    const V shifted = Load(x + j) - shift;
    return w == nullptr ? shifted : Load(w + j) * shifted;
  });
}

// With L = log(sum of exp(x - max)), -log p[j] = L - (x[j] - max): the sum over
// classes of w * -log p is L * sum(w) - sum(w * (x - max)).
inline float WeightedCrossEntropy(const ClassLossArgs& a) {
  const float hard = static_cast<float>(1 - a.label_smoothing);
  const float soft =
      static_cast<float>(a.label_smoothing / static_cast<double>(a.cols));
  const bool smoothed = soft != 0;
  const float* const w = a.class_weights;
  const float all =
      w == nullptr
          ? static_cast<float>(a.cols)
          : SumColumns(a.cols, [&](int64_t j, int64_t) { return Load(w + j); });
  V lanes[2] = {Zero(), Zero()};
  for (int64_t i0 = 0; i0 < a.rows; i0 += 16) {
    const int64_t block = a.rows - i0 < 16 ? a.rows - i0 : 16;
    // An ignored row keeps these, which make +0.
    float sums[16], shifted[16], weights[16], spread[16];
    for (int64_t r = 0; r < 16; ++r) {
      sums[r] = 1.0f;
      shifted[r] = weights[r] = spread[r] = 0.0f;
    }
    for (int64_t r = 0; r < block; ++r) {
      const int64_t i = i0 + r, target = a.targets[i];
      float* const to =
          a.dx.data == nullptr ? nullptr : a.dx.data + i * a.dx.ld;
      if (target < 0) {
        if (to != nullptr) ZeroRow(a.cols, to);
        continue;
      }
      const float* const from = a.x.data + i * a.x.ld;
      const float max = RowMax(a.cols, from);
      const V shift = Set1(max);
      shifted[r] = from[target] - max;
      weights[r] = hard * a.row_weights[i];
      if (smoothed) spread[r] = WeightedSum(a.cols, from, shift, w);
      if (to == nullptr) {
        sums[r] = SumColumns(a.cols, [&](int64_t j, int64_t) {
          return Exp(Load(from + j) - shift);
        });
        continue;
      }
      sums[r] = SumColumns(a.cols, [&](int64_t j, int64_t) {
        const V e = Exp(Load(from + j) - shift);
        Store(to + j, e);
        return e;
      });
      const float inverse = 1.0f / sums[r];
      const float at_target = weights[r] / a.total;
      const V scale = Set1(inverse);
      if (!smoothed) {
        const float derivative = (to[target] * inverse - 1.0f) * at_target;
        for (int64_t j = 0; j < a.cols; j += 8) {
          Store(to + j, Load(to + j) * scale * Set1(at_target));
        }
        to[target] = derivative;
        continue;
      }
      const V factor = Set1((weights[r] + soft * all) / a.total);
      const V share = Set1(soft / a.total);
      for (int64_t j = 0; j < a.cols; j += 8) {
        const V own = w == nullptr ? share : Load(w + j) * share;
        Store(to + j, Load(to + j) * scale * factor - own);
      }
      to[target] = to[target] - at_target;
    }
    for (int half = 0; half < 2; ++half) {
      const V log_sum = Log(Load(sums + 8 * half));
      V loss = Load(weights + 8 * half) * (log_sum - Load(shifted + 8 * half));
      if (smoothed) {
        loss =
            loss + Set1(soft) * (log_sum * Set1(all) - Load(spread + 8 * half));
      }
      int64_t n = block - 8 * half;
      if (n <= 0) break;
      if (n > 8) n = 8;
      lanes[half] = lanes[half] + ZeroUnless(FirstN(n), loss);
      if (a.row_losses != nullptr) {
        StoreUpTo(a.row_losses + i0 + 8 * half, loss, n);
      }
    }
  }
  return JoinLanes(lanes[0], lanes[1]) / a.total;
}

inline float Nll(const ClassLossArgs& a) {
  alignas(32) float lanes[16] = {};
  for (int64_t i = 0; i < a.rows; ++i) {
    const int64_t target = a.targets[i];
    float loss = 0.0f;
    if (target >= 0) {
      loss = a.row_weights[i] * -a.x.data[i * a.x.ld + target];
    }
    lanes[i % 16] += loss;
    if (a.row_losses != nullptr) a.row_losses[i] = loss;
    if (a.dx.data == nullptr) continue;
    float* const to = a.dx.data + i * a.dx.ld;
    ZeroRow(a.cols, to);
    if (target >= 0) to[target] = -(a.row_weights[i] / a.total);
  }
  return JoinLanes(Load(lanes), Load(lanes + 8)) / a.total;
}

// A loss on values: `element(j, x, target, &derivative)` gives f for columns j
// to j + 7 and a derivative, which is multiplied by `factor` / elements.
template <typename F>
inline float MeanOfElements(int64_t rows, int64_t cols, double factor,
                            ConstMatrix x, ConstMatrix target, Matrix dx,
                            float* row_losses, F element) {
  const double elements = static_cast<double>(rows) * static_cast<double>(cols);
  const V scale = Set1(static_cast<float>(factor / elements));
  alignas(32) float lanes[16] = {};
  for (int64_t i = 0; i < rows; ++i) {
    const float* const a = x.data + i * x.ld;
    const float* const b = target.data + i * target.ld;
    float* const to = dx.data == nullptr ? nullptr : dx.data + i * dx.ld;
    const float sum = SumColumns(cols, [&](int64_t j, int64_t) {
      V derivative;
      const V value = element(j, Load(a + j), Load(b + j), &derivative);
      if (to != nullptr) Store(to + j, derivative * scale);
      return value;
    });
    lanes[i % 16] += sum;
    if (row_losses != nullptr) row_losses[i] = sum / static_cast<float>(cols);
  }
  return JoinLanes(Load(lanes), Load(lanes + 8)) / static_cast<float>(elements);
}

inline float MeanSquaredError(int64_t rows, int64_t cols, ConstMatrix x,
                              ConstMatrix target, Matrix dx,
                              float* row_losses) {
  return MeanOfElements(rows, cols, 2, x, target, dx, row_losses,
                        [](int64_t, V a, V b, V* derivative) {
                          return SquaredErrorOf(a, b, derivative);
                        });
}

inline float SmoothL1(int64_t rows, int64_t cols, float beta, ConstMatrix x,
                      ConstMatrix target, Matrix dx, float* row_losses) {
  const V width = Set1(beta);
  return MeanOfElements(rows, cols, 1, x, target, dx, row_losses,
                        [&](int64_t, V a, V b, V* derivative) {
                          return SmoothL1Of(width, a, b, derivative);
                        });
}

inline float Huber(int64_t rows, int64_t cols, float delta, ConstMatrix x,
                   ConstMatrix target, Matrix dx, float* row_losses) {
  const V width = Set1(delta);
  return MeanOfElements(rows, cols, 1, x, target, dx, row_losses,
                        [&](int64_t, V a, V b, V* derivative) {
                          return HuberOf(width, a, b, derivative);
                        });
}

inline float BceWithLogits(int64_t rows, int64_t cols, const float* pos_weight,
                           ConstMatrix x, ConstMatrix target, Matrix dx,
                           float* row_losses) {
  return MeanOfElements(
      rows, cols, 1, x, target, dx, row_losses,
      [&](int64_t j, V a, V t, V* derivative) {
        const V yes = pos_weight == nullptr ? t : Load(pos_weight + j) * t;
        return BceWithLogitsOf(a, t, yes, derivative);
      });
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

inline bool AllBelow(int64_t rows, int64_t cols, float bound, ConstMatrix x) {
  // Without the sign, bits are ordered as the numbers are, then NaNs.
  const I magnitude = SetI(0x7fffffff);
  I most[4] = {SetI(0), SetI(0), SetI(0), SetI(0)};
  for (int64_t i = 0; i < rows; ++i) {
    const float* const row = x.data + i * x.ld;
    int64_t j = 0;
    for (; j + 32 <= cols; j += 32) {
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) {
        most[u] = Max(most[u], Bits(Load(row + j + 8 * u)) & magnitude);
      }
    }
    for (; j < cols; j += 8) {
      most[0] = Max(most[0], Bits(LoadUpTo(row + j, cols - j)) & magnitude);
    }
  }
  const I all = Max(Max(most[0], most[1]), Max(most[2], most[3]));
  return All(Less(FromBits(all), Set1(bound)));
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_LOSS_INL_H_
