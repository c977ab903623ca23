// How the peers scale with the number of models, as a picture by gnuplot.
#ifndef BENCHMARKS_COMPARE_PLOT_H_
#define BENCHMARKS_COMPARE_PLOT_H_

#include <string>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"

namespace modelbatch::benchmarks {

// Writes an SVG of models a second over the number of models: a line for each
// peer in its fastest arrangement, and one for the limit on all cores.
// NotFound: gnuplot is not installed.
absl::Status PlotScaling(const nlohmann::json& results,
                         const std::string& workload, const std::string& path);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_PLOT_H_
