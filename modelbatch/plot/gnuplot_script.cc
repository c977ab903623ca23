#include "modelbatch/plot/gnuplot_script.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "modelbatch/io/utf8.h"
#include "modelbatch/train/results.h"

namespace modelbatch {
namespace {

constexpr char kInk[] = "#404040";
constexpr char kGrid[] = "#e4e4e4";
// From here on points are small, to be told apart.
constexpr size_t kManyPoints = 200;

std::string Color(Tone tone, int place) {
  switch (tone) {
    case Tone::kThin:
      return "#bdbdbd";
    case Tone::kOuterBand:
      return "#e3e9f0";
    case Tone::kInnerBand:
      return "#c3d0de";
    case Tone::kMedian:
      return "#6b7f95";
    case Tone::kPoint:
      return "#8d99a6";
    case Tone::kFrozen:
      return "#c1121f";
    case Tone::kBest:
      return kBestColors[place % kBestColors.size()];
  }
  return kInk;
}

std::string InSvg(const std::string& color) {
  const std::string bytes = absl::HexStringToBytes(color.substr(1));
  const auto part = [&bytes](size_t i) {
    return static_cast<int>(static_cast<unsigned char>(bytes[i]));
  };
  return absl::StrFormat("rgb(%3d, %3d, %3d)", part(0), part(1), part(2));
}

std::string Number(double value) {
  return std::isfinite(value) ? NumberText(value) : "NaN";
}

// Lines after the first best ones of each colour are dashed.
std::string Dashes(const Series& series) {
  const size_t round = series.tone == Tone::kBest
                           ? series.place / kBestColors.size()
                           : size_t{0};
  return round == 0 ? "" : absl::StrCat(" dt ", 2 + (round - 1) % 4);
}

double LineWidth(Tone tone) {
  switch (tone) {
    case Tone::kThin:
      return 0.7;
    case Tone::kMedian:
      return 1.4;
    default:
      return 2;
  }
}

std::string Style(const Series& series) {
  const std::string color = Color(series.tone, series.place);
  switch (series.kind) {
    case Series::Kind::kLine:
      return absl::StrCat("using 1:2 with lines lc rgb '", color, "' lw ",
                          LineWidth(series.tone), Dashes(series));
    case Series::Kind::kBand:
      return absl::StrCat("using 1:2:3 with filledcurves fs solid 1 noborder ",
                          "fc rgb '", color, "'");
    case Series::Kind::kPoints: {
      const double size = series.tone == Tone::kBest       ? 0.75
                          : series.x.size() >= kManyPoints ? 0.3
                                                           : 0.5;
      return absl::StrCat("using 1:2 with points pt 7 ps ", size, " lc rgb '",
                          color, "'");
    }
    case Series::Kind::kCrosses:
      return absl::StrCat("using 1:2 with points pt 2 ps 0.6 lw 1.6 lc rgb '",
                          color, "'");
  }
  return "";
}

std::string Data(const Series& series) {
  std::string out;
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (!std::isfinite(series.y[i])) {
      absl::StrAppend(&out, "\n");  // a gap
      continue;
    }
    absl::StrAppend(&out, Number(series.x[i]), " ", Number(series.y[i]));
    if (!series.y_high.empty()) {
      absl::StrAppend(&out, " ", Number(series.y_high[i]));
    }
    absl::StrAppend(&out, "\n");
  }
  return out;
}

std::string AxisLines(const char* name, const Axis& axis) {
  std::string out =
      absl::StrCat("set ", name, "label ", GnuplotString(axis.label), "\n");
  absl::StrAppend(&out, "set ", name, "range [", Number(axis.min), ":",
                  Number(axis.max), "]\n");
  if (axis.log) absl::StrAppend(&out, "set logscale ", name, "\n");
  if (!axis.ticks.empty()) {
    std::vector<std::string> ticks;
    for (const double tick : axis.ticks) {
      ticks.push_back(absl::StrFormat("'%.6g' %s", tick, Number(tick)));
    }
    absl::StrAppend(&out, "set ", name, "tics (", absl::StrJoin(ticks, ", "),
                    ")\n");
  }
  return out;
}

std::string Terminal(Target target, const std::string& id) {
  if (target == Target::kPng) {
    return absl::StrCat("set terminal pngcairo noenhanced size ", kPngWidth,
                        ",", kPngHeight,
                        " font 'sans-serif,12' fontscale 2 linewidth 2 "
                        "pointscale 2 background rgb 'white'\n");
  }
  return absl::StrCat("set terminal svg noenhanced size 800,",
                      target == Target::kInlineSvg ? 440 : 500,
                      " dynamic font 'sans-serif,15' name ", GnuplotString(id),
                      target == Target::kInlineSvg ? "" : " background 'white'",
                      "\n");
}

}  // namespace

std::string GnuplotString(const std::string& text) {
  std::string out = "'";
  const bool utf8 = IsValidUtf8(text);
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out.push_back(' ');
    } else if (byte >= 0x80 && !utf8) {
      out.push_back('?');
    } else {
      if (c == '\'') out.push_back(c);
      out.push_back(c);
    }
  }
  return out + "'";
}

std::string SvgColor(Tone tone, int place) { return InSvg(Color(tone, place)); }
std::string SvgInkColor() { return InSvg(kInk); }
std::string SvgGridColor() { return InSvg(kGrid); }

std::string GnuplotScript(const Chart& chart, Target target,
                          const std::string& id, const std::string& output) {
  std::string out = "reset session\nset encoding utf8\n";
  absl::StrAppend(&out, Terminal(target, id));
  absl::StrAppend(&out, "set output ", GnuplotString(output), "\n");
  absl::StrAppend(&out, "set border 3 lc rgb '", kInk, "' lw 1\n",
                  "set tics nomirror out scale 0.5,0.25 textcolor rgb '", kInk,
                  "'\nset grid xtics ytics back lt 1 lc rgb '", kGrid,
                  "' lw 0.8\n",
                  "set key outside right top Left reverse invert samplen 1.5 "
                  "textcolor rgb '",
                  kInk, "'\n");
  absl::StrAppend(&out, AxisLines("x", chart.x), AxisLines("y", chart.y));
  absl::StrAppend(&out, "set xlabel textcolor rgb '", kInk,
                  "'\nset ylabel textcolor rgb '", kInk, "'\n");
  if (target == Target::kInlineSvg) {
    absl::StrAppend(&out, "set tmargin 1\n");
  } else {
    absl::StrAppend(
        &out, "set tmargin 5\nset label 1 ", GnuplotString(chart.title),
        " at graph 0, graph 1 offset 0,2.6 left font ',18'\nset label 2 ",
        GnuplotString(chart.note),
        " at graph 0, graph 1 offset 0,1.1 left textcolor rgb '", kInk, "'\n");
  }
  std::vector<std::string> plots;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    absl::StrAppend(&out, "$d", i, " << END\n", Data(series), "END\n");
    plots.push_back(absl::StrCat(
        "$d", i, " ", Style(series),
        series.label.empty() ? " notitle"
                             : " title " + GnuplotString(series.label)));
  }
  // Something has to be plotted for axes to be there.
  if (plots.empty()) plots.push_back("NaN notitle");
  absl::StrAppend(&out, "plot ", absl::StrJoin(plots, ", "),
                  "\nunset output\n");
  return out;
}

}  // namespace modelbatch
