#include "modelbatch/train/fold_summary.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/search/population.h"
#include "modelbatch/train/results.h"

namespace modelbatch {
namespace {

OverFolds Summarize(const std::vector<double>& values) {
  const double count = static_cast<double>(values.size());
  OverFolds over;
  // Nothing by nothing is NaN.
  over.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) {
    squares += (value - over.mean) * (value - over.mean);
  }
  over.deviation = std::sqrt(squares / count);
  return over;
}

void SummarizeModels(const Experiment& experiment, const TrainState& state,
                     SettingSummary* setting) {
  std::vector<double> validation_loss, validation_accuracy, test_loss,
      test_accuracy;
  for (const int model : setting->models) {
    const ModelRecord& record = state.models[model];
    validation_loss.push_back(record.best_validation.loss);
    validation_accuracy.push_back(
        Accuracy(record.best_validation, experiment.counted_validation(model)));
    test_loss.push_back(record.best_test.loss);
    test_accuracy.push_back(
        Accuracy(record.best_test, experiment.counted_test));
  }
  setting->validation_loss = Summarize(validation_loss);
  setting->validation_accuracy = Summarize(validation_accuracy);
  setting->test_loss = Summarize(test_loss);
  setting->test_accuracy = Summarize(test_accuracy);
}

// NaN is above every number.
double Ordered(double value) {
  return std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
}

void RankSettings(const Experiment& experiment,
                  std::vector<SettingSummary>* settings) {
  std::vector<size_t> order(settings->size());
  std::iota(order.begin(), order.end(), size_t{0});
  const bool by_accuracy = RanksByAccuracy(experiment);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const SettingSummary& x = (*settings)[a];
    const SettingSummary& y = (*settings)[b];
    if (x.models.size() != y.models.size()) {
      return x.models.size() > y.models.size();
    }
    const double accuracy_x = Ordered(-x.validation_accuracy.mean);
    const double accuracy_y = Ordered(-y.validation_accuracy.mean);
    if (by_accuracy && accuracy_x != accuracy_y) return accuracy_x < accuracy_y;
    return Ordered(x.validation_loss.mean) < Ordered(y.validation_loss.mean);
  });
  for (size_t i = 0; i < order.size(); ++i) {
    (*settings)[order[i]].rank = static_cast<int>(i) + 1;
  }
}

}  // namespace

std::vector<SettingSummary> SummarizeFolds(const Experiment& experiment,
                                           const TrainState& state) {
  if (!experiment.config.data.folds.has_value()) return {};
  std::map<int64_t, SettingSummary> by_number;
  const Population& population = experiment.population;
  for (int i = 0; i < population.size(); ++i) {
    if (population.settings[i] < 0) continue;
    SettingSummary& setting = by_number[population.settings[i]];
    setting.setting = population.settings[i];
    if (state.models[i].best_epoch > 0) setting.models.push_back(i);
  }
  std::vector<SettingSummary> settings;
  for (auto& [number, setting] : by_number) {
    SummarizeModels(experiment, state, &setting);
    settings.push_back(std::move(setting));
  }
  RankSettings(experiment, &settings);
  return settings;
}

std::string FoldsCsv(const Experiment& experiment, const TrainState& state) {
  const std::vector<SettingSummary> settings =
      SummarizeFolds(experiment, state);
  const Population& population = experiment.population;
  std::string out = "setting";
  for (const SweptField& field : population.fields) {
    if (field.path != kFoldField) {
      absl::StrAppend(&out, ",", CsvField(field.path));
    }
  }
  absl::StrAppend(&out, ",rank,folds");
  for (const char* score : {"validation_loss", "validation_accuracy",
                            "test_loss", "test_accuracy"}) {
    absl::StrAppend(&out, ",", score, "_mean,", score, "_std");
  }
  absl::StrAppend(&out, "\n");
  for (const SettingSummary& setting : settings) {
    const int any =
        static_cast<int>(std::find(population.settings.begin(),
                                   population.settings.end(), setting.setting) -
                         population.settings.begin());
    absl::StrAppend(&out, setting.setting);
    for (const SweptField& field : population.fields) {
      if (field.path == kFoldField) continue;
      absl::StrAppend(&out, ",", NumberText(field.values[any]));
    }
    absl::StrAppend(&out, ",", setting.rank, ",", setting.models.size());
    for (const OverFolds* over :
         {&setting.validation_loss, &setting.validation_accuracy,
          &setting.test_loss, &setting.test_accuracy}) {
      absl::StrAppend(&out, ",", NumberText(over->mean), ",",
                      NumberText(over->deviation));
    }
    absl::StrAppend(&out, "\n");
  }
  return out;
}

}  // namespace modelbatch
