// Layer normalisation over each row: Ba, Kiros and Hinton, "Layer
// Normalization", 2016, as torch.nn.LayerNorm computes it.
#ifndef BACKENDS_CPU_NORM_INL_H_
#define BACKENDS_CPU_NORM_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

inline void LayerNormForward(int64_t rows, int64_t cols, double eps,
                             ConstMatrix x, const float* weight,
                             const float* bias, Matrix y, float* mean,
                             float* rstd) {
  const float count = static_cast<float>(cols);
  for (int64_t i = 0; i < rows; ++i) {
    const float* const from = x.data + i * x.ld;
    float* const to = y.data + i * y.ld;
    const float row_mean =
        SumColumns(cols, [&](int64_t j, int64_t) { return Load(from + j); }) /
        count;
    const V m = Set1(row_mean);
    const float variance = SumColumns(cols,
                                      [&](int64_t j, int64_t) {
                                        const V d = Load(from + j) - m;
                                        return d * d;
                                      }) /
                           count;
    const float row_rstd =
        1.0f / __builtin_sqrtf(variance + static_cast<float>(eps));
    const V r = Set1(row_rstd);
    for (int64_t j = 0; j < cols; j += 8) {
      const V normal = (Load(from + j) - m) * r;
      Store(to + j, normal * LoadUpTo(weight + j, cols - j) +
                        LoadUpTo(bias + j, cols - j));
    }
    mean[i] = row_mean;
    rstd[i] = row_rstd;
  }
}

// With h = (x - mean) rstd and g = dy weight:
//   dx = rstd (g - mean of g - h mean of g h)
inline void LayerNormBackward(int64_t rows, int64_t cols, ConstMatrix x,
                              const float* weight, const float* mean,
                              const float* rstd, ConstMatrix dy, Matrix dx,
                              bool accumulate, float* dweight, float* dbias) {
  const auto normal = [&](int64_t i, int64_t j) {
    return (Load(x.data + i * x.ld + j) - Set1(mean[i])) * Set1(rstd[i]);
  };
  const auto grad = [&](int64_t i, int64_t j) {
    return Load(dy.data + i * dy.ld + j);
  };
  // Before dx, which may be dy.
  for (int64_t j = 0; j < cols; j += 8) {
    const V dw =
        SumRows(rows, [&](int64_t i) { return grad(i, j) * normal(i, j); });
    const V db = SumRows(rows, [&](int64_t i) { return grad(i, j); });
    StoreUpTo(dweight + j, dw, cols - j);
    StoreUpTo(dbias + j, db, cols - j);
  }
  if (dx.data == nullptr) return;  // nobody wants it
  const float count = static_cast<float>(cols);
  for (int64_t i = 0; i < rows; ++i) {
    const V g_mean =
        Set1(SumColumns(cols,
                        [&](int64_t j, int64_t n) {
                          return grad(i, j) * LoadUpTo(weight + j, n);
                        }) /
             count);
    const V gh_mean = Set1(
        SumColumns(cols,
                   [&](int64_t j, int64_t n) {
                     return grad(i, j) * LoadUpTo(weight + j, n) * normal(i, j);
                   }) /
        count);
    for (int64_t j = 0; j < cols; j += 8) {
      const V g = grad(i, j) * LoadUpTo(weight + j, cols - j);
      const V d = Set1(rstd[i]) * (g - g_mean - normal(i, j) * gh_mean);
      float* const to = dx.data + i * dx.ld + j;
      Store(to, accumulate ? Load(to) + d : d);
    }
  }
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_NORM_INL_H_
