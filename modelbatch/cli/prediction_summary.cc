#include "modelbatch/cli/prediction_summary.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/cli/text_table.h"

namespace modelbatch {
namespace {

constexpr int64_t kTableRows = 10;
// A line of the table has room for so many outputs, and the text for so many
// classes.
constexpr int64_t kTableOutputs = 4;
constexpr size_t kClassesShown = 10;

}  // namespace

void PredictionSummary::Add(const PredictedRows& rows) {
  has_classes_ = rows.has_classes;
  outputs_ = rows.outputs();
  if (has_classes_) {
    AddClasses(rows);
  } else {
    AddValues(rows);
  }
  rows_ += rows.rows();
}

void PredictionSummary::AddClasses(const PredictedRows& rows) {
  const ClassificationEnsemble& all = rows.classification;
  class_counts_.resize(outputs_, 0);
  if (table_.empty()) {
    table_.push_back({"row"});
    if (labelled()) table_[0].push_back("label");
    table_[0].insert(table_[0].end(), {"predicted", "probability"});
    if (several()) {
      table_[0].insert(table_[0].end(),
                       {"spread", "votes", "mutual information"});
    }
  }
  for (int64_t row = 0; row < rows.rows(); ++row) {
    const int64_t predicted = all.predicted.data<int64_t>()[row];
    const double* p = all.probabilities.data<double>() + row * outputs_;
    ++class_counts_[predicted];
    mutual_information_ += all.mutual_information.data<double>()[row];
    if (labelled() && data_->targets.data<int64_t>()[rows.begin + row] !=
                          data_->ignored_class) {
      const int64_t label = data_->targets.data<int64_t>()[rows.begin + row];
      ++counted_;
      correct_ += predicted == label;
      majority_correct_ += all.majority.data<int64_t>()[row] == label;
      cross_entropy_ -= std::log(p[label]);
      for (size_t i = 0; i < ids_.size(); ++i) {
        model_scores_[i] += rows.classes[i].data<int64_t>()[row] == label;
      }
    }
    if (rows.begin + row >= kTableRows) continue;
    std::vector<std::string> line = {absl::StrCat(rows.begin + row)};
    if (labelled()) {
      line.push_back(
          absl::StrCat(data_->targets.data<int64_t>()[rows.begin + row]));
    }
    line.push_back(absl::StrCat(predicted));
    line.push_back(FormatPercent(p[predicted]));
    if (several()) {
      const int64_t at = row * outputs_ + predicted;
      line.push_back(FormatPercent(all.spread.data<double>()[at]));
      line.push_back(
          absl::StrCat(all.votes.data<int64_t>()[at], " of ", ids_.size()));
      line.push_back(FormatNumber(all.mutual_information.data<double>()[row]));
    }
    table_.push_back(std::move(line));
  }
}

void PredictionSummary::AddValues(const PredictedRows& rows) {
  const RegressionEnsemble& all = rows.regression;
  const int64_t shown = std::min(outputs_, kTableOutputs);
  const auto name = [&](const char* what, int64_t k) {
    return outputs_ == 1 ? what : absl::StrCat(what, " ", k);
  };
  if (table_.empty()) {
    table_.push_back({"row"});
    for (int64_t k = 0; k < shown; ++k) {
      if (labelled()) table_[0].push_back(name("target", k));
      table_[0].push_back(name("prediction", k));
      if (several()) table_[0].push_back(name("spread", k));
    }
  }
  for (int64_t row = 0; row < rows.rows(); ++row) {
    const float* target = nullptr;
    if (labelled()) {
      ++counted_;
      target = data_->targets.data<float>() + (rows.begin + row) * outputs_;
      for (int64_t k = 0; k < outputs_; ++k) {
        const int64_t at = row * outputs_ + k;
        const auto squared = [&](double value) {
          const double error = value - static_cast<double>(target[k]);
          return error * error / static_cast<double>(outputs_);
        };
        squared_error_ += squared(all.mean.data<double>()[at]);
        for (size_t i = 0; i < ids_.size(); ++i) {
          model_scores_[i] +=
              squared(static_cast<double>(rows.models[i].data<float>()[at]));
        }
      }
    }
    if (rows.begin + row >= kTableRows) continue;
    std::vector<std::string> line = {absl::StrCat(rows.begin + row)};
    for (int64_t k = 0; k < shown; ++k) {
      const int64_t at = row * outputs_ + k;
      if (target != nullptr) {
        line.push_back(FormatNumber(static_cast<double>(target[k])));
      }
      line.push_back(FormatNumber(all.mean.data<double>()[at]));
      if (several()) {
        line.push_back(FormatNumber(all.spread.data<double>()[at]));
      }
    }
    table_.push_back(std::move(line));
  }
}

std::string PredictionSummary::Table() const {
  if (table_.empty()) return "";
  TextTable table(table_[0]);
  for (size_t i = 1; i < table_.size(); ++i) table.AddRow(table_[i]);
  if (rows_ > kTableRows) table.AddRow({});
  return table.ToString();
}

std::string PredictionSummary::Extremes(bool larger_is_better) const {
  // Of equal ones the first, which is ranked best.
  const auto least =
      std::min_element(model_scores_.begin(), model_scores_.end());
  const auto most =
      std::max_element(model_scores_.begin(), model_scores_.end());
  const auto text = [&](std::vector<double>::const_iterator score) {
    const double mean = *score / static_cast<double>(counted_);
    return absl::StrCat(has_classes_ ? FormatPercent(mean) : FormatNumber(mean),
                        " (model ", ids_[score - model_scores_.begin()], ")");
  };
  const double mean =
      std::accumulate(model_scores_.begin(), model_scores_.end(), 0.0) /
      static_cast<double>(counted_) / static_cast<double>(ids_.size());
  return absl::StrCat(
      "One model alone: best ", text(larger_is_better ? most : least),
      ", worst ", text(larger_is_better ? least : most), ", mean ",
      has_classes_ ? FormatPercent(mean) : FormatNumber(mean), "\n");
}

std::string PredictionSummary::Scores() const {
  if (rows_ == 0) return "";
  if (labelled() && counted_ == 0) return "No row has a label that counts\n";
  const double rows = static_cast<double>(counted_);
  const auto share = [&](int64_t correct) {
    return absl::StrCat(FormatPercent(static_cast<double>(correct) / rows),
                        " (", correct, " of ", counted_, " rows)");
  };
  std::string out;
  if (has_classes_ && labelled()) {
    absl::StrAppend(&out, "Accuracy ", share(correct_), ", cross-entropy ",
                    FormatNumber(cross_entropy_ / rows), "\n");
    if (several()) {
      absl::StrAppend(&out, "Majority vote ", share(majority_correct_), "\n",
                      Extremes(/*larger_is_better=*/true));
    }
  } else if (has_classes_) {
    std::vector<size_t> classes(class_counts_.size());
    std::iota(classes.begin(), classes.end(), size_t{0});
    std::stable_sort(classes.begin(), classes.end(), [&](size_t a, size_t b) {
      return class_counts_[a] > class_counts_[b];
    });
    if (classes.size() > kClassesShown) classes.resize(kClassesShown);
    std::vector<std::string> counts;
    for (size_t c : classes) {
      if (class_counts_[c] == 0) break;
      counts.push_back(absl::StrCat(c, ": ", class_counts_[c]));
    }
    absl::StrAppend(&out, "Most frequent classes (class: rows): ",
                    absl::StrJoin(counts, ", "), "\n");
  } else if (labelled()) {
    absl::StrAppend(&out, "Mean squared error ",
                    FormatNumber(squared_error_ / rows), "\n");
    if (several()) {
      absl::StrAppend(&out, Extremes(/*larger_is_better=*/false));
    }
  }
  if (has_classes_ && several()) {
    absl::StrAppend(
        &out, "Mean mutual information ",
        FormatNumber(mutual_information_ / static_cast<double>(rows_)),
        " (0: the models agree)\n");
  }
  return out;
}

}  // namespace modelbatch
