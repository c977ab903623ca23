#include "backends/grouped/dataset.h"

#include <functional>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace modelbatch::grouped {
namespace {

absl::Status Expected(const std::string& name, const Tensor& found,
                      const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", DTypeName(found.dtype()), " ",
                   ShapeToString(found.shape()), ", expected ", expected));
}

// `kept` are rows of the two classes, not equal, that come first in the order
// `before` of rows 0 to row - 1; -1 where there is none. Takes `row` as well.
template <typename Before>
void KeepFirstTwo(const int64_t* classes, int64_t row, Before before,
                  int64_t (&kept)[2]) {
  const auto precedes = [&](int64_t other) {
    return other < 0 || before(classes[row], classes[other]);
  };
  if (precedes(kept[0])) {
    kept[1] = kept[0];
    kept[0] = row;
  } else if (classes[row] != classes[kept[0]] && precedes(kept[1])) {
    kept[1] = row;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostDataset>> HostDataset::Create(
    Tensor features, Tensor targets) {
  if (features.dtype() != DType::kFloat32 || features.shape().size() < 2) {
    return Expected("features", features, "float32 [rows, ...]");
  }
  const int64_t rows = features.shape()[0];
  if (rows > std::numeric_limits<int32_t>::max()) {
    return Expected("features", features, "at most 2^31 - 1 rows");
  }
  auto dataset = std::unique_ptr<HostDataset>(new HostDataset);
  dataset->row_size_ = 1;
  for (size_t d = 1; d < features.shape().size(); ++d) {
    dataset->row_size_ *= features.shape()[d];
  }
  const bool no_targets = targets.shape() == Shape{0} && rows != 0;
  if (!no_targets) {
    const std::string expected =
        absl::StrCat("int64 [", rows, "] or float32 [", rows, ", ...]");
    if (targets.shape().empty() || targets.shape()[0] != rows) {
      return Expected("targets", targets, expected);
    }
    if (targets.dtype() == DType::kInt64 && targets.shape().size() == 1) {
      dataset->target_kind_ = TargetKind::kClasses;
    } else if (targets.dtype() == DType::kFloat32 &&
               targets.shape().size() >= 2) {
      dataset->target_kind_ = TargetKind::kValues;
      dataset->target_size_ = 1;
      for (size_t d = 1; d < targets.shape().size(); ++d) {
        dataset->target_size_ *= targets.shape()[d];
      }
    } else {
      return Expected("targets", targets, expected);
    }
  }
  dataset->features_ = std::move(features);
  dataset->targets_ = std::move(targets);
  dataset->SummarizeTargets();
  return dataset;
}

void HostDataset::SummarizeTargets() {
  if (target_kind_ == TargetKind::kClasses) {
    int64_t lowest[2] = {-1, -1}, highest[2] = {-1, -1};
    for (int64_t row = 0; row < num_rows(); ++row) {
      KeepFirstTwo(classes(), row, std::less<int64_t>(), lowest);
      KeepFirstTwo(classes(), row, std::greater<int64_t>(), highest);
    }
    for (const int64_t row : {lowest[0], highest[0], lowest[1], highest[1]}) {
      if (row >= 0) outermost_rows_.push_back(row);
    }
  } else if (target_kind_ == TargetKind::kValues) {
    for (int64_t e = 0; e < targets_.size() && improbable_ < 0; ++e) {
      if (!IsProbability(values()[e])) improbable_ = e;
    }
  }
}

absl::Status HostDataset::CheckFeatures(const Plan& plan) const {
  if (row_size_ == plan.input_size) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the dataset has ", row_size_,
                   " features a row, the models expect ", plan.input_size));
}

absl::Status HostDataset::CheckTargets(const Plan& plan) const {
  return plan.loss.has_classes() ? CheckClasses(plan) : CheckValues(plan);
}

absl::Status HostDataset::CheckClasses(const Plan& plan) const {
  if (!has_classes()) {
    return absl::InvalidArgumentError(
        absl::StrCat(plan.loss.name(),
                     " needs class indices as targets, expected int64 [rows]"));
  }
  for (const int64_t row : outermost_rows_) {
    const int64_t label = classes()[row];
    if (label == plan.loss.ignore_index) continue;
    if (label >= 0 && label < plan.min_output_size) continue;
    for (const ModelPlan& model : plan.models) {
      const int64_t outputs = model.values[plan.output()].cols;
      if (label >= 0 && label < outputs) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "target of row ", row, " is class ", label, ", model ", model.id,
          " has ", outputs, " outputs, expected 0 to ", outputs - 1,
          " or ignore_index, ", plan.loss.ignore_index));
    }
  }
  return absl::OkStatus();
}

absl::Status HostDataset::CheckValues(const Plan& plan) const {
  if (target_kind_ != TargetKind::kValues) {
    return absl::InvalidArgumentError(absl::StrCat(
        plan.loss.name(),
        " needs values as targets, expected float32 [rows, outputs]"));
  }
  for (const ModelPlan& model : plan.models) {
    const int64_t outputs = model.values[plan.output()].cols;
    if (outputs == target_size_) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("targets have ", target_size_, " values a row, model ",
                     model.id, " has ", outputs, " outputs"));
  }
  if (plan.loss.kind == LossKind::kBceWithLogits && improbable_ >= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("target ", improbable_ % target_size_, " of row ",
                     improbable_ / target_size_, " is ", values()[improbable_],
                     ", bce_with_logits expects 0 to 1"));
  }
  return absl::OkStatus();
}

double HostDataset::Weigh(const LossSettings& loss,
                          absl::Span<const int32_t> rows,
                          float* weights) const {
  const int64_t* const labels = loss.has_classes() ? classes() : nullptr;
  double total = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    float weight = 1;
    if (labels != nullptr) {
      const int64_t label = labels[rows[i]];
      if (label == loss.ignore_index) {
        weight = 0;
      } else if (!loss.weight.empty()) {
        weight = static_cast<float>(loss.weight[label]);
      }
    }
    if (weights != nullptr) weights[i] = weight;
    total += weight;
  }
  return total;
}

}  // namespace modelbatch::grouped
