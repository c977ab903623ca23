// Losses and their derivatives against double, and what they do with values
// that are no numbers.
#include <cmath>

#include "backends/cpu/kernels.h"
#include "backends/cpu/reference.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

std::vector<double> Row(const Activations& x, int64_t i) {
  std::vector<double> row;
  for (int64_t j = 0; j < x.cols(); ++j) row.push_back(x.at(i, j));
  return row;
}

class LossTest : public EveryTable {
 protected:
  float CrossEntropy(Activations& x, const std::vector<int64_t>& targets,
                     Activations* dx = nullptr, float* row_losses = nullptr) {
    return kernels_.cross_entropy(
        x.rows(), x.cols(), x.matrix(), targets.data(),
        dx == nullptr ? Matrix() : dx->matrix(), row_losses);
  }
};

TEST_P(LossTest, CrossEntropyFollowsTheFormula) {
  Random random(1);
  for (int64_t rows : {1, 7, 8, 9, 16, 17, 64}) {
    for (int64_t cols : {1, 2, 8, 10, 16, 17, 100}) {
      Activations x(rows, cols, random.Normals(rows * cols, 4)), dx(rows, cols);
      std::vector<int64_t> targets;
      for (int64_t i = 0; i < rows; ++i) {
        targets.push_back(random.Int(0, cols - 1));
      }
      GuardedFloats losses(rows, kNan);
      const float loss = CrossEntropy(x, targets, &dx, losses.data());
      double mean = 0;
      for (int64_t i = 0; i < rows; ++i) {
        const std::vector<double> row = Row(x, i);
        const double expected = reference::CrossEntropy(row, targets[i]);
        mean += expected / rows;
        ASSERT_NEAR(losses[i], expected, 1e-6 * std::max(1.0, expected));
        const std::vector<double> softmax = reference::Softmax(row);
        for (int64_t j = 0; j < cols; ++j) {
          const double d = (softmax[j] - (j == targets[i])) / rows;
          ASSERT_NEAR(dx.at(i, j), d, 4e-7 / rows);
        }
      }
      EXPECT_NEAR(loss, mean, 1e-6 * std::max(1.0, mean));
      EXPECT_TRUE(SameBits(CrossEntropy(x, targets), loss)) << "without dx";
      CrossEntropy(x, targets, &x);
      EXPECT_TRUE(SameBits(x.Values(), dx.Values())) << "in place";
    }
  }
}

TEST_P(LossTest, CrossEntropyGradientIsTheDerivative) {
  Random random(2);
  const int64_t rows = 5, cols = 10;
  const double h = 1e-5;
  Activations x(rows, cols, random.Normals(rows * cols)), dx(rows, cols);
  const std::vector<int64_t> targets = {0, 9, 4, 4, 7};
  CrossEntropy(x, targets, &dx);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      std::vector<double> above = Row(x, i), below = above;
      above[j] += h;
      below[j] -= h;
      const double slope = (reference::CrossEntropy(above, targets[i]) -
                            reference::CrossEntropy(below, targets[i])) /
                           (2 * h * rows);
      ASSERT_NEAR(dx.at(i, j), slope, 1e-7);
    }
  }
}

TEST_P(LossTest, CrossEntropyOfHugeLogits) {
  Activations x(2, 3, {1e4f, -1e4f, 0, 1e4f, -1e4f, 0}), dx(2, 3);
  GuardedFloats losses(2);
  CrossEntropy(x, {0, 1}, &dx, losses.data());
  EXPECT_EQ(losses[0], 0.0f);
  EXPECT_EQ(losses[1], 2e4f);
  EXPECT_TRUE(SameBits(dx.Values(), {0, 0, 0, 0.5f, -0.5f, 0}));
}

TEST_P(LossTest, CrossEntropyOfOneClassIsZero) {
  Activations x(3, 1, {5, -1e30f, 0}), dx(3, 1);
  EXPECT_EQ(CrossEntropy(x, {0, 0, 0}, &dx), 0.0f);
  EXPECT_TRUE(SameBits(dx.Values(), {0, 0, 0}));
}

TEST_P(LossTest, CrossEntropyOfNonFiniteLogitsIsNotFinite) {
  for (float bad : {kNan, kInf, -kInf}) {
    for (int64_t cols : {1, 5, 10, 20}) {
      for (int64_t at = 0; at < cols; ++at) {
        Activations x(2, cols, std::vector<float>(2 * cols, 1.0f));
        Activations dx(2, cols);
        x.at(1, at) = bad;
        // A -Inf that is not the target is probability zero: a mask.
        const bool finite = bad == -kInf && cols > 1;
        const std::vector<int64_t> targets = {0, finite && at == 0 ? 1 : 0};
        EXPECT_EQ(std::isfinite(CrossEntropy(x, targets, &dx)), finite)
            << bad << " at " << at << " of " << cols;
        EXPECT_FALSE(std::isfinite(CrossEntropy(x, {0, at}, &dx)));
      }
    }
  }
}

TEST_P(LossTest, MseFollowsTheFormula) {
  Random random(3);
  for (int64_t rows : {1, 5, 16, 33}) {
    for (int64_t cols : {1, 8, 10, 33}) {
      Activations x(rows, cols, random.Normals(rows * cols));
      Activations target(rows, cols, random.Normals(rows * cols), 1);
      Activations dx(rows, cols);
      GuardedFloats losses(rows, kNan);
      const float loss = kernels_.mse(rows, cols, x.matrix(), target.matrix(),
                                      dx.matrix(), losses.data());
      double sum = 0;
      for (int64_t i = 0; i < rows; ++i) {
        double row = 0;
        for (int64_t j = 0; j < cols; ++j) {
          const double d = static_cast<double>(x.at(i, j)) - target.at(i, j);
          row += d * d;
          ASSERT_NEAR(dx.at(i, j), 2 * d / (rows * cols),
                      3e-7 / (rows * cols) * std::max(1.0, std::abs(d)));
        }
        sum += row;
        ASSERT_NEAR(losses[i], row / cols, 1e-6 * std::max(1.0, row / cols));
      }
      EXPECT_NEAR(loss, sum / (rows * cols), 2e-6);
      EXPECT_TRUE(SameBits(kernels_.mse(rows, cols, x.matrix(), target.matrix(),
                                        Matrix(), nullptr),
                           loss));
    }
  }
}

TEST_P(LossTest, ArgMaxIsTheFirstLargest) {
  const auto argmax = [&](const std::vector<float>& values) {
    Activations x(1, static_cast<int64_t>(values.size()), values);
    int64_t out = -1;
    kernels_.argmax(1, x.cols(), x.matrix(), &out);
    return out;
  };
  EXPECT_EQ(argmax({3}), 0);
  EXPECT_EQ(argmax({1, 3, 3, 2}), 1);
  EXPECT_EQ(argmax({-kInf, -kInf}), 0);
  EXPECT_EQ(argmax({1, kInf, kNan, kNan}), 2);
  EXPECT_EQ(argmax({kNan, 1}), 0);
  EXPECT_EQ(argmax({0.0f, -0.0f}), 0);
  EXPECT_EQ(argmax({-0.0f, 0.0f}), 0);
  Random random(4);
  for (int trial = 0; trial < 200; ++trial) {
    const std::vector<float> values = random.Normals(random.Int(1, 50));
    EXPECT_EQ(argmax(values),
              std::max_element(values.begin(), values.end()) - values.begin());
  }
}

TEST_P(LossTest, AllFiniteSeesEveryPosition) {
  EXPECT_TRUE(kernels_.all_finite(0, nullptr));
  for (int64_t count = 1; count <= 75; ++count) {
    GuardedFloats x(count, 3e38f);
    EXPECT_TRUE(kernels_.all_finite(count, x.data()));
    for (int64_t at = 0; at < count; ++at) {
      for (float bad : {kNan, kInf, -kInf}) {
        x[at] = bad;
        EXPECT_FALSE(kernels_.all_finite(count, x.data())) << at << count;
      }
      x[at] = -1e-45f;
    }
  }
}

MODELBATCH_ON_EVERY_TABLE(LossTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
