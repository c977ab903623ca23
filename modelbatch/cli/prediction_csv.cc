#include "modelbatch/cli/prediction_csv.h"

#include "absl/strings/str_cat.h"
#include "modelbatch/train/results.h"

namespace modelbatch {
namespace {

void AddNames(const std::string& prefix, int64_t count, std::string* out) {
  for (int64_t i = 0; i < count; ++i) absl::StrAppend(out, ",", prefix, i);
}

// Row `row` of a tensor of numbers, [rows] or [rows, columns].
void AddNumbers(const Tensor& tensor, int64_t row, std::string* out) {
  const int64_t columns = tensor.shape().size() == 1 ? 1 : tensor.shape()[1];
  for (int64_t i = row * columns; i < (row + 1) * columns; ++i) {
    switch (tensor.dtype()) {
      case DType::kInt64:
        absl::StrAppend(out, ",", tensor.data<int64_t>()[i]);
        break;
      case DType::kFloat64:
        absl::StrAppend(out, ",", NumberText(tensor.data<double>()[i]));
        break;
      default:
        absl::StrAppend(out, ",", NumberText(tensor.data<float>()[i]));
    }
  }
}

}  // namespace

std::string PredictionCsv::Names(const PredictedRows& rows) const {
  const int64_t outputs = rows.outputs();
  const bool several = ids_.size() > 1;
  std::string out = "row";
  if (rows.has_classes) {
    if (targets_->size() > 0) absl::StrAppend(&out, ",label");
    absl::StrAppend(&out, ",predicted");
    AddNames("probability_", outputs, &out);
    absl::StrAppend(&out, ",entropy");
    if (several) {
      AddNames("spread_", outputs, &out);
      AddNames("votes_", outputs, &out);
      absl::StrAppend(&out, ",mutual_information");
    }
  } else {
    if (targets_->size() > 0) AddNames("target_", outputs, &out);
    AddNames("prediction_", outputs, &out);
    if (several) {
      for (const char* name : {"spread_", "min_", "max_"}) {
        AddNames(name, outputs, &out);
      }
    }
  }
  for (size_t i = 0; per_model_ && i < ids_.size(); ++i) {
    const std::string prefix = absl::StrCat("model_", ids_[i], "_");
    if (rows.has_classes) absl::StrAppend(&out, ",", prefix, "predicted");
    AddNames(
        absl::StrCat(prefix, rows.has_classes ? "probability_" : "prediction_"),
        outputs, &out);
  }
  return out + "\n";
}

std::string PredictionCsv::Lines(const PredictedRows& rows) const {
  std::string out = rows.begin == 0 ? Names(rows) : "";
  const bool several = ids_.size() > 1;
  std::vector<const Tensor*> columns;
  if (rows.has_classes) {
    const ClassificationEnsemble& all = rows.classification;
    columns = {&all.predicted, &all.probabilities, &all.entropy};
    if (several) {
      columns.insert(columns.end(),
                     {&all.spread, &all.votes, &all.mutual_information});
    }
  } else {
    const RegressionEnsemble& all = rows.regression;
    columns = {&all.mean};
    if (several) {
      columns.insert(columns.end(), {&all.spread, &all.min, &all.max});
    }
  }
  for (size_t i = 0; per_model_ && i < ids_.size(); ++i) {
    if (rows.has_classes) columns.push_back(&rows.classes[i]);
    columns.push_back(rows.has_classes ? &rows.probabilities[i]
                                       : &rows.models[i]);
  }
  for (int64_t row = 0; row < rows.rows(); ++row) {
    absl::StrAppend(&out, rows.begin + row);
    if (targets_->size() > 0) AddNumbers(*targets_, rows.begin + row, &out);
    for (const Tensor* column : columns) AddNumbers(*column, row, &out);
    out.push_back('\n');
  }
  return out;
}

}  // namespace modelbatch
