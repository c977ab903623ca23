// What the command prints of predictions: the first rows as a table, and how
// well all of them fit the targets, where there are any.
//
//   PredictionSummary summary(&data, ids);
//   for (...) summary.Add(rows);
//   std::cout << summary.Table() << summary.Scores();
#ifndef MODELBATCH_CLI_PREDICTION_SUMMARY_H_
#define MODELBATCH_CLI_PREDICTION_SUMMARY_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "modelbatch/cli/predicted_rows.h"
#include "modelbatch/data/data_table.h"

namespace modelbatch {

class PredictionSummary {
 public:
  // `data` has the targets, if any; it must outlive this.
  PredictionSummary(const DataTable* data, std::vector<int64_t> model_ids)
      : data_(data),
        ids_(std::move(model_ids)),
        model_scores_(ids_.size(), 0) {}

  // In order, from row 0 on.
  void Add(const PredictedRows& rows);

  // The first ten rows in aligned columns.
  std::string Table() const;

  // Lines of text. With classes: accuracy and mean cross-entropy (that of the
  // mean probabilities) where there are labels, else how often each class was
  // predicted; rows of the class that does not count do not. Without classes:
  // the mean squared error over rows and columns. Of
  // several models also those of the best, the worst and the mean model.
  std::string Scores() const;

 private:
  void AddClasses(const PredictedRows& rows);
  void AddValues(const PredictedRows& rows);
  bool several() const { return ids_.size() > 1; }
  bool labelled() const { return data_->has_targets(); }
  // "model 3 97.5 %, model 1 94.2 %": the best and the worst by their scores.
  std::string Extremes(bool larger_is_better) const;

  const DataTable* data_;
  std::vector<int64_t> ids_;
  bool has_classes_ = false;
  int64_t rows_ = 0;
  int64_t counted_ = 0;  // those that scores are of
  int64_t outputs_ = 0;
  std::vector<std::vector<std::string>> table_;  // the header first
  std::vector<int64_t> class_counts_;
  int64_t correct_ = 0;
  int64_t majority_correct_ = 0;
  double cross_entropy_ = 0;
  double squared_error_ = 0;
  double mutual_information_ = 0;
  // Sums over the rows: right answers, or squared errors.
  std::vector<double> model_scores_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_PREDICTION_SUMMARY_H_
