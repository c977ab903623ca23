// Activations and their derivatives, sums, copies and transposes against their
// formulas.
#include <cmath>

#include "backends/cpu/kernels.h"
#include "backends/cpu/reference.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cpu::testing {
namespace {

constexpr Unary kUnaries[] = {Unary::kRelu, Unary::kGelu, Unary::kGeluTanh,
                              Unary::kTanh, Unary::kSigmoid};

// Absolute below 1 and relative above, as PyTorch's own formulas lose the left
// tail of gelu to the cancellation in 1 + erf or 1 + tanh.
double Tolerance(double y) { return 2e-6 * std::max(1.0, std::abs(y)); }

std::vector<float> Sweep(int64_t count, double low, double high) {
  std::vector<float> values;
  for (int64_t e = 0; e < count; ++e) {
    values.push_back(static_cast<float>(low + (high - low) * e / (count - 1)));
  }
  return values;
}

class ElementwiseTest : public EveryTable {
 protected:
  // f'(x) as the kernel computes it, dy being 1.
  std::vector<float> Slopes(Unary f, const std::vector<float>& values) {
    const int64_t n = static_cast<int64_t>(values.size());
    Activations x(1, n, values), y(1, n), dx(1, n);
    Activations dy(1, n, std::vector<float>(n, 1.0f));
    kernels_.unary_forward(f, 1, n, x.matrix(), y.matrix());
    kernels_.unary_backward(f, 1, n, x.matrix(), y.matrix(), dy.matrix(),
                            dx.matrix(), false);
    return dx.Values();
  }
};

TEST_P(ElementwiseTest, ForwardFollowsTheFormula) {
  const std::vector<float> values = Sweep(20001, -12, 12);
  for (Unary f : kUnaries) {
    Activations x(3, 6667, values), y(3, 6667);
    kernels_.unary_forward(f, 3, 6667, x.matrix(), y.matrix());
    const std::vector<float> got = y.Values();
    for (size_t e = 0; e < values.size(); ++e) {
      const double expected = reference::Activate(f, values[e]);
      ASSERT_NEAR(got[e], expected, Tolerance(expected))
          << static_cast<int>(f) << " at " << values[e];
    }
    kernels_.unary_forward(f, 3, 6667, x.matrix(), x.matrix());
    EXPECT_TRUE(SameBits(x.Values(), got)) << "in place";
  }
}

TEST_P(ElementwiseTest, DerivativesFollowTheFormula) {
  const std::vector<float> values = Sweep(20001, -12, 12);
  for (Unary f : kUnaries) {
    const std::vector<float> got = Slopes(f, values);
    for (size_t e = 0; e < values.size(); ++e) {
      const double expected = reference::Derivative(f, values[e]);
      ASSERT_NEAR(got[e], expected, Tolerance(expected))
          << static_cast<int>(f) << " at " << values[e];
    }
  }
}

// Guards the formulas of reference.h themselves.
TEST_P(ElementwiseTest, DerivativesAreThoseOfTheForwardFormula) {
  const std::vector<float> values = Sweep(1000, -6.01, 6);
  const double h = 1e-5;
  for (Unary f : kUnaries) {
    const std::vector<float> got = Slopes(f, values);
    for (size_t e = 0; e < values.size(); ++e) {
      const double x = values[e];
      const double slope =
          (reference::Activate(f, x + h) - reference::Activate(f, x - h)) /
          (2 * h);
      ASSERT_NEAR(got[e], slope, 2e-6) << static_cast<int>(f) << " at " << x;
    }
  }
}

TEST_P(ElementwiseTest, AtTheEdges) {
  const std::vector<float> values = {0.0f, -0.0f, kInf, kNan, 1e-40f, -1e-40f};
  for (Unary f : kUnaries) {
    Activations x(1, 6, values), y(1, 6);
    kernels_.unary_forward(f, 1, 6, x.matrix(), y.matrix());
    const float zero = f == Unary::kSigmoid ? 0.5f : 0.0f;
    EXPECT_EQ(y.at(0, 0), zero);
    EXPECT_EQ(y.at(0, 1), zero);
    EXPECT_EQ(y.at(0, 2),
              f == Unary::kTanh || f == Unary::kSigmoid ? 1.0f : kInf);
    EXPECT_TRUE(std::isnan(y.at(0, 3)));
  }
  const std::vector<float> relu = Slopes(Unary::kRelu, values);
  EXPECT_EQ(relu[0], 0.0f);
  EXPECT_EQ(relu[1], 0.0f);
  EXPECT_EQ(relu[2], 1.0f);
  EXPECT_EQ(relu[4], 1.0f);
  EXPECT_EQ(relu[5], 0.0f);
}

TEST_P(ElementwiseTest, BackwardAccumulatesAndWorksInPlace) {
  Random random(1);
  const int64_t rows = 5, cols = 21;
  for (Unary f : kUnaries) {
    Activations x(rows, cols, random.Normals(rows * cols)), y(rows, cols);
    Activations dy(rows, cols, random.Normals(rows * cols));
    kernels_.unary_forward(f, rows, cols, x.matrix(), y.matrix());
    Activations dx(rows, cols), sum(rows, cols, random.Normals(rows * cols));
    std::vector<float> expected = sum.Values();
    kernels_.unary_backward(f, rows, cols, x.matrix(), y.matrix(), dy.matrix(),
                            dx.matrix(), false);
    kernels_.unary_backward(f, rows, cols, x.matrix(), y.matrix(), dy.matrix(),
                            sum.matrix(), true);
    for (size_t e = 0; e < expected.size(); ++e) expected[e] += dx.Values()[e];
    EXPECT_TRUE(SameBits(sum.Values(), expected));
    kernels_.unary_backward(f, rows, cols, x.matrix(), y.matrix(), dy.matrix(),
                            dy.matrix(), false);
    EXPECT_TRUE(SameBits(dy.Values(), dx.Values()));
  }
}

TEST_P(ElementwiseTest, AddAndCopy) {
  Random random(2);
  for (int64_t cols : {1, 7, 8, 16, 17, 40}) {
    Activations a(3, cols, random.Wild(3 * cols));
    Activations b(3, cols, random.Wild(3 * cols), 1);
    Activations y(3, cols, 2);
    std::vector<float> expected = a.Values();
    for (int64_t e = 0; e < 3 * cols; ++e) expected[e] += b.Values()[e];
    kernels_.add(3, cols, a.matrix(), b.matrix(), y.matrix());
    EXPECT_TRUE(SameBits(y.Values(), expected));
    kernels_.copy(3, cols, a.matrix(), y.matrix());
    EXPECT_TRUE(SameBits(y.Values(), a.Values()));
    kernels_.add(3, cols, a.matrix(), b.matrix(), a.matrix());
    EXPECT_TRUE(SameBits(a.Values(), expected));
  }
}

TEST_P(ElementwiseTest, TransposeFillsItsPaddingWithZeros) {
  Random random(3);
  for (int trial = 0; trial < 100; ++trial) {
    const int64_t n = random.Int(1, 40), k = random.Int(1, 40);
    GuardedFloats w(n * k);
    w.Set(random.Wild(n * k));
    Activations out(k, n, random.Int(0, 1));
    kernels_.transpose(n, k, w.data(), out.matrix());
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t j = 0; j < n; ++j) {
        ASSERT_TRUE(SameBits(out.at(p, j), w[j * k + p]));
      }
      for (int64_t j = n; j < RoundUp(n, kAlignFloats); ++j) {
        ASSERT_TRUE(SameBits(out.at(p, j), 0.0f));
      }
    }
  }
}

// The contract of the 16 lanes, written out.
float SumInLanes(const std::vector<float>& terms) {
  float lanes[16] = {};
  for (size_t e = 0; e < terms.size(); ++e) lanes[e % 16] += terms[e];
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

TEST_P(ElementwiseTest, ColumnSumRunsOverSixteenLanes) {
  Random random(4);
  for (int64_t rows = 0; rows <= 70; ++rows) {
    const int64_t cols = random.Int(1, 40);
    Activations x(
        rows, cols,
        rows % 3 == 0 ? random.Wild(rows * cols) : random.Normals(rows * cols));
    GuardedFloats out(cols, kNan);
    kernels_.column_sum(rows, cols, x.matrix(), out.data());
    for (int64_t j = 0; j < cols; ++j) {
      std::vector<float> column;
      for (int64_t i = 0; i < rows; ++i) column.push_back(x.at(i, j));
      ASSERT_TRUE(SameBits(out[j], SumInLanes(column))) << rows << " " << j;
    }
  }
}

MODELBATCH_ON_EVERY_TABLE(ElementwiseTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
