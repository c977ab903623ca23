// How well classifiers do: accuracy, confusion matrix, precision, recall and F1
// from their outputs and the labels, on the host.
//
//   MB_ASSIGN_OR_RETURN(
//       auto metrics, ComputeClassificationMetrics(outputs, {&labels, 1}));
//   metrics[3].accuracy;
//
// Row by row, so that a data set of any size need not be there at once:
//
//   MB_ASSIGN_OR_RETURN(auto counter, ClassificationCounter::Create(10));
//   MB_RETURN_IF_ERROR(counter.Add(outputs, labels));  // as often as you like
//   counter.Metrics().f1[2];
//
// Definitions are those of scikit-learn's accuracy_score, confusion_matrix,
// precision_recall_fscore_support and top_k_accuracy_score.
#ifndef MODELBATCH_METRICS_CLASSIFICATION_H_
#define MODELBATCH_METRICS_CLASSIFICATION_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct ClassificationOptions {
  int64_t ignore_index = -100;  // rows with this label do not count
  int64_t top_k = 1;            // of top_k_accuracy; 1 to the number of classes
};

// One model's. The predicted class is that of the largest output, the first of
// equal ones; a NaN counts as the largest, as in torch.argmax. tp, fp and fn of
// a class are its true positives, false positives and false negatives. Ratios
// are NaN when no row counts.
struct ClassificationMetrics {
  static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

  int64_t rows = 0;        // that count
  double accuracy = kNaN;  // share of the rows whose label is predicted
  // Share of the rows whose label is among the top_k largest outputs, equal
  // ones in the order of their classes.
  double top_k_accuracy = kNaN;
  // int64 [classes, classes]: rows with label l and prediction p at [l, p].
  Tensor confusion;
  // By class: tp / (tp + fp), tp / (tp + fn), 2 tp / (2 tp + fp + fn); 0 where
  // the denominator is.
  std::vector<double> precision;
  std::vector<double> recall;
  std::vector<double> f1;
  // Means over the classes that are some row's label or prediction.
  double macro_precision = kNaN;
  double macro_recall = kNaN;
  double macro_f1 = kNaN;
};

// Of one model, over any number of rows.
class ClassificationCounter {
 public:
  // InvalidArgument: `classes` below 1, top_k out of range.
  static absl::StatusOr<ClassificationCounter> Create(
      int64_t classes, const ClassificationOptions& options = {});

  // outputs: float32 [rows, classes]; targets: int64 [rows], class indices or
  // ignore_index. InvalidArgument names what does not fit, a class out of range
  // with its row; then nothing was added.
  absl::Status Add(const Tensor& outputs, const Tensor& targets);

  ClassificationMetrics Metrics() const;

 private:
  ClassificationCounter(int64_t classes, const ClassificationOptions& options);
  absl::Status Check(const Tensor& outputs, const Tensor& targets) const;

  int64_t classes_;
  ClassificationOptions options_;
  int64_t rows_ = 0;
  int64_t in_top_k_ = 0;
  std::vector<int64_t> confusion_;  // [classes, classes]
};

// Of several models: outputs[i] is float32 [rows of i, classes of i], as
// ModelBatch::Predict gives them; shape [0], as of a removed model, has no
// rows and no classes. One tensor of targets is for all models, else there is
// one a model. InvalidArgument names the model.
absl::StatusOr<std::vector<ClassificationMetrics>> ComputeClassificationMetrics(
    absl::Span<const Tensor> outputs, absl::Span<const Tensor> targets,
    const ClassificationOptions& options = {});

// outputs: [num_models, batch, classes], as ModelBatch::Forward gives them;
// targets: [batch] for all models, or [num_models, batch].
absl::StatusOr<std::vector<ClassificationMetrics>> ComputeClassificationMetrics(
    const Tensor& outputs, const Tensor& targets,
    const ClassificationOptions& options = {});

}  // namespace modelbatch

#endif  // MODELBATCH_METRICS_CLASSIFICATION_H_
