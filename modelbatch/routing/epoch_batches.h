// Which rows each step of an epoch trains on.
//
//   EpochBatches batches(split.train, /*batch_size=*/64, seed);
//   batches.StartEpoch(epoch);
//   for (int64_t step = 0; step < batches.steps_per_epoch(); ++step) {
//     RowSet rows{batches.Batch(step), {}};
//   }
//
// Every epoch visits every row once, in the order RandomPermutation(rows, seed,
// kShuffle, epoch): a function of seed and epoch alone, the same for every
// model and whatever was trained before, so a run resumes in mid-epoch. The
// last batch of an epoch has what is left.
#ifndef MODELBATCH_ROUTING_EPOCH_BATCHES_H_
#define MODELBATCH_ROUTING_EPOCH_BATCHES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace modelbatch {

class EpochBatches {
 public:
  // batch_size >= 1. Epoch 0 is the first.
  EpochBatches(std::vector<int32_t> rows, int64_t batch_size, uint64_t seed);

  void StartEpoch(int64_t epoch);

  int64_t steps_per_epoch() const;
  int64_t rows_per_epoch() const { return static_cast<int64_t>(rows_.size()); }

  // Row numbers of the data set, valid until the next StartEpoch.
  // 0 <= step < steps_per_epoch().
  absl::Span<const int32_t> Batch(int64_t step) const;

 private:
  std::vector<int32_t> rows_;
  int64_t batch_size_;
  uint64_t seed_;
  std::vector<int32_t> shuffled_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_ROUTING_EPOCH_BATCHES_H_
