// Draws are Random123's, and the streams of one seed do not meet.
#include "modelbatch/util/philox.h"

#include <set>
#include <tuple>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using Block = std::array<uint32_t, 4>;

// Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds. The counter's
// second word is made of purpose and op.
Block KnownAnswer(const Block& counter, uint32_t key0, uint32_t key1) {
  return PhiloxBlock(uint64_t{key1} << 32 | key0,
                     static_cast<RandomPurpose>(counter[1] >> 24),
                     counter[1] & kMaxPhiloxOp,
                     uint64_t{counter[3]} << 32 | counter[2], counter[0]);
}

TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(KnownAnswer({0, 0, 0, 0}, 0, 0),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(KnownAnswer({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                        0xffffffff, 0xffffffff),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // The digits of pi.
  EXPECT_EQ(KnownAnswer({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                        0xa4093822, 0x299f31d0),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, ADrawIsAWordOfItsBlock) {
  for (uint64_t element : {0ull, 1ull, 6ull, 1023ull, 4000000003ull}) {
    EXPECT_EQ(PhiloxDraw(1, RandomPurpose::kDropout, 2, 3, element),
              PhiloxBlock(1, RandomPurpose::kDropout, 2, 3,
                          static_cast<uint32_t>(element / 4))[element % 4]);
  }
}

TEST(PhiloxTest, EveryCoordinateMatters) {
  std::set<std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>> blocks;
  int count = 0;
  for (uint64_t seed : {0ull, 1ull, 1ull << 32}) {
    for (RandomPurpose purpose :
         {RandomPurpose::kInitialize, RandomPurpose::kDropout,
          RandomPurpose::kShuffle, RandomPurpose::kSplit,
          RandomPurpose::kSweep}) {
      for (uint32_t op : {0u, 1u, kMaxPhiloxOp}) {
        for (uint64_t step : {0ull, 1ull, 1ull << 32}) {
          for (uint32_t block : {0u, 1u, 0xffffffffu}) {
            const Block b = PhiloxBlock(seed, purpose, op, step, block);
            blocks.insert({b[0], b[1], b[2], b[3]});
            ++count;
          }
        }
      }
    }
  }
  EXPECT_EQ(blocks.size(), static_cast<size_t>(count));
}

TEST(PhiloxTest, UniformFloatIsBelowOne) {
  EXPECT_EQ(UniformFloat(0), 0.0f);
  EXPECT_EQ(UniformFloat(0x80000000u), 0.5f);
  EXPECT_EQ(UniformFloat(0xffffffffu), 1.0f - 0x1p-24f);
}

TEST(PhiloxTest, DropoutThresholdSpansAllDraws) {
  EXPECT_EQ(DropoutThreshold(0), 0u);
  EXPECT_EQ(DropoutThreshold(0.5), uint64_t{1} << 31);
  EXPECT_EQ(DropoutThreshold(1), uint64_t{1} << 32);
}

TEST(PhiloxTest, DerivedSeedsAreDistinct) {
  std::set<uint64_t> seeds;
  for (uint64_t index = 0; index < 10000; ++index) {
    seeds.insert(DeriveSeed(42, index));
  }
  EXPECT_EQ(seeds.size(), 10000u);
  EXPECT_NE(DeriveSeed(1, 0), DeriveSeed(2, 0));
}

}  // namespace
}  // namespace modelbatch
