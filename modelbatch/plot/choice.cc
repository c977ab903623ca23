#include "modelbatch/plot/choice.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/cli/format.h"

namespace modelbatch {

ModelChoice BestModels(const RunRecord& run, int64_t top) {
  ModelChoice choice;
  for (const int index : run.results.ByRank()) {
    if (static_cast<int64_t>(choice.highlighted.size()) >= top) break;
    if (run.results.best_epochs[index] == 0) continue;
    choice.highlighted.push_back(run.results.models[index]);
  }
  return choice;
}

absl::StatusOr<ModelChoice> TheseModels(const RunRecord& run,
                                        const std::vector<int64_t>& ids) {
  ModelChoice choice;
  choice.others = false;
  const std::vector<int64_t>& models = run.results.models;
  for (const int64_t id : ids) {
    if (std::find(models.begin(), models.end(), id) == models.end()) {
      const auto [min, max] = std::minmax_element(models.begin(), models.end());
      return absl::InvalidArgumentError(absl::StrCat(
          "the run has no model ", id, ", expected ", *min, " to ", *max));
    }
    auto& chosen = choice.highlighted;
    if (std::find(chosen.begin(), chosen.end(), id) != chosen.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model ", id, " is there twice, expected each model once"));
    }
    chosen.push_back(id);
  }
  return choice;
}

std::string DescribeModel(const RunRecord& run, int index) {
  const ResultsTable& results = run.results;
  const std::vector<std::string> labels = FieldLabels(results);
  std::vector<std::string> values;
  for (size_t i = 0; i < labels.size(); ++i) {
    const ResultsColumn& column = results.swept[i];
    values.push_back(absl::StrCat(labels[i], " ",
                                  column.numeric()
                                      ? FormatNumber(column.values[index])
                                      : column.texts[index]));
  }
  std::string out = absl::StrCat("model ", results.models[index]);
  if (!values.empty()) {
    absl::StrAppend(&out, " (", absl::StrJoin(values, ", "), ")");
  }
  absl::StrAppend(&out, ", rank ", results.ranks[index]);
  if (results.statuses[index] != "ok") {
    absl::StrAppend(&out, ", ", results.statuses[index]);
  }
  return out;
}

std::string RankingMetric(const RunRecord& run) {
  const auto any = [&run](const std::string& name) {
    const ResultsColumn* column = run.results.FindScore(name);
    return column != nullptr &&
           std::any_of(column->values.begin(), column->values.end(),
                       [](double value) { return std::isfinite(value); });
  };
  for (const std::string& name :
       {run.summary.selected_by, std::string("validation_accuracy"),
        std::string("validation_loss"), std::string("test_accuracy"),
        std::string("test_loss")}) {
    if (any(name)) return name;
  }
  return "";
}

}  // namespace modelbatch
