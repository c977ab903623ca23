#include "modelbatch/ensemble/ensemble.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status CheckTensor(const Tensor& outputs, const std::string& who) {
  const Shape& shape = outputs.shape();
  if (outputs.dtype() != DType::kFloat32) {
    return absl::InvalidArgumentError(absl::StrCat(
        who, "is ", DTypeName(outputs.dtype()), ", expected float32"));
  }
  if (shape.size() != 2 || shape[1] < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(who, "has the shape ", ShapeToString(shape),
                     ", expected [rows, outputs] with at least one output"));
  }
  const float* x = outputs.data<float>();
  for (int64_t i = 0; i < outputs.size(); ++i) {
    if (std::isfinite(x[i])) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        who, "has ", x[i], " at ", ShapeToString({i / shape[1], i % shape[1]}),
        ", expected a finite number"));
  }
  return absl::OkStatus();
}

absl::Status CheckOutputs(absl::Span<const Tensor> outputs) {
  if (outputs.empty()) {
    return absl::InvalidArgumentError(
        "no outputs, expected those of at least one model");
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string who = absl::StrCat("the output of model ", i, " ");
    MB_RETURN_IF_ERROR(CheckTensor(outputs[i], who));
    if (outputs[i].shape() != outputs[0].shape()) {
      return absl::InvalidArgumentError(
          absl::StrCat(who, "has the shape ", ShapeToString(outputs[i].shape()),
                       ", expected ", ShapeToString(outputs[0].shape()),
                       " as that of model 0"));
    }
  }
  return absl::OkStatus();
}

// With a sum of 1.
absl::StatusOr<std::vector<double>> Normalized(absl::Span<const double> weights,
                                               size_t models) {
  if (weights.empty()) {
    return std::vector<double>(models, 1.0 / static_cast<double>(models));
  }
  if (weights.size() != models) {
    return absl::InvalidArgumentError(absl::StrCat(
        weights.size(), " weights, expected one a model, ", models));
  }
  double largest = 0;
  for (size_t i = 0; i < models; ++i) {
    if (!(weights[i] >= 0) || !std::isfinite(weights[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("the weight of model ", i, " is ", weights[i],
                       ", expected a finite number from 0 on"));
    }
    largest = std::max(largest, weights[i]);
  }
  if (largest == 0) {
    return absl::InvalidArgumentError(
        "all weights are 0, expected one above 0");
  }
  // Of numbers up to 1, so that the sum does not overflow.
  double sum = 0;
  for (double weight : weights) sum += weight / largest;
  std::vector<double> normalized;
  for (double weight : weights) normalized.push_back(weight / largest / sum);
  return normalized;
}

// The first of the largest.
template <typename T>
int64_t ArgMax(const T* values, int64_t count) {
  return std::max_element(values, values + count) - values;
}

void SoftmaxRow(const float* logits, int64_t classes, double* p) {
  const double largest = *std::max_element(logits, logits + classes);
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) {
    p[c] = std::exp(static_cast<double>(logits[c]) - largest);
    sum += p[c];
  }
  for (int64_t c = 0; c < classes; ++c) p[c] /= sum;
}

double Entropy(const double* p, int64_t classes) {
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) {
    if (p[c] > 0) sum -= p[c] * std::log(p[c]);
  }
  return sum;
}

// Mean and standard deviation over the models of one number of each, which are
// `stride` apart. In two passes: nothing cancels.
void Moments(const double* values, int64_t stride,
             const std::vector<double>& weights, double* mean,
             double* deviation) {
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    sum += weights[i] * values[i * stride];
  }
  double squares = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double difference = values[i * stride] - sum;
    squares += weights[i] * difference * difference;
  }
  *mean = sum;
  *deviation = std::sqrt(squares);
}

}  // namespace

absl::StatusOr<ClassificationEnsemble> CombineClassifiers(
    absl::Span<const Tensor> logits, absl::Span<const double> weights) {
  MB_RETURN_IF_ERROR(CheckOutputs(logits));
  MB_ASSIGN_OR_RETURN(const std::vector<double> w,
                      Normalized(weights, logits.size()));
  const Shape shape = logits[0].shape();
  const int64_t rows = shape[0];
  const int64_t classes = shape[1];
  ClassificationEnsemble all;
  all.probabilities = Tensor::Zeros(DType::kFloat64, shape);
  all.predicted = Tensor::Zeros(DType::kInt64, {rows});
  all.spread = Tensor::Zeros(DType::kFloat64, shape);
  all.votes = Tensor::Zeros(DType::kInt64, shape);
  all.majority = Tensor::Zeros(DType::kInt64, {rows});
  all.entropy = Tensor::Zeros(DType::kFloat64, {rows});
  all.mutual_information = Tensor::Zeros(DType::kFloat64, {rows});
  std::vector<double> p(logits.size() * classes);  // of one row, by model
  for (int64_t row = 0; row < rows; ++row) {
    double* const mean = all.probabilities.data<double>() + row * classes;
    double* const spread = all.spread.data<double>() + row * classes;
    int64_t* const votes = all.votes.data<int64_t>() + row * classes;
    double entropies = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const float* const x = logits[i].data<float>() + row * classes;
      SoftmaxRow(x, classes, &p[i * classes]);
      entropies += w[i] * Entropy(&p[i * classes], classes);
      ++votes[ArgMax(x, classes)];
    }
    for (int64_t c = 0; c < classes; ++c) {
      Moments(&p[c], classes, w, &mean[c], &spread[c]);
    }
    const double entropy = Entropy(mean, classes);
    all.predicted.data<int64_t>()[row] = ArgMax(mean, classes);
    all.majority.data<int64_t>()[row] = ArgMax(votes, classes);
    all.entropy.data<double>()[row] = entropy;
    // Not negative by Jensen's inequality; rounding does not know that.
    all.mutual_information.data<double>()[row] =
        std::max(0.0, entropy - entropies);
  }
  return all;
}

absl::StatusOr<RegressionEnsemble> CombineRegressors(
    absl::Span<const Tensor> values, absl::Span<const double> weights) {
  MB_RETURN_IF_ERROR(CheckOutputs(values));
  MB_ASSIGN_OR_RETURN(const std::vector<double> w,
                      Normalized(weights, values.size()));
  const Shape shape = values[0].shape();
  RegressionEnsemble all;
  all.mean = Tensor::Zeros(DType::kFloat64, shape);
  all.spread = Tensor::Zeros(DType::kFloat64, shape);
  all.min = Tensor::Zeros(DType::kFloat64, shape);
  all.max = Tensor::Zeros(DType::kFloat64, shape);
  std::vector<double> x(values.size());
  for (int64_t at = 0; at < NumElements(shape); ++at) {
    for (size_t i = 0; i < values.size(); ++i) {
      x[i] = static_cast<double>(values[i].data<float>()[at]);
    }
    Moments(x.data(), 1, w, all.mean.data<double>() + at,
            all.spread.data<double>() + at);
    const auto [least, most] = std::minmax_element(x.begin(), x.end());
    all.min.data<double>()[at] = *least;
    all.max.data<double>()[at] = *most;
  }
  return all;
}

absl::StatusOr<Tensor> Softmax(const Tensor& logits) {
  MB_RETURN_IF_ERROR(CheckTensor(logits, "the tensor of logits "));
  const int64_t classes = logits.shape()[1];
  Tensor p = Tensor::Zeros(DType::kFloat64, logits.shape());
  for (int64_t row = 0; row < logits.shape()[0]; ++row) {
    SoftmaxRow(logits.data<float>() + row * classes, classes,
               p.data<double>() + row * classes);
  }
  return p;
}

}  // namespace modelbatch
