#include "modelbatch/batch/weight_file.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/batch/model_batch_internal.h"
#include "modelbatch/io/pytorch_state_dict.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

absl::StatusOr<Weights> ReadWeights(const std::string& file) {
  if (absl::EndsWith(file, ".safetensors")) {
    MB_ASSIGN_OR_RETURN(Safetensors read, ReadSafetensors(file));
    return std::move(read.tensors);
  }
  MB_ASSIGN_OR_RETURN(StateDict state, ReadPyTorchStateDict(file));
  Weights weights;
  for (StateDictEntry& entry : state) {
    weights.emplace(entry.name, std::move(entry.tensor));
  }
  return weights;
}

absl::Status CheckWeights(const Weights& weights, const Layout& layout) {
  for (const Parameter& parameter : layout.parameters) {
    const auto it = weights.find(parameter.name);
    if (it == weights.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("has no ", parameter.name));
    }
    MB_RETURN_IF_ERROR(
        batch_internal::CheckValue(parameter.name, it->second, parameter));
  }
  for (const auto& [name, value] : weights) {
    const bool known = std::any_of(
        layout.parameters.begin(), layout.parameters.end(),
        [&name = name](const Parameter& p) { return p.name == name; });
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrCat("has ", name, ", which the model does not have"));
    }
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
