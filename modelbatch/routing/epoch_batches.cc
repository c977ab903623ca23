#include "modelbatch/routing/epoch_batches.h"

#include <utility>

#include "modelbatch/data/permutation.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {

EpochBatches::EpochBatches(std::vector<int32_t> rows, int64_t batch_size,
                           uint64_t seed)
    : rows_(std::move(rows)), batch_size_(batch_size), seed_(seed) {
  StartEpoch(0);
}

void EpochBatches::StartEpoch(int64_t epoch) {
  shuffled_ = RandomPermutation(rows_per_epoch(), seed_,
                                RandomPurpose::kShuffle, epoch);
  for (int32_t& index : shuffled_) index = rows_[index];
}

int64_t EpochBatches::steps_per_epoch() const {
  return (rows_per_epoch() + batch_size_ - 1) / batch_size_;
}

absl::Span<const int32_t> EpochBatches::Batch(int64_t step) const {
  return absl::MakeConstSpan(shuffled_).subspan(step * batch_size_,
                                                batch_size_);
}

}  // namespace modelbatch
