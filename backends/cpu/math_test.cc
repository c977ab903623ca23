// exp, log, log1p, tanh, sigmoid and erf are as accurate as they say, over
// every exponent, and right at the edges.
#include <cmath>
#include <functional>

#include "backends/cpu/targets.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

using Reference = double (*)(double);

double SigmoidInDouble(double x) { return 1 / (1 + std::exp(-x)); }

// The distance from `got` to `exact` in units of the last place of a float of
// exact's size.
double UlpError(float got, double exact) {
  if (std::isnan(exact) || std::isinf(exact)) return got == exact ? 0 : 1e9;
  int exponent;
  std::frexp(exact, &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  // Above the largest float, Inf stands for 2^128.
  const double value = std::isinf(got) ? std::copysign(0x1p128, got) : got;
  if (std::abs(exact) >= 0x1p128) {
    return std::isinf(got) && (got > 0) == (exact > 0) ? 0 : 1e9;
  }
  return std::abs(value - exact) / ulp;
}

class MathTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    if (FindKernels(GetParam()) == nullptr) {
      GTEST_SKIP() << "this CPU lacks " << name;
    }
    math_ = name == "avx512" ? avx512::Math()
            : name == "avx2" ? avx2::Math()
                             : generic::Math();
  }

  static float Apply(MathFunctions::Function f, float x) {
    float y;
    f(1, &x, &y);
    return y;
  }

  // The largest error over `count` points of [low, high], evenly spaced, and
  // over as many evenly spaced in their bits.
  static double MaxUlp(MathFunctions::Function f, Reference exact, float low,
                       float high, int count = 1000000) {
    std::vector<float> x;
    for (int e = 0; e <= count; ++e) {
      x.push_back(static_cast<float>(low + (static_cast<double>(high) - low) *
                                               e / count));
    }
    for (uint32_t bits = 0; bits < 0x7f800000u;
         bits += 0x7f800000u / static_cast<uint32_t>(count)) {
      float v;
      std::memcpy(&v, &bits, sizeof(v));
      if (v >= low && v <= high) x.push_back(v);
      if (-v >= low && -v <= high) x.push_back(-v);
    }
    std::vector<float> y(x.size());
    f(static_cast<int64_t>(x.size()), x.data(), y.data());
    double worst = 0;
    float at = 0;
    for (size_t e = 0; e < x.size(); ++e) {
      const double error = UlpError(y[e], exact(x[e]));
      if (error > worst) worst = error, at = x[e];
    }
    std::printf("max error %.3f ulp at %.9g\n", worst, at);
    return worst;
  }

  MathFunctions math_;
};

TEST_P(MathTest, ExpIsAccurate) {
  EXPECT_LE(MaxUlp(math_.exp, std::exp, -110, 90), 1.0);
}
TEST_P(MathTest, LogIsAccurate) {
  EXPECT_LE(MaxUlp(math_.log, std::log, 0.0f, 3.4e38f), 0.9);
  EXPECT_LE(MaxUlp(math_.log, std::log, 0.5f, 2.0f), 0.9);
}
TEST_P(MathTest, Log1pIsAccurate) {
  EXPECT_LE(MaxUlp(math_.log1p, std::log1p, 0.0f, 1.0f), 1.4);
}
TEST_P(MathTest, TanhIsAccurate) {
  EXPECT_LE(MaxUlp(math_.tanh, std::tanh, -10, 10), 2.6);
  EXPECT_LE(MaxUlp(math_.tanh, std::tanh, -0.5f, 0.5f), 2.6);
}
TEST_P(MathTest, SigmoidIsAccurate) {
  EXPECT_LE(MaxUlp(math_.sigmoid, SigmoidInDouble, -87, 100), 2.4);
}
TEST_P(MathTest, ErfIsAccurate) {
  EXPECT_LE(MaxUlp(math_.erf, std::erf, -5, 5), 1.1);
}

TEST_P(MathTest, ExpAtTheEdges) {
  const auto exp = [&](float x) { return Apply(math_.exp, x); };
  EXPECT_EQ(exp(0.0f), 1.0f);
  EXPECT_EQ(exp(-0.0f), 1.0f);
  EXPECT_EQ(exp(kInf), kInf);
  EXPECT_TRUE(SameBits(exp(-kInf), 0.0f));
  EXPECT_TRUE(std::isnan(exp(kNan)));
  EXPECT_EQ(exp(88.73f), kInf);
  EXPECT_EQ(exp(1e30f), kInf);
  EXPECT_LT(exp(88.72f), kInf);
  EXPECT_EQ(exp(-100.0f), std::exp(-100.0f));  // a denormal
  EXPECT_EQ(exp(-103.9f), 0x1p-149f);
  EXPECT_TRUE(SameBits(exp(-104.0f), 0.0f));
  EXPECT_TRUE(SameBits(exp(-1e30f), 0.0f));
  EXPECT_EQ(exp(1e-40f), 1.0f);
}

TEST_P(MathTest, LogAtTheEdges) {
  const auto log = [&](float x) { return Apply(math_.log, x); };
  EXPECT_TRUE(SameBits(log(1.0f), 0.0f));
  EXPECT_EQ(log(0.0f), -kInf);
  EXPECT_EQ(log(-0.0f), -kInf);
  EXPECT_EQ(log(kInf), kInf);
  EXPECT_TRUE(std::isnan(log(-1.0f)));
  EXPECT_TRUE(std::isnan(log(-1e-45f)));
  EXPECT_TRUE(std::isnan(log(-kInf)));
  EXPECT_TRUE(std::isnan(log(kNan)));
  EXPECT_FLOAT_EQ(log(1e-45f), -103.278929f);
}

TEST_P(MathTest, Log1pAtTheEdges) {
  const auto log1p = [&](float x) { return Apply(math_.log1p, x); };
  EXPECT_TRUE(SameBits(log1p(0.0f), 0.0f));
  EXPECT_EQ(log1p(1.0f), std::log(2.0f));
  EXPECT_EQ(log1p(1e-45f), 1e-45f);
  EXPECT_TRUE(std::isnan(log1p(kNan)));
}

TEST_P(MathTest, OddFunctionsAtTheEdges) {
  for (MathFunctions::Function f : {math_.tanh, math_.erf}) {
    EXPECT_TRUE(SameBits(Apply(f, 0.0f), 0.0f));
    EXPECT_TRUE(SameBits(Apply(f, -0.0f), -0.0f));
    EXPECT_EQ(Apply(f, kInf), 1.0f);
    EXPECT_EQ(Apply(f, -kInf), -1.0f);
    EXPECT_EQ(Apply(f, 1e30f), 1.0f);
    EXPECT_EQ(Apply(f, 9.1f), 1.0f);
    EXPECT_TRUE(std::isnan(Apply(f, kNan)));
  }
  EXPECT_EQ(Apply(math_.tanh, 1e-40f), 1e-40f);
}

TEST_P(MathTest, SigmoidAtTheEdges) {
  const auto sigmoid = [&](float x) { return Apply(math_.sigmoid, x); };
  EXPECT_EQ(sigmoid(0.0f), 0.5f);
  EXPECT_EQ(sigmoid(-0.0f), 0.5f);
  EXPECT_EQ(sigmoid(kInf), 1.0f);
  EXPECT_TRUE(SameBits(sigmoid(-kInf), 0.0f));
  EXPECT_TRUE(SameBits(sigmoid(-89.0f), 0.0f));
  EXPECT_TRUE(std::isnan(sigmoid(kNan)));
}

INSTANTIATE_TEST_SUITE_P(Tables, MathTest,
                         ::testing::Values("avx512", "avx2", "generic"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace modelbatch::cpu::testing
