#include "modelbatch/search/sweep_values.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

Sweep Range(double min, double max, bool log, int64_t count, bool integer) {
  Sweep sweep;
  sweep.kind = Sweep::Kind::kRange;
  sweep.min = min;
  sweep.max = max;
  sweep.log = log;
  sweep.count = count;
  sweep.integer = integer;
  return sweep;
}

TEST(GridValuesTest, LinearAndLogarithmic) {
  EXPECT_EQ(GridValues(Range(0, 1, false, 5, false)),
            (std::vector<double>{0, 0.25, 0.5, 0.75, 1}));
  // Powers of ten; the ends are exact.
  const std::vector<double> log = GridValues(Range(1e-4, 0.1, true, 4, false));
  ASSERT_EQ(log.size(), 4u);
  EXPECT_EQ(log[0], 1e-4);
  EXPECT_NEAR(log[1], 1e-3, 1e-15);
  EXPECT_NEAR(log[2], 1e-2, 1e-14);
  EXPECT_EQ(log[3], 0.1);
  EXPECT_EQ(GridValues(Range(3, 9, false, 1, false)), std::vector<double>{3});
}

// numpy.linspace(0.3, 0.9, 7) and numpy.geomspace(2e-5, 3, 7).
TEST(GridValuesTest, AreNumpys) {
  const std::vector<double> linear =
      GridValues(Range(0.3, 0.9, false, 7, false));
  const std::vector<double> log = GridValues(Range(2e-5, 3, true, 7, false));
  const double kLinear[] = {
      0.3, 0.4, 0.5, 0.6000000000000001, 0.7000000000000001, 0.8, 0.9};
  const double kLog[] = {2e-05,
                         0.00014578467472149538,
                         0.0010626585691826105,
                         0.0077459666924148355,
                         0.056462161732861706,
                         0.4115658941148853,
                         3.0};
  for (int i = 0; i < 7; ++i) {
    EXPECT_NEAR(linear[i], kLinear[i], 1e-15);
    EXPECT_NEAR(log[i], kLog[i], 1e-14 * kLog[i]);
  }
}

TEST(GridValuesTest, IntegersAreRounded) {
  EXPECT_EQ(GridValues(Range(8, 128, true, 5, true)),
            (std::vector<double>{8, 16, 32, 64, 128}));
  EXPECT_EQ(GridValues(Range(1, 10, false, 3, true)),
            (std::vector<double>{1, 6, 10}));  // 5.5 away from zero
}

TEST(RandomValueTest, DependsOnSeedFieldAndModelOnly) {
  const Sweep sweep = Range(0, 1, false, 0, false);
  const double value = RandomValue(sweep, 1, "optimizer.lr", 3);
  EXPECT_EQ(RandomValue(sweep, 1, "optimizer.lr", 3), value);
  EXPECT_NE(RandomValue(sweep, 2, "optimizer.lr", 3), value);
  EXPECT_NE(RandomValue(sweep, 1, "optimizer.eps", 3), value);
  EXPECT_NE(RandomValue(sweep, 1, "optimizer.lr", 4), value);
}

// Mean 1/2 and variance 1/12 of a uniform variable; on a log scale that of the
// logarithm. Tolerances: five standard errors.
TEST(RandomValueTest, IsUniformOnItsScale) {
  constexpr int kDraws = 20000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value =
        RandomValue(Range(1e-4, 1, true, 0, false), 9, "optimizer.lr", i);
    ASSERT_GE(value, 1e-4);
    ASSERT_LE(value, 1);
    const double u = 1 + std::log10(value) / 4;
    sum += u;
    squares += u * u;
  }
  const double mean = sum / kDraws;
  EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(squares / kDraws - mean * mean, 1.0 / 12, 0.003);
}

// The Kolmogorov-Smirnov distance to the uniform distribution, of draws for the
// models of one run and of one model's draws in many runs. Above 1.95 / sqrt(n)
// in one case of a thousand.
TEST(RandomValueTest, PassesKolmogorovSmirnov) {
  constexpr int kDraws = 20000;
  for (const bool log : {false, true}) {
    for (const bool runs : {false, true}) {
      const Sweep sweep = Range(1e-5, 10, log, 0, false);
      std::vector<double> u;
      for (int i = 0; i < kDraws; ++i) {
        const double value =
            RandomValue(sweep, runs ? i : 3, "optimizer.lr", runs ? 3 : i);
        u.push_back(log ? (std::log10(value) + 5) / 6
                        : (value - 1e-5) / (10 - 1e-5));
      }
      std::sort(u.begin(), u.end());
      double distance = 0;
      for (int i = 0; i < kDraws; ++i) {
        distance = std::max({distance, u[i] - i / double{kDraws},
                             (i + 1) / double{kDraws} - u[i]});
      }
      EXPECT_LT(distance, 1.95 / std::sqrt(kDraws)) << log << runs;
    }
  }
}

TEST(RandomValueTest, IntegersReachBothEndsEvenly) {
  constexpr int kDraws = 6000;
  std::vector<int> counts(4, 0);
  for (int i = 0; i < kDraws; ++i) {
    const double value = RandomValue(Range(1, 3, false, 0, true), 5, "w", i);
    ASSERT_EQ(value, std::round(value));
    ASSERT_GE(value, 1);
    ASSERT_LE(value, 3);
    ++counts[static_cast<int>(value)];
  }
  // Binomial, p = 1/3: standard deviation 36.5.
  for (int value = 1; value <= 3; ++value)
    EXPECT_NEAR(counts[value], 2000, 183);
}

TEST(RandomValueTest, TakesEveryListedValue) {
  Sweep sweep;
  sweep.kind = Sweep::Kind::kValues;
  sweep.values = {32, 64, 96};
  std::set<double> seen;
  for (int i = 0; i < 100; ++i) seen.insert(RandomValue(sweep, 5, "w", i));
  EXPECT_EQ(seen, (std::set<double>{32, 64, 96}));
}

}  // namespace
}  // namespace modelbatch
