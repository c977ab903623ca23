// Layer normalisation and its three derivatives against double.
#include <cmath>

#include "backends/cpu/kernels.h"
#include "backends/cpu/reference.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

constexpr double kEps = 1e-5;

std::vector<double> ToDouble(const float* x, int64_t n) { return {x, x + n}; }

// A layer's arrays, filled at random.
struct Layer {
  Layer(Random& random, int64_t rows, int64_t cols)
      : x(rows, cols, random.Normals(rows * cols, 3)),
        y(rows, cols),
        dy(rows, cols, random.Normals(rows * cols)),
        dx(rows, cols),
        weight(cols),
        bias(cols),
        mean(rows),
        rstd(rows),
        dweight(cols),
        dbias(cols) {
    weight.Set(random.Normals(cols));
    bias.Set(random.Normals(cols));
  }

  void Forward(const Kernels& kernels, double eps = kEps) {
    kernels.layer_norm_forward(x.rows(), x.cols(), eps, x.matrix(),
                               weight.data(), bias.data(), y.matrix(),
                               mean.data(), rstd.data());
  }
  void Backward(const Kernels& kernels, bool accumulate = false) {
    kernels.layer_norm_backward(
        x.rows(), x.cols(), x.matrix(), weight.data(), mean.data(), rstd.data(),
        dy.matrix(), dx.matrix(), accumulate, dweight.data(), dbias.data());
  }

  // Sum of dy * y, whose derivatives the backward kernel computes.
  double Objective(const std::vector<double>& xs,
                   const std::vector<double>& weights,
                   const std::vector<double>& biases) const {
    double sum = 0;
    for (int64_t i = 0; i < x.rows(); ++i) {
      const auto row = xs.begin() + i * x.cols();
      const std::vector<double> out =
          reference::LayerNorm({row, row + x.cols()}, weights, biases, kEps);
      for (int64_t j = 0; j < x.cols(); ++j) sum += dy.at(i, j) * out[j];
    }
    return sum;
  }

  Activations x, y, dy, dx;
  GuardedFloats weight, bias, mean, rstd, dweight, dbias;
};

class NormTest : public EveryTable {};

TEST_P(NormTest, ForwardFollowsTheFormula) {
  Random random(1);
  for (int64_t cols : {1, 2, 7, 16, 33, 128, 300}) {
    Layer layer(random, 5, cols);
    layer.Forward(kernels_);
    for (int64_t i = 0; i < 5; ++i) {
      const std::vector<double> expected =
          reference::LayerNorm(ToDouble(&layer.x.at(i, 0), cols),
                               ToDouble(layer.weight.data(), cols),
                               ToDouble(layer.bias.data(), cols), kEps);
      for (int64_t j = 0; j < cols; ++j) {
        // rstd is large where cols is tiny and the values are close.
        ASSERT_NEAR(layer.y.at(i, j), expected[j],
                    5e-6 * std::max(1.0, std::abs(expected[j])))
            << cols;
      }
    }
  }
}

TEST_P(NormTest, BackwardIsTheDerivative) {
  Random random(2);
  const double h = 1e-5;
  for (int64_t cols : {3, 8, 21, 40}) {
    Layer layer(random, 19, cols);
    layer.Forward(kernels_);
    layer.Backward(kernels_);
    const std::vector<float> floats = layer.x.Values();
    std::vector<double> x(floats.begin(), floats.end());
    std::vector<double> weight = ToDouble(layer.weight.data(), cols);
    std::vector<double> bias = ToDouble(layer.bias.data(), cols);
    // The derivative by one of the numbers above.
    const auto slope = [&](double& by) {
      const double at = by;
      by = at + h;
      const double above = layer.Objective(x, weight, bias);
      by = at - h;
      const double below = layer.Objective(x, weight, bias);
      by = at;
      return (above - below) / (2 * h);
    };
    for (int64_t i = 0; i < 19; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        ASSERT_NEAR(layer.dx.at(i, j), slope(x[i * cols + j]), 1e-5);
      }
    }
    for (int64_t j = 0; j < cols; ++j) {
      ASSERT_NEAR(layer.dweight[j], slope(weight[j]), 2e-5);
      ASSERT_NEAR(layer.dbias[j], slope(bias[j]), 2e-5);
    }
  }
}

TEST_P(NormTest, AccumulatesAndWorksInPlace) {
  Random random(3);
  Layer layer(random, 6, 21);
  layer.Forward(kernels_);
  layer.Backward(kernels_);
  const std::vector<float> dx = layer.dx.Values();
  std::vector<float> expected = random.Normals(6 * 21);
  layer.dx.Set(expected);
  layer.Backward(kernels_, /*accumulate=*/true);
  for (size_t e = 0; e < dx.size(); ++e) expected[e] += dx[e];
  EXPECT_TRUE(SameBits(layer.dx.Values(), expected));

  const std::vector<float> y = layer.y.Values(), dw = layer.dweight.Values();
  kernels_.layer_norm_backward(6, 21, layer.x.matrix(), layer.weight.data(),
                               layer.mean.data(), layer.rstd.data(),
                               layer.dy.matrix(), layer.dy.matrix(), false,
                               layer.dweight.data(), layer.dbias.data());
  EXPECT_TRUE(SameBits(layer.dy.Values(), dx));
  EXPECT_TRUE(SameBits(layer.dweight.Values(), dw));
  kernels_.layer_norm_forward(
      6, 21, kEps, layer.x.matrix(), layer.weight.data(), layer.bias.data(),
      layer.x.matrix(), layer.mean.data(), layer.rstd.data());
  EXPECT_TRUE(SameBits(layer.x.Values(), y));
}

TEST_P(NormTest, WithoutInputGradientTheOthersAreTheSame) {
  Random random(4);
  Layer layer(random, 6, 21);
  layer.Forward(kernels_);
  layer.Backward(kernels_);
  GuardedFloats dweight(21, kNan), dbias(21, kNan);
  kernels_.layer_norm_backward(6, 21, layer.x.matrix(), layer.weight.data(),
                               layer.mean.data(), layer.rstd.data(),
                               layer.dy.matrix(), Matrix(), false,
                               dweight.data(), dbias.data());
  EXPECT_TRUE(SameBits(dweight.Values(), layer.dweight.Values()));
  EXPECT_TRUE(SameBits(dbias.Values(), layer.dbias.Values()));
}

MODELBATCH_ON_EVERY_TABLE(NormTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
