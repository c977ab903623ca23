// A chart as a script for gnuplot 5.4 or later, with its data in it.
#ifndef MODELBATCH_PLOT_GNUPLOT_SCRIPT_H_
#define MODELBATCH_PLOT_GNUPLOT_SCRIPT_H_

#include <string>

#include "modelbatch/plot/chart.h"

namespace modelbatch {

// A string in single quotes as gnuplot reads it: nothing in it is special. What
// is no UTF-8, and control characters, become "?" and spaces.
std::string GnuplotString(const std::string& text);

// Of an SVG that a page holds, title and note are left out: the page has them.
enum class Target { kSvg, kInlineSvg, kPng };

// Draws into the file `output` of gnuplot's working folder. In an SVG the i-th
// series, from 1, is the group of the id "<id>_plot_<i>"; `id` has letters and
// digits only.
std::string GnuplotScript(const Chart& chart, Target target,
                          const std::string& id, const std::string& output);

// In pixels.
inline constexpr int kPngWidth = 1600;
inline constexpr int kPngHeight = 1000;

// As gnuplot writes this tone's colour in an SVG: "rgb(  0, 114, 178)".
std::string SvgColor(Tone tone, int place);
// And those of axes with their labels, and of the lines between.
std::string SvgInkColor();
std::string SvgGridColor();

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_GNUPLOT_SCRIPT_H_
