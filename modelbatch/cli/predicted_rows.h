// Some rows as the chosen models predict them, one by one and together.
#ifndef MODELBATCH_CLI_PREDICTED_ROWS_H_
#define MODELBATCH_CLI_PREDICTED_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/ensemble/ensemble.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct PredictedRows {
  int64_t begin = 0;           // the first one's number in the data
  std::vector<Tensor> models;  // outputs of each, float32 [rows, outputs]
  // Of each model, float64 [rows, outputs], where they were asked for. Empty
  // without classes.
  std::vector<Tensor> probabilities;
  // The class that each model gives each row, int64 [rows]: that of its largest
  // output, of equal ones the lowest. Empty without classes.
  std::vector<Tensor> classes;
  bool has_classes = false;
  ClassificationEnsemble classification;  // with classes
  RegressionEnsemble regression;          // without

  int64_t rows() const { return models[0].shape()[0]; }
  int64_t outputs() const { return models[0].shape()[1]; }
};

// outputs[i]: float32 [rows, outputs] of model i. The task is classification
// where `has_classes` says so. `per_model`: with each model's probabilities.
absl::StatusOr<PredictedRows> CombineOutputs(int64_t begin, bool has_classes,
                                             bool per_model,
                                             std::vector<Tensor> outputs);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_PREDICTED_ROWS_H_
