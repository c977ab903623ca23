// How well regressions do: squared and absolute errors and R^2 from their
// outputs and the targets, on the host, in double.
//
//   MB_ASSIGN_OR_RETURN(auto metrics,
//                       ComputeRegressionMetrics(outputs, {&targets, 1}));
//   metrics[3].r2;
//
// RegressionCounter does it row by row, in the order they come, so that how
// they are cut changes no bit.
#ifndef MODELBATCH_METRICS_REGRESSION_H_
#define MODELBATCH_METRICS_REGRESSION_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct RegressionOptions {
  // Predictions are 1 / (1 + exp(-output)): those of bce_with_logits.
  bool sigmoid = false;
};

// One model's; NaN without rows. Numbers that are not finite spread as IEEE
// says.
struct RegressionMetrics {
  static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

  int64_t rows = 0;
  double mse = kNaN;   // mean of (prediction - target)^2 over rows and columns
  double mae = kNaN;   // mean of |prediction - target|
  double rmse = kNaN;  // sqrt(mse)
  // Mean over the columns of 1 - sum (prediction - target)^2 /
  // sum (target - its mean)^2, as sklearn.metrics.r2_score: of a column whose
  // target is constant 1 where it is met, else 0. NaN below two rows.
  double r2 = kNaN;
};

// Of one model, over any number of rows.
class RegressionCounter {
 public:
  // `columns`: values of a row, at least 1.
  static absl::StatusOr<RegressionCounter> Create(
      int64_t columns, const RegressionOptions& options = {});

  // outputs: float32 [rows, ...] with `columns` values a row; targets: the
  // same. InvalidArgument names what does not fit; then nothing was added.
  absl::Status Add(const Tensor& outputs, const Tensor& targets);

  RegressionMetrics Metrics() const;

 private:
  // Welford's mean and sum of squared deviations of the targets.
  struct Column {
    double mean = 0;
    double deviation = 0;
    double squared_error = 0;
    double absolute_error = 0;
  };

  RegressionCounter(int64_t columns, const RegressionOptions& options)
      : options_(options), columns_(columns) {}

  RegressionOptions options_;
  int64_t rows_ = 0;
  std::vector<Column> columns_;
};

// Of several models: outputs[i] is float32 [rows of i, ...], as
// ModelBatch::Predict gives them; shape [0], as of a removed model, has no
// rows. One tensor of targets is for all models, else there is one a model.
// InvalidArgument names the model.
absl::StatusOr<std::vector<RegressionMetrics>> ComputeRegressionMetrics(
    absl::Span<const Tensor> outputs, absl::Span<const Tensor> targets,
    const RegressionOptions& options = {});

// outputs: [num_models, batch, ...], as ModelBatch::Forward gives them;
// targets: [batch, ...] for all models, or of the outputs' shape.
absl::StatusOr<std::vector<RegressionMetrics>> ComputeRegressionMetrics(
    const Tensor& outputs, const Tensor& targets,
    const RegressionOptions& options = {});

}  // namespace modelbatch

#endif  // MODELBATCH_METRICS_REGRESSION_H_
