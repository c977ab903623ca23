// Deals the rows of a data set out, class by class, as cards: what stratified
// routing and folds have in common. Private to routing/.
#ifndef MODELBATCH_ROUTING_DEAL_H_
#define MODELBATCH_ROUTING_DEAL_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {

// The rows of one class.
struct LabelGroup {
  int64_t label = 0;
  std::vector<int32_t> rows;  // ascending, until shuffled
};

// OK for int64 [rows] of at least one row, every label at least 0 and, when
// given, below num_classes (which must be at least 1).
absl::Status CheckLabels(const Tensor& labels,
                         std::optional<int64_t> num_classes);

// The rows of each class that occurs, classes ascending. `labels` is checked.
std::vector<LabelGroup> GroupByLabel(const Tensor& labels);

// Puts `rows` into the order RandomPermutation(size, seed, purpose, stream).
void ShuffleRows(uint64_t seed, RandomPurpose purpose, uint64_t stream,
                 std::vector<int32_t>* rows);

// Deals every row to one of `num_hands` hands: group after group, each in its
// order, the next row to the next hand in turn, and the turn goes on from one
// group to the next. So of each group, and of all rows together, any two hands
// have equally many or differ by one.
std::vector<std::vector<int32_t>> DealInTurn(
    const std::vector<LabelGroup>& groups, int64_t num_hands);

}  // namespace modelbatch

#endif  // MODELBATCH_ROUTING_DEAL_H_
