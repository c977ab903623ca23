#include "modelbatch/cli/describe.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/cli/text_table.h"
#include "modelbatch/train/results.h"

namespace modelbatch {
namespace {

constexpr size_t kBest = 10;
constexpr size_t kWorst = 3;

std::string Swept(const Experiment& experiment, int model) {
  std::vector<std::string> values;
  for (const SweptField& field : experiment.population.fields) {
    values.push_back(
        absl::StrCat(field.label, " ", FormatNumber(field.values[model])));
  }
  return absl::StrJoin(values, ", ");
}

bool RanksByLoss(const Experiment& experiment) {
  return experiment.config.train.select == Selection::kValidationLoss;
}

std::vector<std::string> Header(const Experiment& experiment) {
  std::vector<std::string> header = {"rank", "model"};
  for (const SweptField& field : experiment.population.fields) {
    header.push_back(field.label);
  }
  // What decides the rank comes first.
  if (!experiment.has_classes()) {
    header.insert(header.end(), {"val loss", "test loss"});
  } else if (RanksByLoss(experiment)) {
    header.insert(header.end(), {"val loss", "val acc", "test acc"});
  } else {
    header.insert(header.end(), {"val acc", "val loss", "test acc"});
  }
  header.push_back("epoch");
  return header;
}

std::vector<std::string> Row(const Experiment& experiment,
                             const ModelRecord& record, int rank, int model) {
  std::vector<std::string> row = {
      absl::StrCat(rank), absl::StrCat(experiment.population.models[model].id)};
  for (const SweptField& field : experiment.population.fields) {
    row.push_back(FormatNumber(field.values[model]));
  }
  row.push_back(FormatNumber(record.best_validation.loss));
  if (experiment.has_classes()) {
    row.push_back(FormatPercent(
        Accuracy(record.best_validation, experiment.counted_validation)));
    if (!RanksByLoss(experiment)) std::swap(row.back(), row[row.size() - 2]);
    row.push_back(
        FormatPercent(Accuracy(record.best_test, experiment.counted_test)));
  } else {
    row.push_back(FormatNumber(record.best_test.loss));
  }
  row.push_back(record.best_epoch > 0 ? absl::StrCat(record.best_epoch) : "-");
  return row;
}

}  // namespace

std::string DescribeModel(const Experiment& experiment, int model) {
  const std::string swept = Swept(experiment, model);
  return absl::StrCat("model ", experiment.population.models[model].id,
                      swept.empty() ? "" : absl::StrCat(" (", swept, ")"));
}

std::string DescribeExperiment(const Experiment& experiment,
                               const RunInfo& info) {
  std::vector<std::string> labels;
  for (const SweptField& field : experiment.population.fields) {
    labels.push_back(field.label);
  }
  const Split& split = experiment.split;
  const int models = experiment.population.size();
  std::string out = absl::StrCat(
      experiment.config.name, ": ", models, models == 1 ? " model" : " models",
      labels.empty()
          ? ""
          : absl::StrCat(", swept over ", absl::StrJoin(labels, ", ")),
      "; ", split.train.size(), " rows to train, ", split.validation.size(),
      " to validate, ", split.test.size(), " to test\n");
  absl::StrAppend(&out, "backend ", info.backend, " ", info.backend_version,
                  info.device.empty() ? "" : ": ", info.device, "\n");
  return out;
}

std::string Leaderboard(const Experiment& experiment, const TrainState& state) {
  std::vector<int> ranked = Ranking(experiment, state);
  while (!ranked.empty() && state.models[ranked.back()].best_epoch == 0) {
    ranked.pop_back();
  }
  std::string out;
  if (!ranked.empty()) {
    TextTable table(Header(experiment));
    for (size_t i = 0; i < ranked.size(); ++i) {
      if (i >= kBest && i + kWorst < ranked.size()) {
        if (i == kBest) table.AddRow({});
        continue;
      }
      table.AddRow(Row(experiment, state.models[ranked[i]],
                       static_cast<int>(i) + 1, ranked[i]));
    }
    out = table.ToString();
  }
  std::string frozen;
  for (size_t i = 0; i < state.models.size(); ++i) {
    // Early stops and removals are as planned: they are counted only.
    if (!state.models[i].frozen() ||
        state.models[i].frozen_by != EventKind::kFreeze) {
      continue;
    }
    absl::StrAppend(&frozen, "  ",
                    DescribeModel(experiment, static_cast<int>(i)), ": ",
                    StatusOf(state.models[i]), "\n");
  }
  if (!frozen.empty()) absl::StrAppend(&out, "\nFrozen:\n", frozen);
  const std::string events = CountEvents(state.events);
  if (!events.empty()) {
    absl::StrAppend(&out, "\nEvents: ", events, " (events.jsonl)\n");
  }
  return out;
}

}  // namespace modelbatch
