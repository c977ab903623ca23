#include "modelbatch/routing/k_folds.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/routing/deal.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status CheckFolds(int64_t num_rows, int64_t num_folds) {
  if (num_folds >= 2 && num_folds <= num_rows) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("num_folds is ", num_folds,
                                                 ", expected 2 to ", num_rows,
                                                 ", the number of rows"));
}

}  // namespace

absl::StatusOr<std::vector<Fold>> KFolds(int64_t num_rows, int64_t num_folds,
                                         uint64_t seed) {
  if (num_rows < 2 || num_rows > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_rows is ", num_rows, ", expected 2 to 2147483647"));
  }
  // Without classes all rows are of one.
  return StratifiedKFolds(Tensor::Zeros(DType::kInt64, {num_rows}), num_folds,
                          seed);
}

absl::StatusOr<std::vector<Fold>> StratifiedKFolds(const Tensor& labels,
                                                   int64_t num_folds,
                                                   uint64_t seed) {
  MB_RETURN_IF_ERROR(CheckLabels(labels, {}));
  const int64_t num_rows = labels.size();
  MB_RETURN_IF_ERROR(CheckFolds(num_rows, num_folds));
  std::vector<LabelGroup> groups = GroupByLabel(labels);
  for (LabelGroup& group : groups) {
    ShuffleRows(seed, RandomPurpose::kFold, static_cast<uint64_t>(group.label),
                &group.rows);
  }
  std::vector<Fold> folds;
  for (std::vector<int32_t>& hand : DealInTurn(groups, num_folds)) {
    Fold fold;
    std::sort(hand.begin(), hand.end());
    fold.validation = std::move(hand);
    auto next = fold.validation.begin();
    for (int32_t row = 0; row < num_rows; ++row) {
      if (next != fold.validation.end() && *next == row) {
        ++next;
      } else {
        fold.train.push_back(row);
      }
    }
    folds.push_back(std::move(fold));
  }
  return folds;
}

}  // namespace modelbatch
