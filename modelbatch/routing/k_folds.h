// Cross-validation: each row is validated on once and trained on in all other
// folds.
//
//   MB_ASSIGN_OR_RETURN(std::vector<Fold> folds, KFolds(rows, 5, seed));
//   // model i trains on folds[i].train and is judged by folds[i].validation
#ifndef MODELBATCH_ROUTING_K_FOLDS_H_
#define MODELBATCH_ROUTING_K_FOLDS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// Row numbers, ascending; together all rows, none in both.
struct Fold {
  std::vector<int32_t> train;
  std::vector<int32_t> validation;
};

// Shuffles rows 0 to num_rows - 1 (RandomPermutation, purpose kFold, stream 0)
// and deals them to the folds' validation parts in turn, whose sizes so differ
// by one at most. 2 <= num_folds <= num_rows < 2^31; else InvalidArgument. The
// result holds num_folds * num_rows numbers.
absl::StatusOr<std::vector<Fold>> KFolds(int64_t num_rows, int64_t num_folds,
                                         uint64_t seed);

// The same class by class: the rows of each class c are shuffled (purpose
// kFold, stream c) and dealt in turn, and the turn goes on from one class to
// the next. So both the sizes of the validation parts and how many rows of each
// class they have differ by one at most; of a class with fewer rows than folds
// some have none. `labels`: int64 [rows], each at least 0.
absl::StatusOr<std::vector<Fold>> StratifiedKFolds(const Tensor& labels,
                                                   int64_t num_folds,
                                                   uint64_t seed);

}  // namespace modelbatch

#endif  // MODELBATCH_ROUTING_K_FOLDS_H_
