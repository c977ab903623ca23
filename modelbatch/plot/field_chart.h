// A swept field of the config against what came of it, a point a model.
//
//   for (const ResultsColumn* field : SweptNumbers(run)) {
//     const Chart chart =
//         FieldChart(run, *field, "validation_loss", BestModels(run, 5));
//   }
#ifndef MODELBATCH_PLOT_FIELD_CHART_H_
#define MODELBATCH_PLOT_FIELD_CHART_H_

#include <string>
#include <vector>

#include "modelbatch/plot/chart.h"
#include "modelbatch/plot/choice.h"
#include "modelbatch/train/run_record.h"

namespace modelbatch {

// The columns of `run.results.swept` that have numbers, at least two different
// ones.
std::vector<const ResultsColumn*> SweptNumbers(const RunRecord& run);

// `metric` is one of `run.results.scores`. The x axis is logarithmic where the
// config sweeps on that scale, or where listed values span decades. Frozen
// models are crosses; so are, at the edge of the worse, models whose score is
// no finite number or is far from the best (axis.h). Where several models have
// the same value, a line joins the medians.
Chart FieldChart(const RunRecord& run, const ResultsColumn& field,
                 const std::string& metric, const ModelChoice& choice);

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_FIELD_CHART_H_
