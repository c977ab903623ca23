// Draws charts, with gnuplot (http://www.gnuplot.info) in a process of its own.
//
//   MB_ASSIGN_OR_RETURN(std::vector<std::string> drawings,
//                       DrawCharts({chart}, Target::kPng));
#ifndef MODELBATCH_PLOT_DRAW_H_
#define MODELBATCH_PLOT_DRAW_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/plot/chart.h"
#include "modelbatch/plot/gnuplot_script.h"

namespace modelbatch {

// The content of a file, or for kInlineSvg an element, for each chart.
// FailedPrecondition where gnuplot is not installed, with how to; what gnuplot
// says where it fails.
absl::StatusOr<std::vector<std::string>> DrawCharts(
    const std::vector<Chart>& charts, Target target);

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_DRAW_H_
