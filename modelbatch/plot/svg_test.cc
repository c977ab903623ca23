#include "modelbatch/plot/svg.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plot/chart.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(EscapeXmlTest, NothingIsMarkup) {
  EXPECT_EQ(EscapeXml("<a href=\"x\">'&' ü</a>\n"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39; ü&lt;/a&gt;\n");
  EXPECT_EQ(EscapeXml(std::string("a\0\x1b", 3)), "a\uFFFD\uFFFD");
  EXPECT_EQ(EscapeXml("\xff"), "\uFFFD");
}

// What gnuplot 5.4 writes, shortened.
constexpr char kDrawing[] = R"(<?xml version="1.0"?>
<svg
 viewBox="0 0 800 440"
 xmlns="http://www.w3.org/2000/svg"
>
<title>c</title>
<g id="gnuplot_canvas">
<defs><circle id='gpDot'/><filter id='textbox'><x/></filter></defs>
	<g id="c_plot_1" ><title>c_plot_1</title>
<path d='M1,1'/></g>
	</g>
	<g id="c_plot_2" ><title>c_plot_2</title>
<g><use xlink:href='#gpPt6' color='red'/>
<use xlink:href='#gpPt6'/>
<use xlink:href='#gpPt6' id='key'/></g>
	</g>
<path d='axes'/>
</g>
</svg>
)";

Chart SmallChart() {
  Chart chart;
  chart.title = "A \"B\"";
  Series line;
  line.x = {1};
  line.y = {1};
  line.tooltips = {"model <7>"};
  line.models = {7};
  Series points;
  points.kind = Series::Kind::kPoints;
  points.x = {1, 2};
  points.y = {1, 2};
  points.tooltips = {"first", "second"};
  points.models = {5, 6};
  chart.series = {line, points};
  return chart;
}

TEST(SvgTest, LinesAndPointsSayWhoseTheyAre) {
  const std::string svg = AddTooltips(SmallChart(), "c", kDrawing);
  EXPECT_THAT(svg, HasSubstr("<g id=\"c_plot_1\" data-model=\"7\"><title>model "
                             "&lt;7&gt;</title>\n<path"));
  EXPECT_THAT(svg, HasSubstr("<use xlink:href='#gpPt6' color='red' "
                             "data-model=\"5\"><title>first</title></use>\n"
                             "<use xlink:href='#gpPt6' data-model=\"6\">"
                             "<title>second</title></use>\n"
                             "<use xlink:href='#gpPt6' id='key'/>"));
  EXPECT_THAT(svg, HasSubstr("<path d='axes'/>\n</g>\n</svg>\n"));
  EXPECT_THAT(svg, Not(HasSubstr("<title>c_plot")));
}

TEST(SvgTest, InlineItRefersToNothingElse) {
  const std::string svg =
      InlineSvg(SmallChart(), "c", AddTooltips(SmallChart(), "c", kDrawing));
  EXPECT_EQ(svg.rfind("<svg viewBox=\"0 0 800 440\" role=\"img\" "
                      "aria-label=\"A &quot;B&quot;\">",
                      0),
            0u);
  EXPECT_THAT(svg, Not(HasSubstr("http:")));
  EXPECT_THAT(svg, Not(HasSubstr("xlink")));
  EXPECT_THAT(svg, Not(HasSubstr("filter")));
  EXPECT_THAT(svg, Not(HasSubstr("gpPt")));
  EXPECT_THAT(svg, HasSubstr("href='#c_point_6'"));
}

}  // namespace
}  // namespace modelbatch
