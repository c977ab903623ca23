#include "modelbatch/plot/axis.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plot/chart.h"

namespace modelbatch {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

// Python: statistics.quantiles([1, 2, 4, 8, 16, 32.5], n=20,
// method="inclusive").
TEST(QuantileTest, AsPythonsStatistics) {
  const std::vector<double> sorted = {1, 2, 4, 8, 16, 32.5};
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0), 1);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.05), 1.25);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.25), 2.5);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.5), 6);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.75), 14);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.95), 28.375);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 1), 32.5);
  EXPECT_DOUBLE_EQ(Quantile({3}, 0.7), 3);
}

TEST(AxisTest, LogScaleIsForPositiveNumbersFarApart) {
  EXPECT_TRUE(SpansDecades({0.01, 0.2, NAN, INFINITY}));
  EXPECT_FALSE(SpansDecades({0.01, 0.19}));
  EXPECT_FALSE(SpansDecades({0, 100}));
  EXPECT_FALSE(SpansDecades({-1, 100}));
  EXPECT_FALSE(SpansDecades({NAN}));
  EXPECT_TRUE(WantsLogScale("train_loss", {0.1, 0.5}));
  EXPECT_FALSE(WantsLogScale("perplexity", {0.1, 0.5}));
  EXPECT_TRUE(WantsLogScale("lr", {0.1, 2}));
  EXPECT_FALSE(WantsLogScale("test_accuracy", {0.1, 100}));
}

TEST(AxisTest, EveryFiniteValueIsInside) {
  for (const bool log : {false, true}) {
    Axis axis;
    axis.log = log;
    FitAxis({3, NAN, 100, INFINITY, 20}, &axis);
    EXPECT_LT(axis.min, 3);
    EXPECT_GT(axis.min, log ? 1 : -10);
    EXPECT_GT(axis.max, 100);
    EXPECT_LT(axis.max, 120);
  }
}

TEST(AxisTest, OneValueOrNoneHasARangeToo) {
  for (const double value : {0.0, -5.0, 0.3, -1e300, 1.7e308}) {
    Axis axis;
    FitAxis({value, value}, &axis);
    EXPECT_LT(axis.min, axis.max) << value;
    EXPECT_TRUE(std::isfinite(axis.max)) << value;
  }
  Axis log;
  log.log = true;
  FitAxis({0.01}, &log);
  EXPECT_LT(log.min, 0.01);
  EXPECT_GT(log.max, 0.01);
  Axis none;
  none.log = true;
  FitAxis({NAN}, &none);
  EXPECT_FALSE(none.log);
  EXPECT_LT(none.min, none.max);
}

TEST(AxisTest, LogTicksAreRoundAndFew) {
  const auto near = [](double x) { return DoubleNear(x, 1e-9 * x); };
  EXPECT_THAT(LogTicks(0.07, 3),
              ElementsAre(near(0.1), near(0.2), near(0.5), near(1), near(2)));
  EXPECT_THAT(LogTicks(0.002, 25),
              ElementsAre(near(0.003), near(0.01), near(0.03), near(0.1),
                          near(0.3), near(1), near(3), near(10)));
  const std::vector<double> wide = LogTicks(1e-30, 1e30);
  EXPECT_GE(wide.size(), 4u);
  EXPECT_LE(wide.size(), 9u);
}

TEST(AxisTest, NamesAsTheyAreSpoken) {
  EXPECT_EQ(Spoken("test_loss"), "test loss");
  EXPECT_EQ(Headline("test_loss"), "Test loss");
  EXPECT_EQ(Headline("lr"), "Learning rate");
  EXPECT_EQ(AxisLabel("loss", {}), "loss");
  EXPECT_EQ(AxisLabel("loss", {"log scale", "cut"}), "loss (log scale, cut)");
}

TEST(AxisTest, WhatIsFarFromTheBestIsCutOff) {
  Axis axis;
  axis.log = true;
  FitAxis({0.1, 2, 1e9}, &axis);
  EXPECT_TRUE(CutFarValues({0.1, 2}, {0.1, 2, 1e9}, &axis));
  EXPECT_LT(axis.min, 0.1);
  EXPECT_GE(axis.max, 20);
  EXPECT_LT(axis.max, 40);
  const Axis before = axis;
  EXPECT_FALSE(CutFarValues({0.1, 2}, {0.1, 2, 2000}, &axis));
  EXPECT_FALSE(CutFarValues({}, {0.1, 1e9}, &axis));
  EXPECT_FALSE(CutFarValues({-1}, {-1, 1e9}, &axis));
  EXPECT_EQ(axis.max, before.max);
}

}  // namespace
}  // namespace modelbatch
