#include "modelbatch/metrics/by_model.h"

#include "absl/strings/str_cat.h"
#include "modelbatch/tensor/view.h"

namespace modelbatch {
namespace {

std::vector<Tensor> Entries(const Tensor& stacked) {
  std::vector<Tensor> entries;
  for (int64_t i = 0; i < stacked.shape()[0]; ++i) {
    entries.push_back(Entry(stacked, i));
  }
  return entries;
}

}  // namespace

absl::Status UnexpectedTensor(const char* what, const Tensor& found,
                              const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " are ", DTypeName(found.dtype()), " ",
                   ShapeToString(found.shape()), ", expected ", expected));
}

absl::Status InModelNumber(size_t model, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("model ", model, ": ", status.message()));
}

absl::Status CheckTargetsOfModels(size_t models, size_t targets) {
  if (targets == 1 || targets == models) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(targets, " tensors of targets for the outputs of ", models,
                   models == 1 ? " model" : " models",
                   ", expected 1, for all, or ", models));
}

absl::StatusOr<std::vector<Tensor>> OutputsOfModels(const Tensor& outputs) {
  if (outputs.shape().size() < 3) {
    return UnexpectedTensor("outputs", outputs,
                            "float32 [num_models, batch, ...]");
  }
  return Entries(outputs);
}

absl::StatusOr<std::vector<Tensor>> TargetsForOutputs(const Tensor& outputs,
                                                      const Tensor& targets,
                                                      size_t rank) {
  std::vector<Tensor> result;
  if (targets.shape().size() == rank) {
    result.push_back(targets.Borrow());
    return result;
  }
  if (targets.shape().size() == rank + 1 &&
      targets.shape()[0] == outputs.shape()[0]) {
    return Entries(targets);
  }
  Shape one(outputs.shape().begin() + 1, outputs.shape().begin() + 1 + rank);
  Shape each = one;
  each.insert(each.begin(), outputs.shape()[0]);
  return UnexpectedTensor(
      "targets", targets,
      absl::StrCat(ShapeToString(one), " for all models or ",
                   ShapeToString(each)));
}

}  // namespace modelbatch
