#include "backends/grouped/dataset.h"

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
      const int64_t* classes = targets.data<int64_t>();
      for (int64_t row = 1; row < rows; ++row) {
        if (classes[row] < classes[dataset->lowest_row_]) {
          dataset->lowest_row_ = row;
        }
        if (classes[row] > classes[dataset->highest_row_]) {
          dataset->highest_row_ = row;
        }
      }
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
  return dataset;
}

absl::Status HostDataset::CheckFeatures(const Plan& plan) const {
  if (row_size_ == plan.input_size) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the dataset has ", row_size_,
                   " features a row, the models expect ", plan.input_size));
}

absl::Status HostDataset::CheckTargets(const Plan& plan) const {
  if (plan.loss == Loss::kCrossEntropy) {
    if (!has_classes()) {
      return absl::InvalidArgumentError(
          "cross_entropy needs class indices as targets, expected int64 "
          "[rows]");
    }
    if (num_rows() == 0) return absl::OkStatus();
    for (const int64_t row : {lowest_row_, highest_row_}) {
      const int64_t label = classes()[row];
      if (label >= 0 && label < plan.min_output_size) continue;
      for (const ModelPlan& model : plan.models) {
        const int64_t outputs = model.values[plan.output()].cols;
        if (label >= 0 && label < outputs) continue;
        return absl::InvalidArgumentError(absl::StrCat(
            "target of row ", row, " is class ", label, ", model ", model.id,
            " has ", outputs, " outputs, expected 0 to ", outputs - 1));
      }
    }
    return absl::OkStatus();
  }
  if (target_kind_ != TargetKind::kValues) {
    return absl::InvalidArgumentError(
        "mse needs values as targets, expected float32 [rows, outputs]");
  }
  for (const ModelPlan& model : plan.models) {
    const int64_t outputs = model.values[plan.output()].cols;
    if (outputs == target_size_) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("targets have ", target_size_, " values a row, model ",
                     model.id, " has ", outputs, " outputs"));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch::grouped
