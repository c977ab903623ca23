// Activations, addition, copies and the sum over rows. Activations' padding is
// computed along with the rest, so there are no tails.
#ifndef BACKENDS_CPU_ELEMENTWISE_INL_H_
#define BACKENDS_CPU_ELEMENTWISE_INL_H_

#include "backends/cpu/activation-inl.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/lanes-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Calls f(i, j) for the first column j of each vector of each row i.
template <typename F>
inline void ForEachVector(int64_t rows, int64_t cols, F f) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; j += 8) f(i, j);
  }
}

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
  switch (f) {
    case Unary::kRelu:
      return apply(y, [](V v, V d) { return ReluBackward(v, d); });
    case Unary::kGelu:
      return apply(x, [](V v, V d) { return GeluBackward(v, d); });
    case Unary::kGeluTanh:
      return apply(x, [](V v, V d) { return GeluTanhBackward(v, d); });
    case Unary::kTanh:
      return apply(y, [](V v, V d) { return TanhBackward(v, d); });
    case Unary::kSigmoid:
      return apply(y, [](V v, V d) { return SigmoidBackward(v, d); });
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
