// Lines come in the order of need, none that is needed already, none too far
// ahead.
#include "backends/cpu/prefetch_queue.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch::cpu {
namespace {

constexpr int64_t kLineFloats = PrefetchQueue::kLine / sizeof(float);

class PrefetchQueueTest : public ::testing::Test {
 protected:
  // Memory whose addresses stand for themselves: nothing is read.
  const float* At(int64_t line) { return memory_.data() + line * kLineFloats; }

  // All lines that there are for now, by their number.
  std::vector<int64_t> Lines(int64_t most = 3) {
    std::vector<int64_t> lines;
    while (true) {
      const PrefetchQueue::Lines next = queue_.NextLines(most);
      EXPECT_LE(next.count, most);
      if (next.count == 0) return lines;
      for (int64_t i = 0; i < next.count; ++i) {
        const char* const at = next.first + i * PrefetchQueue::kLine;
        lines.push_back((at - reinterpret_cast<const char*>(memory_.data())) /
                        PrefetchQueue::kLine);
      }
    }
  }

  std::vector<float> memory_ = std::vector<float>(8192 * kLineFloats);
  PrefetchQueue queue_;
};

TEST_F(PrefetchQueueTest, NothingBeforeAStepBegins) {
  EXPECT_TRUE(Lines().empty());
  queue_.Advance();
  EXPECT_TRUE(Lines().empty());
  queue_.Begin();
  queue_.Add(At(1), kLineFloats);
  EXPECT_TRUE(Lines().empty());
}

TEST_F(PrefetchQueueTest, WhatComesNextInOrder) {
  queue_.Begin();  // 0, which is read at once
  queue_.Add(At(0), 2 * kLineFloats);
  queue_.Begin();  // 1, of two pieces
  queue_.Add(At(100), 4 * kLineFloats);
  queue_.Add(At(50), kLineFloats + 1);  // a part of a line is one
  queue_.Begin();                       // 2, without memory
  queue_.Add(nullptr, 10);
  queue_.Begin();  // 3
  queue_.Add(At(7), kLineFloats);
  queue_.Advance();
  EXPECT_EQ(Lines(), (std::vector<int64_t>{100, 101, 102, 103, 50, 51, 7}));
  queue_.Advance();
  queue_.Advance();
  queue_.Advance();
  EXPECT_TRUE(Lines().empty());
  queue_.Clear();
  queue_.Begin();
  queue_.Begin();
  queue_.Add(At(9), kLineFloats);
  queue_.Advance();
  EXPECT_EQ(Lines(), std::vector<int64_t>{9});
}

TEST_F(PrefetchQueueTest, WhatIsNeededAlreadyIsSkipped) {
  for (int64_t need = 0; need < 4; ++need) {
    queue_.Begin();
    queue_.Add(At(10 * need), 5 * kLineFloats);
  }
  queue_.Advance();
  EXPECT_EQ(queue_.NextLines(2).count, 2);  // of need 1
  queue_.Advance();                         // which begins: its rest is late
  EXPECT_EQ(Lines(),
            (std::vector<int64_t>{20, 21, 22, 23, 24, 30, 31, 32, 33, 34}));
}

TEST_F(PrefetchQueueTest, NotTooFarAhead) {
  constexpr int64_t kAhead = PrefetchQueue::kAhead / PrefetchQueue::kLine;
  const int64_t half = kAhead / 2;
  for (int64_t need = 0; need < 5; ++need) {
    queue_.Begin();
    queue_.Add(At(need * half), half * kLineFloats);
  }
  queue_.Advance();  // 1 and 2 may come
  EXPECT_EQ(static_cast<int64_t>(Lines(64).size()), 2 * half);
  EXPECT_TRUE(Lines(64).empty());
  queue_.Advance();  // and 3
  const std::vector<int64_t> lines = Lines(64);
  ASSERT_EQ(static_cast<int64_t>(lines.size()), half);
  EXPECT_EQ(lines[0], 3 * half);
}

}  // namespace
}  // namespace modelbatch::cpu
