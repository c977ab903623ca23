#include "modelbatch/metrics/classification.h"

#include "absl/strings/str_cat.h"
#include "modelbatch/metrics/by_model.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr double kNaN = ClassificationMetrics::kNaN;

bool IsNaN(float x) { return x != x; }

// NaN is the largest.
bool Greater(float a, float b) { return a > b || (IsNaN(a) && !IsNaN(b)); }

int64_t LargestOf(const float* x, int64_t classes) {
  int64_t largest = 0;
  for (int64_t c = 1; c < classes; ++c) {
    if (Greater(x[c], x[largest])) largest = c;
  }
  return largest;
}

// How many classes stand before `label` when the outputs are sorted.
int64_t RankOf(const float* x, int64_t classes, int64_t label) {
  int64_t rank = 0;
  for (int64_t c = 0; c < classes; ++c) {
    if (Greater(x[c], x[label]) || (c < label && !Greater(x[label], x[c]))) {
      ++rank;
    }
  }
  return rank;
}

double Ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0
                    : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

ClassificationCounter::ClassificationCounter(
    int64_t classes, const ClassificationOptions& options)
    : classes_(classes), options_(options), confusion_(classes * classes) {}

absl::StatusOr<ClassificationCounter> ClassificationCounter::Create(
    int64_t classes, const ClassificationOptions& options) {
  if (classes < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "number of classes is ", classes, ", expected at least 1"));
  }
  if (options.top_k < 1 || options.top_k > classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("top_k is ", options.top_k,
                     ", expected 1 to the number of classes, ", classes));
  }
  return ClassificationCounter(classes, options);
}

absl::Status ClassificationCounter::Check(const Tensor& outputs,
                                          const Tensor& targets) const {
  if (outputs.dtype() != DType::kFloat32 || outputs.shape().size() != 2 ||
      outputs.shape()[1] != classes_) {
    return UnexpectedTensor("outputs", outputs,
                            absl::StrCat("float32 [rows, ", classes_, "]"));
  }
  const int64_t rows = outputs.shape()[0];
  if (targets.dtype() != DType::kInt64 || targets.shape() != Shape{rows}) {
    return UnexpectedTensor("targets", targets,
                            absl::StrCat("class indices, int64 [", rows, "]"));
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t label = targets.data<int64_t>()[row];
    if (label == options_.ignore_index || (label >= 0 && label < classes_)) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "target of row ", row, " is class ", label, ", expected 0 to ",
        classes_ - 1, " or ignore_index, ", options_.ignore_index));
  }
  return absl::OkStatus();
}

absl::Status ClassificationCounter::Add(const Tensor& outputs,
                                        const Tensor& targets) {
  MB_RETURN_IF_ERROR(Check(outputs, targets));
  for (int64_t row = 0; row < outputs.shape()[0]; ++row) {
    const int64_t label = targets.data<int64_t>()[row];
    if (label == options_.ignore_index) continue;
    const float* const x = outputs.data<float>() + row * classes_;
    ++rows_;
    ++confusion_[label * classes_ + LargestOf(x, classes_)];
    in_top_k_ += RankOf(x, classes_, label) < options_.top_k;
  }
  return absl::OkStatus();
}

ClassificationMetrics ClassificationCounter::Metrics() const {
  std::vector<int64_t> labels(classes_), predictions(classes_);
  int64_t correct = 0;
  for (int64_t l = 0; l < classes_; ++l) {
    for (int64_t p = 0; p < classes_; ++p) {
      labels[l] += confusion_[l * classes_ + p];
      predictions[p] += confusion_[l * classes_ + p];
    }
    correct += confusion_[l * classes_ + l];
  }
  ClassificationMetrics m;
  m.rows = rows_;
  m.confusion = Tensor::FromVector(confusion_, {classes_, classes_});
  if (rows_ == 0) {
    m.precision.assign(classes_, kNaN);
    m.recall = m.f1 = m.precision;
    return m;
  }
  m.accuracy = Ratio(correct, rows_);
  m.top_k_accuracy = Ratio(in_top_k_, rows_);
  double precision = 0, recall = 0, f1 = 0;
  int64_t seen = 0;
  for (int64_t c = 0; c < classes_; ++c) {
    const int64_t tp = confusion_[c * classes_ + c];
    const int64_t either = labels[c] + predictions[c];  // 2 tp + fp + fn
    m.precision.push_back(Ratio(tp, predictions[c]));
    m.recall.push_back(Ratio(tp, labels[c]));
    m.f1.push_back(Ratio(2 * tp, either));
    seen += either > 0;
    precision += m.precision.back();
    recall += m.recall.back();
    f1 += m.f1.back();
  }
  m.macro_precision = precision / static_cast<double>(seen);
  m.macro_recall = recall / static_cast<double>(seen);
  m.macro_f1 = f1 / static_cast<double>(seen);
  return m;
}

absl::StatusOr<std::vector<ClassificationMetrics>> ComputeClassificationMetrics(
    absl::Span<const Tensor> outputs, absl::Span<const Tensor> targets,
    const ClassificationOptions& options) {
  return CountByModel<ClassificationCounter, ClassificationMetrics>(
      outputs, targets, options, [](const Tensor& of) {
        const Shape& shape = of.shape();
        return shape.size() == 2 ? shape[1] : 1;
      });
}

absl::StatusOr<std::vector<ClassificationMetrics>> ComputeClassificationMetrics(
    const Tensor& outputs, const Tensor& targets,
    const ClassificationOptions& options) {
  MB_ASSIGN_OR_RETURN(const std::vector<Tensor> each, OutputsOfModels(outputs));
  MB_ASSIGN_OR_RETURN(const std::vector<Tensor> labels,
                      TargetsForOutputs(outputs, targets, 1));
  return ComputeClassificationMetrics(each, labels, options);
}

}  // namespace modelbatch
