#include "modelbatch/plot/run_charts.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/plot/curve_chart.h"
#include "modelbatch/plot/field_chart.h"

namespace modelbatch {
namespace {

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The run, how many models, and which stand out.
std::string Note(const RunRecord& run, const ModelChoice& choice) {
  const size_t models = run.results.size();
  const size_t stand_out = choice.highlighted.size();
  std::string note = absl::StrCat(run.config.name, ": ");
  if (!choice.others) {
    return absl::StrCat(note, stand_out, " of ", models, " models");
  }
  absl::StrAppend(&note, models, models == 1 ? " model" : " models");
  if (models > 1 && stand_out > 0) {
    absl::StrAppend(&note, ", in colour the ",
                    stand_out == 1 ? "best" : absl::StrCat("best ", stand_out));
    const std::string metric = RankingMetric(run);
    if (!metric.empty()) absl::StrAppend(&note, " by ", metric);
  }
  return note;
}

// The names become files': other characters than these do not, and each is
// there once.
void NameFiles(std::vector<Chart>* charts) {
  std::set<std::string> names;
  for (Chart& chart : *charts) {
    for (char& c : chart.name) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '-';
      if (!plain) c = '_';
    }
    const std::string name = chart.name;
    for (int n = 2; !names.insert(chart.name).second; ++n) {
      chart.name = absl::StrCat(name, "-", n);
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<Chart>> RunCharts(const RunRecord& run,
                                             const ChartOptions& options) {
  const std::vector<std::string> of_curves = CurveMetrics(run);
  std::vector<std::string> of_models;
  for (const ResultsColumn& column : run.results.scores) {
    if (column.numeric()) of_models.push_back(column.name);
  }
  std::vector<std::string> curves = options.metrics;
  std::vector<std::string> scores = options.metrics;
  for (const std::string& metric : options.metrics) {
    std::vector<std::string> names;
    if (options.curves) names = of_curves;
    for (const std::string& name : of_models) {
      if (options.fields && !Contains(names, name)) names.push_back(name);
    }
    if (!Contains(names, metric)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the run has no metric \"", metric, "\"",
                       SuggestName(metric, names)));
    }
  }
  if (options.metrics.empty()) {
    for (const std::string& metric : of_curves) {
      if (VariesOverEpochs(run, metric)) curves.push_back(metric);
    }
    // Of one epoch nothing varies.
    if (curves.empty()) curves = of_curves;
    scores = {RankingMetric(run)};
  }
  std::vector<Chart> charts;
  for (const std::string& metric : curves) {
    if (!options.curves || !Contains(of_curves, metric)) continue;
    charts.push_back(CurveChart(run, metric, options.choice));
  }
  for (const std::string& metric : scores) {
    if (!options.fields || !Contains(of_models, metric)) continue;
    for (const ResultsColumn* field : SweptNumbers(run)) {
      charts.push_back(FieldChart(run, *field, metric, options.choice));
      // With several scores, their names tell the files apart.
      if (scores.size() > 1) {
        charts.back().name = absl::StrCat(metric, "_", charts.back().name);
      }
    }
  }
  if (charts.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        run.folder, ": there is nothing to draw: ",
        of_curves.empty() ? "no epoch has been finished"
                          : "no number differs between the models"));
  }
  for (Chart& chart : charts) chart.note = Note(run, options.choice);
  NameFiles(&charts);
  return charts;
}

}  // namespace modelbatch
