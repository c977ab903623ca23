#include "modelbatch/data/permutation.h"

#include <algorithm>
#include <map>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

std::vector<int32_t> Shuffled(int64_t size, uint64_t seed, uint64_t stream) {
  return RandomPermutation(size, seed, RandomPurpose::kShuffle, stream);
}

TEST(RandomPermutationTest, HoldsEveryRowOnce) {
  for (int64_t size : {0, 1, 2, 3, 4, 5, 64, 1797}) {
    std::vector<int32_t> order = Shuffled(size, 3, 0);
    ASSERT_EQ(static_cast<int64_t>(order.size()), size);
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < size; ++i) EXPECT_EQ(order[i], i);
  }
}

// Stored runs depend on the order: the definition in the header, done slowly.
TEST(RandomPermutationTest, IsTheShuffleOfItsDefinition) {
  constexpr int kSize = 23;
  std::vector<int32_t> expected;
  for (int i = 0; i < kSize; ++i) expected.push_back(i);
  for (int i = kSize - 1; i >= 1; --i) {
    const uint64_t draw =
        PhiloxDraw(11, RandomPurpose::kShuffle, 0, 5, static_cast<uint64_t>(i));
    std::swap(expected[i], expected[draw * (i + 1) / 4294967296u]);
  }
  EXPECT_EQ(Shuffled(kSize, 11, 5), expected);
}

TEST(RandomPermutationTest, SeedAndStreamAndPurposeMatter) {
  EXPECT_EQ(Shuffled(100, 1, 2), Shuffled(100, 1, 2));
  EXPECT_NE(Shuffled(100, 1, 2), Shuffled(100, 2, 2));
  EXPECT_NE(Shuffled(100, 1, 2), Shuffled(100, 1, 3));
  EXPECT_NE(Shuffled(100, 1, 2),
            RandomPermutation(100, 1, RandomPurpose::kSplit, 2));
}

// All 6 orders of three, each 1/6: standard deviation 28.9 of 6000.
TEST(RandomPermutationTest, OrdersAreEquallyLikely) {
  std::map<std::vector<int32_t>, int> counts;
  for (int i = 0; i < 6000; ++i) ++counts[Shuffled(3, 8, i)];
  ASSERT_EQ(counts.size(), 6u);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 145);
}

}  // namespace
}  // namespace modelbatch
