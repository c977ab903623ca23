#include "modelbatch/cli/describe.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/cli/text_table.h"
#include "modelbatch/search/population.h"
#include "modelbatch/train/fold_summary.h"
#include "modelbatch/train/results.h"

namespace modelbatch {
namespace {

constexpr size_t kBest = 10;
constexpr size_t kWorst = 3;

std::string Swept(const Experiment& experiment, int model,
                  bool with_fold = true) {
  std::vector<std::string> values;
  for (const SweptField& field : experiment.population.fields) {
    if (!with_fold && field.path == kFoldField) continue;
    values.push_back(
        absl::StrCat(field.label, " ", FormatNumber(field.values[model])));
  }
  return absl::StrJoin(values, ", ");
}

bool RanksByLoss(const Experiment& experiment) {
  return !RanksByAccuracy(experiment);
}

// What decides the rank comes first.
std::vector<std::string> ScoreNames(const Experiment& experiment) {
  if (!experiment.has_classes()) return {"val loss", "test loss"};
  if (RanksByLoss(experiment)) return {"val loss", "val acc", "test acc"};
  return {"val acc", "val loss", "test acc"};
}

std::vector<std::string> Header(const Experiment& experiment) {
  std::vector<std::string> header = {"rank", "model"};
  for (const SweptField& field : experiment.population.fields) {
    header.push_back(field.label);
  }
  const std::vector<std::string> scores = ScoreNames(experiment);
  header.insert(header.end(), scores.begin(), scores.end());
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
    row.push_back(FormatPercent(Accuracy(
        record.best_validation, experiment.counted_validation(model))));
    if (!RanksByLoss(experiment)) std::swap(row.back(), row[row.size() - 2]);
    row.push_back(
        FormatPercent(Accuracy(record.best_test, experiment.counted_test)));
  } else {
    row.push_back(FormatNumber(record.best_test.loss));
  }
  row.push_back(record.best_epoch > 0 ? absl::StrCat(record.best_epoch) : "-");
  return row;
}

// "97.1 % +- 0.4 %"
template <typename Format>
std::string PlusMinus(const OverFolds& over, Format format) {
  return absl::StrCat(format(over.mean), " +- ", format(over.deviation));
}

std::vector<std::string> SettingRow(const Experiment& experiment,
                                    const SettingSummary& setting) {
  const Population& population = experiment.population;
  std::vector<std::string> row = {absl::StrCat(setting.rank),
                                  absl::StrCat(setting.setting)};
  const auto model = std::find(population.settings.begin(),
                               population.settings.end(), setting.setting) -
                     population.settings.begin();
  for (const SweptField& field : population.fields) {
    if (field.path != kFoldField) {
      row.push_back(FormatNumber(field.values[model]));
    }
  }
  row.push_back(PlusMinus(setting.validation_loss, FormatNumber));
  if (experiment.has_classes()) {
    row.push_back(PlusMinus(setting.validation_accuracy, FormatPercent));
    if (!RanksByLoss(experiment)) std::swap(row.back(), row[row.size() - 2]);
    row.push_back(PlusMinus(setting.test_accuracy, FormatPercent));
  } else {
    row.push_back(PlusMinus(setting.test_loss, FormatNumber));
  }
  row.push_back(absl::StrCat(setting.models.size()));
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
  const std::optional<FoldsConfig>& folds = experiment.config.data.folds;
  const int models = experiment.population.size();
  std::string out = absl::StrCat(
      experiment.config.name, ": ", models, models == 1 ? " model" : " models",
      labels.empty()
          ? ""
          : absl::StrCat(", swept over ", absl::StrJoin(labels, ", ")),
      "; ", split.train.size(),
      folds ? absl::StrCat(" rows in ", folds->count, " folds, ")
            : absl::StrCat(" rows to train, ", split.validation.size(),
                           " to validate, "),
      split.test.size(), " to test\n");
  absl::StrAppend(&out, "backend ", info.backend, " ", info.backend_version,
                  info.device.empty() ? "" : ": ", info.device, "\n");
  return out;
}

std::string FoldsTable(const Experiment& experiment, const TrainState& state) {
  const std::vector<SettingSummary> settings =
      SummarizeFolds(experiment, state);
  if (settings.empty()) return "";
  const Population& population = experiment.population;
  std::vector<std::string> header = {"rank", "setting"};
  for (const SweptField& field : population.fields) {
    if (field.path != kFoldField) header.push_back(field.label);
  }
  const std::vector<std::string> scores = ScoreNames(experiment);
  header.insert(header.end(), scores.begin(), scores.end());
  header.push_back("folds");
  std::vector<const SettingSummary*> ranked(settings.size());
  for (const SettingSummary& setting : settings) {
    ranked[setting.rank - 1] = &setting;
  }
  TextTable table(header);
  for (size_t i = 0; i < ranked.size(); ++i) {
    if (i >= kBest && i + kWorst < ranked.size()) {
      if (i == kBest) table.AddRow({});
      continue;
    }
    table.AddRow(SettingRow(experiment, *ranked[i]));
  }
  return table.ToString();
}

std::string BestSetting(const Experiment& experiment, const TrainState& state) {
  for (const SettingSummary& setting : SummarizeFolds(experiment, state)) {
    if (setting.rank != 1 || setting.models.empty()) continue;
    const std::string swept =
        Swept(experiment, setting.models[0], /*with_fold=*/false);
    return absl::StrCat(
        "Best setting: ", setting.setting,
        swept.empty() ? "" : absl::StrCat(" (", swept, ")"), ": ",
        RanksByAccuracy(experiment)
            ? absl::StrCat(
                  "validation accuracy ",
                  PlusMinus(setting.validation_accuracy, FormatPercent))
            : absl::StrCat("validation loss ",
                           PlusMinus(setting.validation_loss, FormatNumber)));
  }
  return "";
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
