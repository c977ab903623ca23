#include "modelbatch/cli/predicted_rows.h"

#include <algorithm>
#include <utility>

#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

Tensor LargestOutputs(const Tensor& outputs) {
  const int64_t rows = outputs.shape()[0];
  const int64_t columns = outputs.shape()[1];
  Tensor classes = Tensor::Zeros(DType::kInt64, {rows});
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = outputs.data<float>() + row * columns;
    classes.data<int64_t>()[row] = std::max_element(x, x + columns) - x;
  }
  return classes;
}

}  // namespace

absl::StatusOr<PredictedRows> CombineOutputs(int64_t begin, bool has_classes,
                                             bool per_model,
                                             std::vector<Tensor> outputs) {
  PredictedRows rows;
  rows.begin = begin;
  rows.has_classes = has_classes;
  rows.models = std::move(outputs);
  if (!has_classes) {
    MB_ASSIGN_OR_RETURN(rows.regression, CombineRegressors(rows.models));
    return rows;
  }
  MB_ASSIGN_OR_RETURN(rows.classification, CombineClassifiers(rows.models));
  for (const Tensor& logits : rows.models) {
    rows.classes.push_back(LargestOutputs(logits));
    if (!per_model) continue;
    MB_ASSIGN_OR_RETURN(Tensor probabilities, Softmax(logits));
    rows.probabilities.push_back(std::move(probabilities));
  }
  return rows;
}

}  // namespace modelbatch
