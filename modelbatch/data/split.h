// Divides the rows of a data set into what a model learns from, what it is
// selected by and what it is judged by.
#ifndef MODELBATCH_DATA_SPLIT_H_
#define MODELBATCH_DATA_SPLIT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/data/data_table.h"

namespace modelbatch {

struct SplitFractions {
  double train = 1;
  double validation = 0;
  double test = 0;
};

// Row numbers of the data set, each row in exactly one part, each part sorted.
struct Split {
  std::vector<int32_t> train;
  std::vector<int32_t> validation;
  std::vector<int32_t> test;
};

// Shuffles the rows (RandomPermutation, purpose kSplit, stream 0) and cuts them
// by the fractions, which must add up to 1. `stratified` does so for each class
// by itself, so that every part has the classes in proportion. Sizes are those
// of the largest remainder method; the earlier part wins a tie. A part with a
// fraction above 0 that ends up with no row is an error.
absl::StatusOr<Split> SplitRows(const DataTable& table,
                                const SplitFractions& fractions,
                                bool stratified, uint64_t seed);

// `total` divided in proportion to `fractions` (largest remainder).
std::vector<int64_t> Apportion(int64_t total,
                               const std::vector<double>& fractions);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_SPLIT_H_
