// The charts of a run that a caller asks for.
#ifndef MODELBATCH_PLOT_RUN_CHARTS_H_
#define MODELBATCH_PLOT_RUN_CHARTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/plot/chart.h"
#include "modelbatch/plot/choice.h"
#include "modelbatch/train/run_record.h"

namespace modelbatch {

struct ChartOptions {
  bool curves = true;
  bool fields = true;
  // Of the curves, and what the fields are shown against; empty: all curves
  // that vary, and the score that ranks the models.
  std::vector<std::string> metrics;
  ModelChoice choice;
};

// Curves, then fields. InvalidArgument for a metric that neither curves nor
// scores have, FailedPrecondition where there is nothing to draw.
absl::StatusOr<std::vector<Chart>> RunCharts(const RunRecord& run,
                                             const ChartOptions& options);

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_RUN_CHARTS_H_
