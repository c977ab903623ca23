// Losses and their derivatives against double, and what they do with values
// that are no numbers.
#include <cmath>
#include <cstring>
#include <functional>

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

// Rows with their targets' weights, some of them ignored.
struct ClassRows {
  ClassRows(Random& random, int64_t rows, int64_t cols, bool weighted)
      : weights(rows), class_weights(1, cols) {
    for (int64_t j = 0; j < cols; ++j) {
      w.push_back(weighted ? random.Int(0, 4) * 0.5 : 1);
      class_weights.at(0, j) = static_cast<float>(w.back());
    }
    for (int64_t i = 0; i < rows; ++i) {
      targets.push_back(random.Int(0, 3) == 0 ? -1 : random.Int(0, cols - 1));
      weights[i] = targets[i] < 0 ? 0 : static_cast<float>(w[targets[i]]);
      total += weights[i];
    }
  }
  ClassLossArgs Args(Activations& x, Activations* dx, float* losses) {
    ClassLossArgs args;
    args.rows = x.rows(), args.cols = x.cols();
    args.x = x.matrix();
    args.targets = targets.data();
    args.row_weights = weights.data();
    args.total = static_cast<float>(total);
    if (dx != nullptr) args.dx = dx->matrix();
    args.row_losses = losses;
    return args;
  }

  std::vector<int64_t> targets;
  std::vector<double> w;
  GuardedFloats weights;
  Activations class_weights;
  double total = 0;
};

TEST_P(LossTest, WeightedCrossEntropyFollowsTheFormula) {
  Random random(5);
  for (int64_t rows : {1, 8, 17, 40}) {
    for (int64_t cols : {1, 2, 10, 17, 100}) {
      for (const bool weighted : {false, true}) {
        for (const double smoothing : {0.0, 0.1, 1.0}) {
          Activations x(rows, cols, random.Normals(rows * cols, 4));
          Activations dx(rows, cols);
          ClassRows r(random, rows, cols, weighted);
          if (r.total == 0) continue;
          GuardedFloats losses(rows, kNan);
          ClassLossArgs args = r.Args(x, &dx, losses.data());
          args.label_smoothing = smoothing;
          if (weighted) args.class_weights = r.class_weights.data();
          const float loss = kernels_.weighted_cross_entropy(args);
          double sum = 0;
          for (int64_t i = 0; i < rows; ++i) {
            if (r.targets[i] < 0) {
              ASSERT_TRUE(SameBits(losses[i], 0));
              for (int64_t j = 0; j < cols; ++j) ASSERT_EQ(dx.at(i, j), 0);
              continue;
            }
            const std::vector<double> row = Row(x, i);
            const double expected = reference::SmoothedCrossEntropy(
                row, r.targets[i], r.w, smoothing);
            ASSERT_NEAR(losses[i], expected, 2e-6 * std::max(1.0, expected));
            sum += expected;
            const std::vector<double> p = reference::Softmax(row);
            double all = 0;
            std::vector<double> q(cols);
            for (int64_t j = 0; j < cols; ++j) {
              q[j] = r.w[j] * (smoothing / static_cast<double>(cols) +
                               (j == r.targets[i] ? 1 - smoothing : 0));
              all += q[j];
            }
            for (int64_t j = 0; j < cols; ++j) {
              ASSERT_NEAR(dx.at(i, j), (p[j] * all - q[j]) / r.total,
                          1e-6 / r.total)
                  << cols << " " << smoothing;
            }
          }
          EXPECT_NEAR(loss, sum / r.total, 2e-6 * std::max(1.0, sum / r.total));
          args.dx = Matrix();
          EXPECT_TRUE(SameBits(kernels_.weighted_cross_entropy(args), loss));
          args.dx = x.matrix();
          kernels_.weighted_cross_entropy(args);
          EXPECT_TRUE(SameBits(x.Values(), dx.Values())) << "in place";
        }
      }
    }
  }
}

TEST_P(LossTest, WithoutWeightsItIsCrossEntropyToTheBit) {
  Random random(6);
  for (int trial = 0; trial < 50; ++trial) {
    const int64_t rows = random.Int(1, 40), cols = random.Int(1, 40);
    Activations x(rows, cols, random.Wild(rows * cols));
    Activations plain(rows, cols), weighted(rows, cols);
    ClassRows r(random, rows, cols, false);
    for (int64_t i = 0; i < rows; ++i) {
      r.targets[i] = random.Int(0, cols - 1);
      r.weights[i] = 1;
    }
    r.total = static_cast<double>(rows);
    GuardedFloats a(rows), b(rows);
    const float loss = CrossEntropy(x, r.targets, &plain, a.data());
    EXPECT_TRUE(SameBits(
        kernels_.weighted_cross_entropy(r.Args(x, &weighted, b.data())), loss));
    EXPECT_TRUE(SameBits(a.Values(), b.Values()));
    EXPECT_TRUE(SameBits(plain.Values(), weighted.Values()));
  }
}

TEST_P(LossTest, AnIgnoredRowMayHoldAnything) {
  Random random(7);
  Activations x(3, 10, random.Normals(30)), dx(3, 10);
  for (int64_t j = 0; j < 10; ++j) x.at(1, j) = j % 2 == 0 ? kNan : kInf;
  ClassRows r(random, 3, 10, false);
  r.targets = {4, -1, 9};
  r.weights.Set({1, 0, 1});
  r.total = 2;
  for (auto loss : {kernels_.weighted_cross_entropy, kernels_.nll}) {
    ClassLossArgs args = r.Args(x, &dx, nullptr);
    EXPECT_TRUE(std::isfinite(loss(args)));
    for (const float d : dx.Values()) EXPECT_TRUE(std::isfinite(d));
    for (int64_t j = 0; j < 10; ++j) EXPECT_EQ(dx.at(1, j), 0);
  }
}

TEST_P(LossTest, WeightedCrossEntropyOfHugeLogits) {
  Activations x(2, 3, {1e4f, -1e4f, 0, 1e4f, -1e4f, 0}), dx(2, 3);
  Activations w(1, 3, {1, 2, 4});
  const std::vector<int64_t> targets = {0, 1};
  GuardedFloats weights(2), losses(2);
  weights.Set({1, 2});
  ClassLossArgs args;
  args.rows = 2, args.cols = 3, args.x = x.matrix(), args.dx = dx.matrix();
  args.targets = targets.data(), args.row_weights = weights.data();
  args.total = 3, args.class_weights = w.data(), args.label_smoothing = 0.75;
  args.row_losses = losses.data();
  kernels_.weighted_cross_entropy(args);
  // -log p is 0, 2e4 and 1e4.
  EXPECT_EQ(losses[0], 0.25f * (2 * 2e4f + 4 * 1e4f));
  EXPECT_EQ(losses[1], 0.25f * 2 * 2e4f + losses[0]);
  // Row 0: p = (1, 0, 0), the weights of -log p are (0.5, 0.5, 1).
  EXPECT_NEAR(dx.at(0, 0), (2.0 - 0.5) / 3, 1e-7);
  EXPECT_NEAR(dx.at(0, 1), -0.5 / 3, 1e-7);
  EXPECT_NEAR(dx.at(0, 2), -1.0 / 3, 1e-7);
  // Row 1: they are (0.25, 1, 1).
  EXPECT_NEAR(dx.at(1, 0), (2.25 - 0.25) / 3, 1e-7);
  EXPECT_NEAR(dx.at(1, 1), -1.0 / 3, 1e-7);
  EXPECT_NEAR(dx.at(1, 2), -1.0 / 3, 1e-7);
}

TEST_P(LossTest, NllFollowsTheFormula) {
  Random random(8);
  for (int64_t rows : {1, 8, 17, 40}) {
    for (int64_t cols : {1, 2, 10, 17}) {
      Activations x(rows, cols, random.Normals(rows * cols, 4));
      Activations dx(rows, cols);
      ClassRows r(random, rows, cols, true);
      if (r.total == 0) continue;
      GuardedFloats losses(rows, kNan);
      ClassLossArgs args = r.Args(x, &dx, losses.data());
      const float loss = kernels_.nll(args);
      double sum = 0;
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t t = r.targets[i];
        const double expected = t < 0 ? 0 : -r.w[t] * x.at(i, t);
        sum += expected;
        ASSERT_NEAR(losses[i], expected, 1e-6 * std::abs(expected));
        for (int64_t j = 0; j < cols; ++j) {
          ASSERT_NEAR(dx.at(i, j), j == t ? -r.w[t] / r.total : 0, 1e-7);
        }
      }
      EXPECT_NEAR(loss, sum / r.total, 1e-5);
      args.dx = Matrix();
      EXPECT_TRUE(SameBits(kernels_.nll(args), loss));
      args.dx = x.matrix();
      kernels_.nll(args);
      EXPECT_TRUE(SameBits(x.Values(), dx.Values())) << "in place";
    }
  }
}

class ValueLossTest : public LossTest {
 protected:
  using Loss = std::function<float(int64_t, int64_t, ConstMatrix, ConstMatrix,
                                   Matrix, float*)>;
  using Formula = std::function<reference::Element(double, double, int64_t)>;

  // `targets(x)` gives a target beside x.
  void Check(const Loss& loss, const Formula& formula,
             const std::function<float(float)>& targets,
             const std::vector<float>& outputs) {
    const int64_t count = static_cast<int64_t>(outputs.size());
    for (int64_t cols : {1, 8, 10, 33}) {
      const int64_t rows = count / cols;
      if (rows == 0) continue;
      std::vector<float> values(outputs.begin(), outputs.begin() + rows * cols);
      Activations x(rows, cols, values), target(rows, cols), dx(rows, cols);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < cols; ++j) {
          target.at(i, j) = targets(x.at(i, j));
        }
      }
      GuardedFloats losses(rows, kNan);
      const float mean = loss(rows, cols, x.matrix(), target.matrix(),
                              dx.matrix(), losses.data());
      const double elements = static_cast<double>(rows * cols);
      double sum = 0;
      for (int64_t i = 0; i < rows; ++i) {
        double row = 0;
        for (int64_t j = 0; j < cols; ++j) {
          const reference::Element element =
              formula(x.at(i, j), target.at(i, j), j);
          row += element.value;
          ASSERT_NEAR(dx.at(i, j), element.derivative / elements,
                      6e-7 / elements * std::abs(element.derivative) + 1e-44)
              << x.at(i, j) << " and " << target.at(i, j);
        }
        sum += row;
        ASSERT_NEAR(losses[i], row / cols, 1e-6 * std::abs(row / cols) + 1e-43);
      }
      EXPECT_NEAR(mean, sum / elements, 2e-6 * std::abs(sum / elements));
      EXPECT_TRUE(SameBits(
          loss(rows, cols, x.matrix(), target.matrix(), Matrix(), nullptr),
          mean));
    }
  }
};

TEST_P(ValueLossTest, SmoothL1AndL1) {
  Random random(9);
  for (const float beta : {0.0f, 1e-3f, 1.0f, 2.5f, 1e30f}) {
    Check(
        [&](int64_t rows, int64_t cols, ConstMatrix x, ConstMatrix t, Matrix dx,
            float* losses) {
          return kernels_.smooth_l1(rows, cols, beta, x, t, dx, losses);
        },
        [&](double x, double t, int64_t) {
          return reference::SmoothL1(x, t, beta);
        },
        // Equal, on the corner, near and far: differences that are exact.
        [&](float x) {
          return x - std::ldexp(static_cast<float>(random.Int(-5, 5)),
                                static_cast<int>(random.Int(-2, 2)));
        },
        [&] {
          std::vector<float> x;
          for (int e = 0; e < 400; ++e) x.push_back(random.Int(-64, 64) * 0.25);
          return x;
        }());
  }
}

TEST_P(ValueLossTest, Huber) {
  Random random(10);
  for (const float delta : {1e-3f, 1.0f, 2.5f, 1e30f}) {
    Check(
        [&](int64_t rows, int64_t cols, ConstMatrix x, ConstMatrix t, Matrix dx,
            float* losses) {
          return kernels_.huber(rows, cols, delta, x, t, dx, losses);
        },
        [&](double x, double t, int64_t) {
          return reference::Huber(x, t, delta);
        },
        [&](float x) {
          return x - std::ldexp(static_cast<float>(random.Int(-5, 5)),
                                static_cast<int>(random.Int(-2, 2)));
        },
        [&] {
          std::vector<float> x;
          for (int e = 0; e < 400; ++e) x.push_back(random.Int(-64, 64) * 0.25);
          return x;
        }());
  }
}

// Over every exponent: relative accuracy, but where a derivative crosses 0.
TEST_P(ValueLossTest, BceWithLogits) {
  Random random(11);
  std::vector<float> x;
  // Up to 2^97: a row's sum is to stay finite.
  for (uint32_t bits = 0; bits < 0x70000000u; bits += 0x70000000u / 3000) {
    float v;
    std::memcpy(&v, &bits, sizeof(v));
    x.push_back(v);
    x.push_back(-v);
  }
  for (int e = 0; e < 3000; ++e) {
    x.push_back(static_cast<float>(random.Uniform(-110, 110)));
  }
  Activations weights(1, 33);
  for (int64_t j = 0; j < 33; ++j) {
    weights.at(0, j) = static_cast<float>(std::exp(random.Uniform(-7, 7)));
  }
  for (const bool weighted : {false, true}) {
    for (const float target : {0.0f, 1.0f}) {
      Check(
          [&](int64_t rows, int64_t cols, ConstMatrix x, ConstMatrix t,
              Matrix dx, float* losses) {
            return kernels_.bce_with_logits(rows, cols,
                                            weighted ? weights.data() : nullptr,
                                            x, t, dx, losses);
          },
          [&](double x, double t, int64_t j) {
            return reference::BceWithLogits(x, t,
                                            weighted ? weights.at(0, j) : 1);
          },
          [&](float) { return target; }, x);
    }
  }
}

TEST_P(ValueLossTest, BceWithLogitsOfTargetsBetween) {
  Random random(12);
  const int64_t rows = 3000, cols = 3;
  Activations x(rows, cols), target(rows, cols), dx(rows, cols);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      x.at(i, j) = random.Normal(static_cast<float>(i % 50));
      target.at(i, j) = static_cast<float>(random.Uniform(0, 1));
    }
  }
  Activations weights(1, cols, {0.25f, 1, 7});
  GuardedFloats losses(rows);
  kernels_.bce_with_logits(rows, cols, weights.data(), x.matrix(),
                           target.matrix(), dx.matrix(), losses.data());
  for (int64_t i = 0; i < rows; ++i) {
    double row = 0;
    for (int64_t j = 0; j < cols; ++j) {
      const double p = weights.at(0, j);
      const reference::Element e =
          reference::BceWithLogits(x.at(i, j), target.at(i, j), p);
      row += e.value;
      ASSERT_NEAR(dx.at(i, j) * rows * cols, e.derivative,
                  4e-7 * std::max(1.0, p));
    }
    ASSERT_NEAR(losses[i], row / cols, 1e-6 * row / cols);
  }
}

TEST_P(ValueLossTest, NonFiniteValuesSpread) {
  for (const float bad : {kNan, kInf, -kInf}) {
    for (int64_t at = 0; at < 20; ++at) {
      Activations x(1, 20), target(1, 20), dx(1, 20);
      for (int64_t j = 0; j < 20; ++j) x.at(0, j) = target.at(0, j) = 0.5f;
      x.at(0, at) = bad;
      const Matrix a = x.matrix(), b = target.matrix(), d = dx.matrix();
      EXPECT_FALSE(std::isfinite(kernels_.smooth_l1(1, 20, 0, a, b, d, {})));
      EXPECT_FALSE(std::isfinite(kernels_.smooth_l1(1, 20, 1, a, b, d, {})));
      EXPECT_FALSE(std::isfinite(kernels_.huber(1, 20, 1, a, b, d, {})));
      EXPECT_FALSE(
          std::isfinite(kernels_.bce_with_logits(1, 20, nullptr, a, b, d, {})));
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

TEST_P(LossTest, AllBelowSeesEveryPosition) {
  EXPECT_TRUE(kernels_.all_below(1, 0, kInf, {}));
  EXPECT_TRUE(kernels_.all_below(0, 3, kInf, {}));
  for (int64_t count = 1; count <= 75; ++count) {
    GuardedFloats x(count, 3e38f);
    EXPECT_TRUE(kernels_.all_below(1, count, kInf, {x.data(), 0}));
    for (int64_t at = 0; at < count; ++at) {
      for (float bad : {kNan, kInf, -kInf}) {
        x[at] = bad;
        EXPECT_FALSE(kernels_.all_below(1, count, kInf, {x.data(), 0}))
            << at << " of " << count;
      }
      x[at] = -1e-45f;
    }
  }
}

TEST_P(LossTest, AllBelowLooksAtRowsAndNotAtPadding) {
  for (int64_t cols : {1, 8, 10, 31, 33, 70}) {
    const int64_t rows = 5;
    Activations x(rows, cols, std::vector<float>(rows * cols, -7.5f), 1, kNan);
    const auto below = [&](float bound) {
      return kernels_.all_below(rows, cols, bound, x.matrix());
    };
    EXPECT_TRUE(below(7.6f));
    EXPECT_FALSE(below(7.5f));
    for (int64_t i = 0; i < rows; ++i) {
      x.matrix().data[i * x.ld() + cols - 1] = 8;
      EXPECT_FALSE(below(7.6f)) << "row " << i;
      x.matrix().data[i * x.ld() + cols - 1] = 7;
    }
  }
}

MODELBATCH_ON_EVERY_TABLE(LossTest);
MODELBATCH_ON_EVERY_TABLE(ValueLossTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
