#include "modelbatch/data/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "modelbatch/data/permutation.h"

namespace modelbatch {

std::vector<int64_t> Apportion(int64_t total,
                               const std::vector<double>& fractions) {
  std::vector<int64_t> sizes;
  std::vector<double> remainders;
  const double sum = std::accumulate(fractions.begin(), fractions.end(), 0.0);
  for (double fraction : fractions) {
    // 0.15 * 20 is 2.9999999999999996: noise is not a remainder.
    const double exact = static_cast<double>(total) * (fraction / sum);
    const double rounded = std::round(exact);
    const double quota =
        std::abs(exact - rounded) < 1e-9 * total ? rounded : exact;
    sizes.push_back(static_cast<int64_t>(std::floor(quota)));
    remainders.push_back(quota - std::floor(quota));
  }
  std::vector<size_t> order(fractions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return remainders[a] > remainders[b] + 1e-9;
  });
  int64_t left =
      total - std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  for (size_t i = 0; left > 0; i = (i + 1) % order.size()) {
    if (fractions[order[i]] <= 0) continue;
    ++sizes[order[i]];
    --left;
  }
  return sizes;
}

absl::StatusOr<Split> SplitRows(const DataTable& table,
                                const SplitFractions& fractions,
                                bool stratified, uint64_t seed) {
  const std::vector<double> parts = {fractions.train, fractions.validation,
                                     fractions.test};
  for (double part : parts) {
    if (!(part >= 0 && part <= 1)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a part of the split is ", part, ", expected a number from 0 to 1"));
    }
  }
  const double sum = parts[0] + parts[1] + parts[2];
  if (std::abs(sum - 1) > 1e-6) {
    return absl::InvalidArgumentError(
        absl::StrCat("the parts of the split add up to ", sum, ", expected 1"));
  }
  if (stratified && !table.has_classes()) {
    return absl::InvalidArgumentError(
        "a stratified split needs class labels as targets");
  }
  // Without classes all rows are of one. Rows that do not count are the last.
  const int64_t others = stratified ? table.num_classes : 0;
  std::vector<std::vector<int32_t>> groups(others + 1);
  for (int32_t row :
       RandomPermutation(table.rows(), seed, RandomPurpose::kSplit, 0)) {
    const int64_t label = stratified ? table.targets.data<int64_t>()[row] : 0;
    groups[label == table.ignored_class ? others : label].push_back(row);
  }
  Split split;
  std::vector<int32_t>* const outputs[] = {&split.train, &split.validation,
                                           &split.test};
  for (const std::vector<int32_t>& group : groups) {
    const std::vector<int64_t> sizes =
        Apportion(static_cast<int64_t>(group.size()), parts);
    auto next = group.begin();
    for (size_t part = 0; part < parts.size(); ++part) {
      outputs[part]->insert(outputs[part]->end(), next, next + sizes[part]);
      next += sizes[part];
    }
  }
  const char* const names[] = {"train", "validation", "test"};
  for (size_t part = 0; part < parts.size(); ++part) {
    std::sort(outputs[part]->begin(), outputs[part]->end());
    if (parts[part] > 0 && outputs[part]->empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the ", names[part], " part, ", parts[part], " of ", table.rows(),
          " rows, is empty, expected at least one row"));
    }
  }
  return split;
}

}  // namespace modelbatch
