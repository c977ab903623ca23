#include "modelbatch/loss/compute_loss.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status Expected(const LossSettings& loss, const char* what,
                      const Tensor& found, const std::string& expected) {
  return absl::InvalidArgumentError(absl::StrCat(
      "loss ", loss.name(), ": ", what, " are ", DTypeName(found.dtype()), " ",
      ShapeToString(found.shape()), ", expected ", expected));
}

absl::Status CheckClasses(const LossSettings& loss, const Tensor& outputs,
                          const Tensor& targets) {
  if (outputs.dtype() != DType::kFloat32 || outputs.shape().size() != 2 ||
      outputs.shape()[1] == 0) {
    return Expected(loss, "outputs", outputs, "float32 [rows, classes]");
  }
  const int64_t rows = outputs.shape()[0], classes = outputs.shape()[1];
  if (targets.dtype() != DType::kInt64 || targets.shape() != Shape{rows}) {
    return Expected(loss, "targets", targets,
                    absl::StrCat("class indices, int64 [", rows, "]"));
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t target = targets.data<int64_t>()[row];
    if (target == loss.ignore_index || (target >= 0 && target < classes)) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("loss ", loss.name(), ": target of row ", row,
                     " is class ", target, ", expected 0 to ", classes - 1,
                     " or ignore_index, ", loss.ignore_index));
  }
  return CheckLossOutputs(loss, classes);
}

absl::Status CheckValues(const LossSettings& loss, const Tensor& outputs,
                         const Tensor& targets) {
  const Shape& shape = outputs.shape();
  const bool no_values =
      std::find(shape.begin() + std::min<size_t>(1, shape.size()), shape.end(),
                0) != shape.end();
  if (outputs.dtype() != DType::kFloat32 || shape.size() < 2 || no_values) {
    return Expected(loss, "outputs", outputs,
                    "float32 [rows, ...] with at least one value a row");
  }
  if (targets.dtype() != DType::kFloat32 || targets.shape() != shape) {
    return Expected(
        loss, "targets", targets,
        absl::StrCat("float32 ", ShapeToString(shape), ", the outputs' shape"));
  }
  const int64_t cols = NumElements({shape.begin() + 1, shape.end()});
  if (loss.kind == LossKind::kBceWithLogits) {
    for (int64_t e = 0; e < targets.size(); ++e) {
      const float target = targets.data<float>()[e];
      if (IsProbability(target)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("loss ", loss.name(), ": target ", e % cols, " of row ",
                       e / cols, " is ", target, ", expected 0 to 1"));
    }
  }
  return CheckLossOutputs(loss, cols);
}

double WeightOf(const LossSettings& loss, int64_t target) {
  if (target == loss.ignore_index) return 0;
  return loss.weight.empty() ? 1 : loss.weight[target];
}

// A row's term, and its derivatives if `derivative` is not null.
double NllRow(const LossSettings& loss, const float* x, int64_t target,
              int64_t classes, double* derivative) {
  const double weight = WeightOf(loss, target);
  if (derivative != nullptr) {
    std::fill(derivative, derivative + classes, 0.0);
    derivative[target] = -weight;
  }
  return -weight * x[target];
}

// (1 - s) w[t] * -log p[t] + s / classes * sum over classes of w * -log p,
// with p = softmax(x) and s the label smoothing: torch's
// cross_entropy_loss_label_smoothing.
double CrossEntropyRow(const LossSettings& loss, const float* x, int64_t target,
                       int64_t classes, double* derivative) {
  const double max = *std::max_element(x, x + classes);
  double sum = 0;
  for (int64_t j = 0; j < classes; ++j) sum += std::exp(x[j] - max);
  const double log_sum = std::log(sum);
  const double hard = (1 - loss.label_smoothing) * WeightOf(loss, target);
  const double soft = loss.label_smoothing / static_cast<double>(classes);
  const auto weight = [&loss](int64_t j) {
    return loss.weight.empty() ? 1 : loss.weight[j];
  };
  double value = hard * (log_sum - (x[target] - max));
  double total = hard;  // of the weights of all -log p
  if (soft > 0) {
    for (int64_t j = 0; j < classes; ++j) {
      value += soft * weight(j) * (log_sum - (x[j] - max));
      total += soft * weight(j);
    }
  }
  if (derivative == nullptr) return value;
  for (int64_t j = 0; j < classes; ++j) {
    derivative[j] = total * (std::exp(x[j] - max) / sum) -
                    (soft > 0 ? soft * weight(j) : 0) -
                    (j == target ? hard : 0);
  }
  return value;
}

// One element of a loss on values: f(x, t) and its derivative by x.
struct Element {
  double value, derivative;
};

double Sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

// d^2 / (2 width) within the width, |d| - width / 2 beyond.
Element SmoothL1(double d, double width) {
  if (std::abs(d) < width) return {0.5 * d * d / width, d / width};
  return {std::abs(d) - 0.5 * width, Sign(d)};
}

Element Huber(double d, double delta) {
  const Element element = SmoothL1(d, delta);
  return {delta * element.value, delta * element.derivative};
}

// (1 - t) x + (1 + (p - 1) t) log(1 + exp(-x)), with exp of nothing positive.
Element BceWithLogits(double x, double t, double p) {
  const double e = std::exp(-std::abs(x));
  const double a = (1 - t) + p * t;
  const double value = (x > 0 ? 1 - t : -(p * t)) * x + a * std::log1p(e);
  const double tail = a * (e / (1 + e));  // sigmoid(-|x|)
  return {value, x > 0 ? (1 - t) - tail : tail - p * t};
}

Element ValueAt(const LossSettings& loss, double x, double t, int64_t column) {
  const double d = x - t;
  switch (loss.kind) {
    case LossKind::kMse:
      return {d * d, 2 * d};
    case LossKind::kL1:
      return SmoothL1(d, 0);
    case LossKind::kHuber:
      return Huber(d, loss.delta);
    case LossKind::kSmoothL1:
      return SmoothL1(d, loss.beta);
    case LossKind::kBceWithLogits:
      return BceWithLogits(
          x, t, loss.pos_weight.empty() ? 1 : loss.pos_weight[column]);
    case LossKind::kCrossEntropy:
    case LossKind::kNll:
      break;  // no losses on values
  }
  return {0, 0};
}

}  // namespace

absl::StatusOr<LossValue> ComputeLoss(const LossSettings& loss,
                                      const Tensor& outputs,
                                      const Tensor& targets,
                                      bool with_gradient) {
  const bool classes = loss.has_classes();
  MB_RETURN_IF_ERROR(classes ? CheckClasses(loss, outputs, targets)
                             : CheckValues(loss, outputs, targets));
  const int64_t rows = outputs.shape()[0];
  const int64_t cols =
      NumElements({outputs.shape().begin() + 1, outputs.shape().end()});
  LossValue result;
  result.row_losses.assign(rows, 0);
  for (int64_t row = 0; row < rows; ++row) {
    result.weight += classes ? WeightOf(loss, targets.data<int64_t>()[row]) : 1;
  }
  if (with_gradient) {
    result.gradient = Tensor::Zeros(DType::kFloat32, outputs.shape());
  }
  std::vector<double> derivatives(with_gradient ? cols : 0);
  double* const derivative = with_gradient ? derivatives.data() : nullptr;
  double sum = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const float* const x = outputs.data<float>() + row * cols;
    double& value = result.row_losses[row];
    if (classes) {
      const int64_t target = targets.data<int64_t>()[row];
      if (target == loss.ignore_index) continue;
      value = loss.kind == LossKind::kNll
                  ? NllRow(loss, x, target, cols, derivative)
                  : CrossEntropyRow(loss, x, target, cols, derivative);
    } else {
      const float* const t = targets.data<float>() + row * cols;
      for (int64_t j = 0; j < cols; ++j) {
        const Element element = ValueAt(loss, x[j], t[j], j);
        value += element.value;
        if (with_gradient) {
          derivatives[j] = element.derivative / static_cast<double>(cols);
        }
      }
      value /= static_cast<double>(cols);
    }
    sum += value;
    if (!with_gradient || result.weight == 0) continue;
    for (int64_t j = 0; j < cols; ++j) {
      result.gradient.data<float>()[row * cols + j] =
          static_cast<float>(derivatives[j] / result.weight);
    }
  }
  if (result.weight != 0) result.loss = sum / result.weight;
  return result;
}

}  // namespace modelbatch
