// Activations, addition, copies and the sum over rows. Activations' padding is
// computed along with the rest, so there are no tails.
#ifndef BACKENDS_CPU_ELEMENTWISE_INL_H_
#define BACKENDS_CPU_ELEMENTWISE_INL_H_

#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/math-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Calls f(i, j) for the first column j of each vector of each row i.
template <typename F>
inline void ForEachVector(int64_t rows, int64_t cols, F f) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; j += 8) f(i, j);
  }
}

// Hendrycks and Gimpel, "Gaussian Error Linear Units", in torch.nn.GELU's two
// forms: x Phi(x), and its approximation by tanh.
inline V Gelu(V x) {
  const V erf = Erf(x * Set1(0.707106781186547524f));
  return x * Set1(0.5f) * (Set1(1.0f) + erf);
}
// Phi(x) + x phi(x).
inline V GeluDerivative(V x) {
  const V erf = Erf(x * Set1(0.707106781186547524f));
  const V cdf = Set1(0.5f) * (Set1(1.0f) + erf);
  const V pdf = Exp(x * x * Set1(-0.5f)) * Set1(0.398942280401432678f);
  return Fma(x, pdf, cdf);
}
inline constexpr float kSqrt2OverPi = 0.797884560802865356f;
inline constexpr float kGeluCubic = 0.044715f;
inline V GeluTanhInner(V x) {
  const V cube = x * x * x;
  return Set1(kSqrt2OverPi) * Fma(cube, Set1(kGeluCubic), x);
}
inline V GeluTanh(V x) {
  return x * Set1(0.5f) * (Set1(1.0f) + Tanh(GeluTanhInner(x)));
}
inline V GeluTanhDerivative(V x) {
  const V one = Set1(1.0f), half = Set1(0.5f);
  const V t = Tanh(GeluTanhInner(x));
  const V slope = Set1(kSqrt2OverPi) * Fma(x * x, Set1(3.0f * kGeluCubic), one);
  const V left = half * (one + t);
  const V right = half * x * (one - t * t) * slope;
  return left + right;
}

inline V Relu(V x) { return Max(Zero(), x); }  // keeps NaN

inline void UnaryForward(Unary f, int64_t rows, int64_t cols, ConstMatrix x,
                         Matrix y) {
  const auto apply = [&](auto g) {
    ForEachVector(rows, cols, [&](int64_t i, int64_t j) {
      Store(y.data + i * y.ld + j, g(Load(x.data + i * x.ld + j)));
    });
  };
  switch (f) {
    case Unary::kRelu:
      return apply([](V v) { return Relu(v); });
    case Unary::kGelu:
      return apply([](V v) { return Gelu(v); });
    case Unary::kGeluTanh:
      return apply([](V v) { return GeluTanh(v); });
    case Unary::kTanh:
      return apply([](V v) { return Tanh(v); });
    case Unary::kSigmoid:
      return apply([](V v) { return Sigmoid(v); });
  }
}

inline void UnaryBackward(Unary f, int64_t rows, int64_t cols, ConstMatrix x,
                          ConstMatrix y, ConstMatrix dy, Matrix dx,
                          bool accumulate) {
  // `g(v, d)` is d times the derivative, v being x or y.
  const auto apply = [&](ConstMatrix of, auto g) {
    ForEachVector(rows, cols, [&](int64_t i, int64_t j) {
      const V d =
          g(Load(of.data + i * of.ld + j), Load(dy.data + i * dy.ld + j));
      float* const to = dx.data + i * dx.ld + j;
      Store(to, accumulate ? Load(to) + d : d);
    });
  };
  const V one = Set1(1.0f);
  switch (f) {
    case Unary::kRelu:
      return apply(
          y, [](V v, V d) { return Select(LessEqual(v, Zero()), Zero(), d); });
    case Unary::kGelu:
      return apply(x, [](V v, V d) { return d * GeluDerivative(v); });
    case Unary::kGeluTanh:
      return apply(x, [](V v, V d) { return d * GeluTanhDerivative(v); });
    case Unary::kTanh:
      return apply(y, [one](V v, V d) { return d * (one - v * v); });
    case Unary::kSigmoid:
      return apply(y, [one](V v, V d) { return d * (one - v) * v; });
  }
}

inline void Add(int64_t rows, int64_t cols, ConstMatrix a, ConstMatrix b,
                Matrix y) {
  ForEachVector(rows, cols, [&](int64_t i, int64_t j) {
    Store(y.data + i * y.ld + j,
          Load(a.data + i * a.ld + j) + Load(b.data + i * b.ld + j));
  });
}

inline void Copy(int64_t rows, int64_t cols, ConstMatrix x, Matrix y) {
  ForEachVector(rows, cols, [&](int64_t i, int64_t j) {
    Store(y.data + i * y.ld + j, Load(x.data + i * x.ld + j));
  });
}

inline void ColumnSum(int64_t rows, int64_t cols, ConstMatrix x, float* out) {
  for (int64_t j = 0; j < cols; j += 8) {
    const V sum =
        SumRows(rows, [&](int64_t i) { return Load(x.data + i * x.ld + j); });
    StoreUpTo(out + j, sum, cols - j);
  }
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_ELEMENTWISE_INL_H_
