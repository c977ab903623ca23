// Learning curves.
//
//   const Chart chart = CurveChart(run, "validation_loss", BestModels(run, 5));
#ifndef MODELBATCH_PLOT_CURVE_CHART_H_
#define MODELBATCH_PLOT_CURVE_CHART_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "modelbatch/plot/chart.h"
#include "modelbatch/plot/choice.h"
#include "modelbatch/train/run_record.h"

namespace modelbatch {

// Up to so many other models have a thin line each; more are summed up: the
// median, half of the models and nine tenths of them, epoch by epoch.
inline constexpr size_t kMaxThinLines = 100;
// Of longer runs every n-th epoch is drawn, and the last.
inline constexpr size_t kMaxCurvePoints = 400;

// The metrics of `run.curves` that any model has a finite number of.
std::vector<std::string> CurveMetrics(const RunRecord& run);

// Whether any model's numbers of it differ between epochs: a learning rate that
// stays as it is makes no curve.
bool VariesOverEpochs(const RunRecord& run, const std::string& metric);

// `metric` is one of those. A cross is where a model's curve ends that was
// frozen. The y axis is logarithmic where that helps, and leaves out what is
// far from the best (axis.h). That of an accuracy begins at the worst tenth of
// the last values where the curves would be squeezed into its upper half
// otherwise. What is cut off is said in the axis' label.
Chart CurveChart(const RunRecord& run, const std::string& metric,
                 const ModelChoice& choice);

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_CURVE_CHART_H_
