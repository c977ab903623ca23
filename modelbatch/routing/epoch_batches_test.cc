#include "modelbatch/routing/epoch_batches.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

std::vector<int32_t> Epoch(EpochBatches* batches, int64_t epoch) {
  batches->StartEpoch(epoch);
  std::vector<int32_t> rows;
  for (int64_t step = 0; step < batches->steps_per_epoch(); ++step) {
    const auto batch = batches->Batch(step);
    rows.insert(rows.end(), batch.begin(), batch.end());
  }
  return rows;
}

TEST(EpochBatchesTest, EveryRowOnceInBatchesWithTheRestLast) {
  EpochBatches batches({10, 11, 12, 13, 14, 15, 16}, 3, 1);
  EXPECT_EQ(batches.steps_per_epoch(), 3);
  EXPECT_EQ(batches.Batch(0).size(), 3u);
  EXPECT_EQ(batches.Batch(1).size(), 3u);
  EXPECT_EQ(batches.Batch(2).size(), 1u);
  std::vector<int32_t> rows = Epoch(&batches, 4);
  std::sort(rows.begin(), rows.end());
  EXPECT_EQ(rows, (std::vector<int32_t>{10, 11, 12, 13, 14, 15, 16}));
}

TEST(EpochBatchesTest, BatchLargerThanTheData) {
  EpochBatches batches({1, 2}, 64, 1);
  EXPECT_EQ(batches.steps_per_epoch(), 1);
  EXPECT_EQ(batches.Batch(0).size(), 2u);
}

// Resuming in epoch 5 needs nothing of epochs 0 to 4.
TEST(EpochBatchesTest, OrderIsAFunctionOfSeedAndEpoch) {
  std::vector<int32_t> rows;
  for (int i = 0; i < 50; ++i) rows.push_back(i);
  EpochBatches a(rows, 8, 1);
  EpochBatches b(rows, 16, 1);
  EpochBatches c(rows, 8, 2);
  Epoch(&a, 0);
  EXPECT_EQ(Epoch(&a, 5), Epoch(&b, 5));
  EXPECT_NE(Epoch(&a, 5), Epoch(&a, 6));
  EXPECT_NE(Epoch(&a, 5), Epoch(&c, 5));
}

}  // namespace
}  // namespace modelbatch
