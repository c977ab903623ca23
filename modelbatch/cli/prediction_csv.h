// Predictions as a CSV file: a line a row of the data, counted from 0.
//
// Classification, c from 0:
//   row,label,predicted,probability_<c>,entropy
// of several models further spread_<c>, votes_<c>, mutual_information
// (modelbatch/ensemble has their meaning), and on request
// model_<id>_predicted,model_<id>_probability_<c>.
//
// Regression, k from 0:
//   row,target_<k>,prediction_<k>
// of several models further spread_<k>, min_<k>, max_<k>, and on request
// model_<id>_prediction_<k>.
//
// `label` and `target_<k>` are there when the data has them.
#ifndef MODELBATCH_CLI_PREDICTION_CSV_H_
#define MODELBATCH_CLI_PREDICTION_CSV_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "modelbatch/cli/predicted_rows.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

class PredictionCsv {
 public:
  // `targets` are those of all rows, or of shape [0]; they must outlive this.
  // `per_model`: the rows must have been combined with it too.
  PredictionCsv(const Tensor* targets, std::vector<int64_t> model_ids,
                bool per_model)
      : targets_(targets), ids_(std::move(model_ids)), per_model_(per_model) {}

  // The lines of these rows, after the line of names where they are the first.
  std::string Lines(const PredictedRows& rows) const;

 private:
  std::string Names(const PredictedRows& rows) const;

  const Tensor* targets_;
  std::vector<int64_t> ids_;
  bool per_model_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_PREDICTION_CSV_H_
