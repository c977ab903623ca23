#include "modelbatch/routing/random_masks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/data/permutation.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

absl::StatusOr<Tensor> CreateRandomMask(int64_t batch_size, int64_t model,
                                        double subset_ratio, uint64_t seed) {
  if (batch_size < 1 || batch_size > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "batch_size is ", batch_size, ", expected 1 to 2147483647"));
  }
  if (model < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("model is ", model, ", expected at least 0"));
  }
  if (!(subset_ratio > 0 && subset_ratio <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "subset_ratio is ", subset_ratio, ", expected a number in (0, 1]"));
  }
  const int64_t chosen = std::max<int64_t>(
      1, std::llround(subset_ratio * static_cast<double>(batch_size)));
  const std::vector<int32_t> order = RandomPermutation(
      batch_size, seed, RandomPurpose::kMask, static_cast<uint64_t>(model));
  Tensor mask = Tensor::Zeros(DType::kUInt8, {batch_size});
  for (int64_t i = 0; i < chosen; ++i) mask.data<uint8_t>()[order[i]] = 1;
  return mask;
}

absl::StatusOr<std::vector<Tensor>> CreateRandomMasks(int64_t batch_size,
                                                      int num_models,
                                                      double subset_ratio,
                                                      uint64_t seed) {
  if (num_models < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_models is ", num_models, ", expected at least 1"));
  }
  std::vector<Tensor> masks;
  for (int model = 0; model < num_models; ++model) {
    MB_ASSIGN_OR_RETURN(
        Tensor mask, CreateRandomMask(batch_size, model, subset_ratio, seed));
    masks.push_back(std::move(mask));
  }
  return masks;
}

}  // namespace modelbatch
