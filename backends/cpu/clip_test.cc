// Scale, clip by value and clip by norm follow
// torch.nn.utils.clip_grad_value_'s and clip_grad_norm_'s formulas in double.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "backends/cpu/kernels.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();
constexpr double kMaxFloat = std::numeric_limits<float>::max();
constexpr int64_t kCounts[] = {0, 1, 7, 8, 15, 16, 17, 33, 1000};

std::vector<double> Formula(const std::vector<float>& gradient,
                            const ClipArgs& args) {
  std::vector<double> result;
  long double squares = 0;
  for (const double g : gradient) {
    result.push_back(
        std::min(std::max(g * args.scale, -args.value), args.value));
    squares += static_cast<long double>(result.back()) * result.back();
  }
  if (args.norm == kNone) return result;
  const double norm = static_cast<double>(std::sqrt(squares));
  const double factor = std::min(1.0, args.norm / (norm + 1e-6));
  for (double& g : result) g *= factor;
  return result;
}

class ClipTest : public EveryTable {
 protected:
  std::vector<float> Run(const std::vector<float>& gradient, ClipArgs args) {
    const int64_t count = static_cast<int64_t>(gradient.size());
    GuardedFloats memory(count);
    memory.Set(gradient);
    args.count = count, args.grad = memory.data();
    kernels_.clip(args);
    return memory.Values();
  }

  // Each element but for four roundings: those of the factors, which are
  // floats, and of the products by them. Below float's normal numbers, half a
  // denormal each.
  void ExpectFormula(const std::vector<float>& gradient, const ClipArgs& args) {
    const std::vector<float> got = Run(gradient, args);
    const std::vector<double> exact = Formula(gradient, args);
    ASSERT_EQ(got.size(), exact.size());
    for (size_t e = 0; e < got.size(); ++e) {
      const double by_norm =
          std::min(std::abs(gradient[e] * args.scale), args.value);
      ASSERT_NEAR(got[e], exact[e],
                  0x1p-22 * std::abs(exact[e]) + 0x1p-150 * by_norm + 0x1p-148)
          << "element " << e << " of " << got.size() << ", scale " << args.scale
          << ", value " << args.value << ", norm " << args.norm;
    }
  }
};

ClipArgs Args(double scale, double value, double norm) {
  ClipArgs args;
  args.scale = scale, args.value = value, args.norm = norm;
  return args;
}

TEST_P(ClipTest, FollowsTheFormula) {
  Random random(1);
  for (const int64_t count : kCounts) {
    for (const float magnitude : {1e-30f, 1e-6f, 1.0f, 1e6f, 1e30f}) {
      const std::vector<float> gradient = random.Normals(count, magnitude);
      const double m = magnitude;
      for (const double scale : {1.0, 0.37, -2.5}) {
        for (const double value : {kNone, 0.3 * m, 10 * m, 0.0}) {
          for (const double norm : {kNone, 0.7 * m, 1e4 * m, 0.0}) {
            ExpectFormula(gradient, Args(scale, value, norm));
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST_P(ClipTest, DefaultsChangeNothing) {
  Random random(2);
  for (const int64_t count : kCounts) {
    const std::vector<float> gradient = random.Wild(count);
    EXPECT_TRUE(SameBits(Run(gradient, ClipArgs()), gradient));
  }
}

TEST_P(ClipTest, WhatDoesNotBindChangesNoBit) {
  Random random(3);
  for (const int64_t count : kCounts) {
    const std::vector<float> gradient = random.Normals(count);
    EXPECT_TRUE(SameBits(Run(gradient, Args(1, 1e3, 1e3)), gradient));
    EXPECT_TRUE(SameBits(Run(gradient, Args(1, 1e300, 1e300)), gradient));
  }
  // Just within, and just beyond.
  EXPECT_TRUE(SameBits(Run({3, 4}, Args(1, 4, 5.1)), {3, 4}));
  EXPECT_LT(Run({3, 4}, Args(1, kNone, 5))[1], 4.0f);  // the 1e-6
}

// 1e4 elements near the largest float: the sum of squares is 1e81.
TEST_P(ClipTest, NormsDoNotOverflow) {
  const float huge = static_cast<float>(kMaxFloat);
  for (const int64_t count : {1, 2, 17, 10000}) {
    const std::vector<float> gradient(count, huge);
    ExpectFormula(gradient, Args(1, kNone, 1));
    ExpectFormula(gradient, Args(1, kNone, 1e30));
    ExpectFormula(gradient, Args(1, 1e38, 1));
    for (const float g : Run(gradient, Args(1, kNone, 1))) {
      EXPECT_NEAR(g, 1 / std::sqrt(static_cast<double>(count)), 1e-6);
    }
  }
}

TEST_P(ClipTest, DenormalsAreNotTakenForZero) {
  const std::vector<float> gradient = {1e-45f, -1e-40f, 3e-39f, 0x1p-127f};
  ExpectFormula(gradient, Args(1, kNone, 1));
  ExpectFormula(gradient, Args(1e38, kNone, kNone));
  ExpectFormula(gradient, Args(1, 1e-42, kNone));
  ExpectFormula(gradient, Args(1e38, kNone, 1e-8));
  ExpectFormula(gradient, Args(1, kNone, 1e-8));
}

// In double: a float's sum of 2^24 + 1 ones stays at 2^24.
TEST_P(ClipTest, SmallElementsCountBesideALargeOne) {
  std::vector<float> gradient(4097, 1.0f);
  gradient[0] = 0x1p12f;
  // Norm sqrt(2^24 + 4096).
  const std::vector<float> got = Run(gradient, Args(1, kNone, 1));
  EXPECT_NEAR(got[1] * std::sqrt(0x1p24 + 4096), 1, 1e-6);
}

TEST_P(ClipTest, ValueComesBeforeNorm) {
  // [3, -0.5, 1] clamped to 1 has norm 1.5; by norm first it has sqrt(10.25).
  const std::vector<float> got = Run({3, -0.5, 1}, Args(1, 1, 1));
  EXPECT_NEAR(got[0], 1 / 1.5, 1e-6);
  EXPECT_NEAR(got[1], -0.5 / 1.5, 1e-6);
  // The scale before both: 4 becomes 1.
  EXPECT_EQ(Run({4, 0, 0}, Args(0.25, 2, kNone))[0], 1.0f);
  EXPECT_EQ(Run({4, 0, 0}, Args(0.25, kNone, 2))[0], 1.0f);
}

// Callers look for infinities afterwards: they must still be there.
TEST_P(ClipTest, AScaleThatOverflowsIsSeen) {
  for (const double norm : {kNone, 1.0}) {
    const std::vector<float> got =
        Run({1, 1e-3f, 0.5f}, Args(1e39, kNone, norm));
    EXPECT_FALSE(kernels_.all_below(1, 3, kInf, {got.data(), 0}));
  }
}

MODELBATCH_ON_EVERY_TABLE(ClipTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
