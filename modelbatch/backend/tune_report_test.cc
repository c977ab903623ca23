#include "modelbatch/backend/tune_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

TuneReport Report() {
  TuneReport report;
  report.seconds = 0.25;
  report.notes = "no file\n";
  report.choices = {
      {"forward 64 x 10 x 128", "wide", TuneOrigin::kMeasured, 3, 6, 4e-6,
       2e-6},
      {"forward 1 x 1 x 1", "plain", TuneOrigin::kCached, 1, 6, 8e-6, 8e-6},
      {"forward 2 x 2 x 2", "plain", TuneOrigin::kDefault, 9, 0, 0, 0}};
  return report;
}

TEST(TuneReport, CountsWhereChoicesAreFrom) {
  EXPECT_EQ(Report().Count(TuneOrigin::kMeasured), 1);
  EXPECT_EQ(Report().Count(TuneOrigin::kCached), 1);
  EXPECT_EQ(Report().Count(TuneOrigin::kDefault), 1);
}

// (3 * 2 + 8) / (3 * 4 + 8): by how often each runs, without what nobody
// measured.
TEST(TuneReport, TheRatioWeighsByUses) {
  EXPECT_DOUBLE_EQ(Report().Ratio(), 0.7);
  EXPECT_EQ(TuneReport().Ratio(), 1);
}

TEST(TuneReport, SaysEverything) {
  const std::string text = Report().ToString();
  EXPECT_THAT(text, HasSubstr("tuned in 0.250 s: 3 operations, 1 measured, 1 "
                              "cached, 1 default; 0.70 of the default's time"));
  EXPECT_THAT(text, HasSubstr("\n  forward 64 x 10 x 128: wide (measured, 3 "
                              "uses, 2 us of 4)\n"));
  EXPECT_THAT(text, HasSubstr("\n  forward 2 x 2 x 2: plain (default, 9 uses)\n"
                              "no file\n"));
}

}  // namespace
}  // namespace modelbatch
