#include "modelbatch/routing/deal.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "modelbatch/data/permutation.h"

namespace modelbatch {

absl::Status CheckLabels(const Tensor& labels,
                         std::optional<int64_t> num_classes) {
  if (num_classes.has_value() && *num_classes < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_classes is ", *num_classes, ", expected at least 1"));
  }
  if (labels.dtype() != DType::kInt64 || labels.shape().size() != 1 ||
      labels.size() < 1 ||
      labels.size() > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the labels are ", DTypeName(labels.dtype()), " ",
                     ShapeToString(labels.shape()),
                     ", expected int64 [rows] of 1 to 2147483647 rows"));
  }
  const int64_t end = num_classes.value_or(std::numeric_limits<int64_t>::max());
  const int64_t* values = labels.data<int64_t>();
  for (int64_t row = 0; row < labels.size(); ++row) {
    if (values[row] < 0 || values[row] >= end) {
      return absl::InvalidArgumentError(
          absl::StrCat("the label of row ", row, " is ", values[row],
                       ", expected 0 to ", end - 1));
    }
  }
  return absl::OkStatus();
}

std::vector<LabelGroup> GroupByLabel(const Tensor& labels) {
  const int64_t* values = labels.data<int64_t>();
  std::vector<int32_t> order(static_cast<size_t>(labels.size()));
  std::iota(order.begin(), order.end(), 0);
  // Sorted, so that memory is that of the rows, whatever the labels are.
  std::stable_sort(order.begin(), order.end(), [values](int32_t a, int32_t b) {
    return values[a] < values[b];
  });
  std::vector<LabelGroup> groups;
  for (int32_t row : order) {
    if (groups.empty() || groups.back().label != values[row]) {
      groups.push_back({values[row], {}});
    }
    groups.back().rows.push_back(row);
  }
  return groups;
}

void ShuffleRows(uint64_t seed, RandomPurpose purpose, uint64_t stream,
                 std::vector<int32_t>* rows) {
  std::vector<int32_t> order = RandomPermutation(
      static_cast<int64_t>(rows->size()), seed, purpose, stream);
  for (int32_t& place : order) place = (*rows)[place];
  rows->swap(order);
}

std::vector<std::vector<int32_t>> DealInTurn(
    const std::vector<LabelGroup>& groups, int64_t num_hands) {
  std::vector<std::vector<int32_t>> hands(static_cast<size_t>(num_hands));
  size_t turn = 0;
  for (const LabelGroup& group : groups) {
    for (int32_t row : group.rows) {
      hands[turn].push_back(row);
      turn = (turn + 1) % hands.size();
    }
  }
  return hands;
}

}  // namespace modelbatch
