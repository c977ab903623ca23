#include "modelbatch/cli/format.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

TEST(FormatTest, Duration) {
  EXPECT_EQ(FormatDuration(0), "0:00");
  EXPECT_EQ(FormatDuration(7.4), "0:07");
  EXPECT_EQ(FormatDuration(59.6), "1:00");
  EXPECT_EQ(FormatDuration(754), "12:34");
  EXPECT_EQ(FormatDuration(3723), "1:02:03");
  EXPECT_EQ(FormatDuration(-1), "-:--");
  EXPECT_EQ(FormatDuration(std::nan("")), "-:--");
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::infinity()), "-:--");
}

TEST(FormatTest, Count) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(912), "912");
  EXPECT_EQ(FormatCount(999.7), "1k");
  EXPECT_EQ(FormatCount(1234), "1.23k");
  EXPECT_EQ(FormatCount(45600000), "45.6M");
}

TEST(FormatTest, PercentAndNumber) {
  EXPECT_EQ(FormatPercent(0.9778), "97.8 %");
  EXPECT_EQ(FormatPercent(1), "100.0 %");
  EXPECT_EQ(FormatPercent(std::nan("")), "-");
  EXPECT_EQ(FormatNumber(64), "64");
  EXPECT_EQ(FormatNumber(0.00001234), "1.234e-05");
  EXPECT_EQ(FormatNumber(std::nan("")), "-");
}

}  // namespace
}  // namespace modelbatch
