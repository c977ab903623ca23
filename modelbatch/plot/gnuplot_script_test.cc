#include "modelbatch/plot/gnuplot_script.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plot/chart.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The manual, "Quotes": in single quotes nothing is special but the quote,
// which is doubled.
TEST(GnuplotStringTest, NothingLeavesTheQuotes) {
  EXPECT_EQ(GnuplotString("lr"), "'lr'");
  EXPECT_EQ(GnuplotString("it's `date` @x \\n \"q\" ü"),
            "'it''s `date` @x \\n \"q\" ü'");
  EXPECT_EQ(GnuplotString("a\nsystem 'x'\t\x7f"), "'a system ''x''  '");
  EXPECT_EQ(GnuplotString("\xff\xc3"), "'\?\?'");
}

Chart SmallChart() {
  Chart chart;
  chart.title = "it's";
  chart.x.label = "epoch";
  Series line;
  line.x = {1, 2, 3};
  line.y = {0.5, std::nan(""), 0.1};
  line.label = "model '7'";
  Series band;
  band.kind = Series::Kind::kBand;
  band.x = {1};
  band.y = {2};
  band.y_high = {3};
  chart.series = {line, band};
  return chart;
}

TEST(GnuplotScriptTest, HasTheDataWithGaps) {
  const std::string script =
      GnuplotScript(SmallChart(), Target::kSvg, "id", "out");
  EXPECT_THAT(script, HasSubstr("$d0 << END\n1 0.5\n\n3 0.1\nEND\n"));
  EXPECT_THAT(script, HasSubstr("$d1 << END\n1 2 3\nEND\n"));
  EXPECT_THAT(script, HasSubstr("title 'model ''7'''"));
  EXPECT_THAT(script, HasSubstr("'it''s'"));
  EXPECT_THAT(script, HasSubstr("name 'id'"));
  EXPECT_THAT(script, HasSubstr("set output 'out'"));
  EXPECT_THAT(script, Not(HasSubstr("logscale")));
}

TEST(GnuplotScriptTest, LogarithmicAxes) {
  Chart chart = SmallChart();
  chart.y.log = true;
  chart.y.min = 0.05;
  chart.y.ticks = {0.1, 0.5};
  const std::string script = GnuplotScript(chart, Target::kPng, "id", "out");
  EXPECT_THAT(script, HasSubstr("set logscale y\n"));
  EXPECT_THAT(script, Not(HasSubstr("set logscale x")));
  EXPECT_THAT(script, HasSubstr("set ytics ('0.1' 0.1, '0.5' 0.5)"));
  EXPECT_THAT(script, HasSubstr("pngcairo"));
}

TEST(GnuplotScriptTest, ColoursAreThoseOfTheSvg) {
  // #0072b2 is 0, 114, 178.
  EXPECT_EQ(SvgColor(Tone::kBest, 0), "rgb(  0, 114, 178)");
  EXPECT_EQ(SvgColor(Tone::kBest, 7), SvgColor(Tone::kBest, 0));
}

}  // namespace
}  // namespace modelbatch
