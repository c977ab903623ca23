// Loss and metrics of all models of a ModelBatch on some rows.
//
//   MB_ASSIGN_OR_RETURN(
//       Evaluation evaluation,
//       Evaluate(batch.get(), *dataset, labels, {test_rows, {}}));
//   evaluation.losses[3];
//   evaluation.classification[3].macro_f1;
//
// Where loss and accuracy are enough, ModelBatch::Evaluate needs no targets on
// the host and one pass less.
#ifndef MODELBATCH_BATCH_EVALUATE_H_
#define MODELBATCH_BATCH_EVALUATE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/metrics/classification.h"
#include "modelbatch/metrics/regression.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct EvaluateOptions {
  int64_t top_k = 1;  // of top_k_accuracy
  // How many outputs of all models together are on the host at once, or one row
  // of each model. Changes no bit on cpu.
  int64_t outputs_at_once = int64_t{1} << 22;
};

// An entry a model. Of one that is not active, or of whose rows none counts:
// NaN, with rows 0.
struct Evaluation {
  // ModelBatch::Evaluate's: the batch's own loss, mean over the rows.
  std::vector<double> losses;
  // Where the batch's loss is on classes; rows with its ignore_index do not
  // count. A confusion matrix is 8 bytes x classes x classes a model. Else
  // empty.
  std::vector<ClassificationMetrics> classification;
  // Where it is on values, else empty. Under bce_with_logits predictions are
  // the sigmoids of the outputs.
  std::vector<RegressionMetrics> regression;
};

// In evaluation mode, active models only, any number of rows: shared or each
// model's own. `targets`: what `dataset` was made with, int64 [rows] or float32
// [rows, ...]. InvalidArgument names a row without a target and what does not
// fit; Unimplemented where the backend lacks a call.
absl::StatusOr<Evaluation> Evaluate(ModelBatch* batch, const Dataset& dataset,
                                    const Tensor& targets, const RowSet& rows,
                                    const EvaluateOptions& options = {});

}  // namespace modelbatch

#endif  // MODELBATCH_BATCH_EVALUATE_H_
