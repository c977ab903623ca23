// Against libm in long double, which has eleven more bits.
#include "modelbatch/util/deterministic_math.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

constexpr double kTolerance = 1e-15;

TEST(DeterministicMathTest, Log) {
  const auto expect = [](double x) {
    const long double expected = std::log(static_cast<long double>(x));
    EXPECT_LE(std::abs(Log(x) - expected), kTolerance * std::abs(expected))
        << x;
  };
  // Every draw's u, thinned out, the smallest and the largest.
  for (uint64_t draw = 0; draw < uint64_t{1} << 32; draw += 99'991) {
    expect((draw + 0.5) * 0x1p-32);
  }
  for (double x : {0x1p-33, 1 - 0x1p-33, 0.5, 0x1.6a09e667f3bccp-1, 2.0, 1e300,
                   std::numeric_limits<double>::min()}) {
    expect(x);
  }
  EXPECT_EQ(Log(1), 0);
}

TEST(DeterministicMathTest, Exp) {
  for (int i = 0; i <= 1'000'000; ++i) {
    const double x = -700 * (i / 1e6) * (i / 1e6);
    const long double expected = std::exp(static_cast<long double>(x));
    ASSERT_LE(std::abs(Exp(x) - expected), kTolerance * expected) << x;
  }
  EXPECT_EQ(Exp(0), 1);
}

TEST(DeterministicMathTest, CosSinOfTurn) {
  const long double two_pi = 2 * std::acos(-1.0L);
  for (uint64_t turn = 0; turn < uint64_t{1} << 32; turn += 99'991) {
    const CosSin value = CosSinOfTurn(static_cast<uint32_t>(turn));
    const long double x = two_pi * turn * 0x1p-32L;
    EXPECT_LE(std::abs(value.cos - std::cos(x)), kTolerance) << turn;
    EXPECT_LE(std::abs(value.sin - std::sin(x)), kTolerance) << turn;
  }
  const double half = std::sqrt(0.5);
  for (int eighth = 0; eighth < 8; ++eighth) {
    const CosSin value = CosSinOfTurn(static_cast<uint32_t>(eighth) << 29);
    const double expected[] = {1, half, 0, -half, -1, -half, 0, half};
    EXPECT_NEAR(value.cos, expected[eighth], kTolerance);
    EXPECT_NEAR(value.sin, expected[(eighth + 6) % 8], kTolerance);
  }
}

// Within half an ulp, give or take what long double knows.
void ExpectNearest(double value, long double expected, double a, double b) {
  const double ulp =
      std::nextafter(std::abs(value), std::numeric_limits<double>::infinity()) -
      std::abs(value);
  EXPECT_LE(std::abs(value - expected), 0.501L * ulp) << a << ", " << b;
}

TEST(DeterministicMathTest, CosIsTheNearestDouble) {
  for (int i = 0; i <= 100'000; ++i) {
    // As a schedule asks: pi e / T.
    const double x = 3.141592653589793 * i / 997;
    ExpectNearest(Cos(x), std::cos(static_cast<long double>(x)), x, 0);
    ExpectNearest(Cos(-x), std::cos(static_cast<long double>(x)), x, 0);
  }
  for (double x : {1e-300, 1e-9, 1e5, 1e9, 0x1p40}) {
    ExpectNearest(Cos(x), std::cos(static_cast<long double>(x)), x, 0);
  }
  EXPECT_EQ(Cos(0), 1);
  EXPECT_EQ(Cos(3.141592653589793), -1);
}

TEST(DeterministicMathTest, PowIsTheNearestDouble) {
  for (int i = 1; i <= 300; ++i) {
    for (int j = -60; j <= 300; ++j) {
      const double x = i / 256.0;
      const double y = j / 7.0;
      const long double expected =
          std::pow(static_cast<long double>(x), static_cast<long double>(y));
      if (expected < std::numeric_limits<double>::min()) continue;
      if (expected > std::numeric_limits<double>::max()) continue;
      ExpectNearest(Pow(x, y), expected, x, y);
    }
  }
  constexpr double kDenormal = std::numeric_limits<double>::denorm_min();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(Pow(0, 0), 1);
  EXPECT_EQ(Pow(0, 2.5), 0);
  EXPECT_EQ(Pow(0, -1), kInfinity);
  EXPECT_EQ(Pow(1, 1e300), 1);
  EXPECT_EQ(Pow(10, 309), kInfinity);
  EXPECT_EQ(Pow(10, 1e300), kInfinity);
  EXPECT_EQ(Pow(0.1, 400), 0);
  EXPECT_EQ(Pow(2, -1074), kDenormal);
  EXPECT_EQ(Pow(kDenormal, 1), kDenormal);
  EXPECT_EQ(Pow(0x1p-1060, 0.5), 0x1p-530);
}

}  // namespace
}  // namespace modelbatch
