#include "modelbatch/metrics/regression.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "modelbatch/metrics/by_model.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// exp of nothing positive, which does not overflow.
double Sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

// Values of a row; -1: no shape of rows.
int64_t ColumnsOf(const Tensor& outputs) {
  const Shape& shape = outputs.shape();
  if (shape.size() < 2) return -1;
  return NumElements({shape.begin() + 1, shape.end()});
}

}  // namespace

absl::StatusOr<RegressionCounter> RegressionCounter::Create(
    int64_t columns, const RegressionOptions& options) {
  if (columns < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "number of values of a row is ", columns, ", expected at least 1"));
  }
  return RegressionCounter(columns, options);
}

absl::Status RegressionCounter::Add(const Tensor& outputs,
                                    const Tensor& targets) {
  const int64_t columns = static_cast<int64_t>(columns_.size());
  if (outputs.dtype() != DType::kFloat32 || ColumnsOf(outputs) != columns) {
    return UnexpectedTensor(
        "outputs", outputs,
        absl::StrCat("float32 [rows, ...] with ", columns, " values a row"));
  }
  if (targets.dtype() != DType::kFloat32 ||
      targets.shape() != outputs.shape()) {
    return UnexpectedTensor(
        "targets", targets,
        absl::StrCat("float32 ", ShapeToString(outputs.shape()),
                     ", the outputs' shape"));
  }
  const float* x = outputs.data<float>();
  const float* t = targets.data<float>();
  for (int64_t row = 0; row < outputs.shape()[0]; ++row) {
    ++rows_;
    for (Column& column : columns_) {
      const double prediction = options_.sigmoid ? Sigmoid(*x) : *x;
      const double target = *t;
      const double error = prediction - target;
      const double delta = target - column.mean;
      column.mean += delta / static_cast<double>(rows_);
      column.deviation += delta * (target - column.mean);
      column.squared_error += error * error;
      column.absolute_error += std::abs(error);
      ++x;
      ++t;
    }
  }
  return absl::OkStatus();
}

RegressionMetrics RegressionCounter::Metrics() const {
  RegressionMetrics m;
  m.rows = rows_;
  if (rows_ == 0) return m;
  double squared = 0, absolute = 0, r2 = 0;
  for (const Column& column : columns_) {
    squared += column.squared_error;
    absolute += column.absolute_error;
    if (column.deviation == 0) {
      r2 += column.squared_error == 0 ? 1 : 0;
    } else {
      r2 += 1 - column.squared_error / column.deviation;
    }
  }
  const double columns = static_cast<double>(columns_.size());
  const double values = static_cast<double>(rows_) * columns;
  m.mse = squared / values;
  m.mae = absolute / values;
  m.rmse = std::sqrt(m.mse);
  if (rows_ > 1) m.r2 = r2 / columns;
  return m;
}

absl::StatusOr<std::vector<RegressionMetrics>> ComputeRegressionMetrics(
    absl::Span<const Tensor> outputs, absl::Span<const Tensor> targets,
    const RegressionOptions& options) {
  return CountByModel<RegressionCounter, RegressionMetrics>(
      outputs, targets, options, [](const Tensor& of) {
        const int64_t columns = ColumnsOf(of);
        return columns == -1 ? 1 : columns;
      });
}

absl::StatusOr<std::vector<RegressionMetrics>> ComputeRegressionMetrics(
    const Tensor& outputs, const Tensor& targets,
    const RegressionOptions& options) {
  MB_ASSIGN_OR_RETURN(const std::vector<Tensor> each, OutputsOfModels(outputs));
  MB_ASSIGN_OR_RETURN(
      const std::vector<Tensor> values,
      TargetsForOutputs(outputs, targets, outputs.shape().size() - 1));
  return ComputeRegressionMetrics(each, values, options);
}

}  // namespace modelbatch
