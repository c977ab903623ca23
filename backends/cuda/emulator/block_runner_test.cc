// The emulator is worth what it finds: a kernel that is right runs to its end
// in every order, and each mistake it is there for is reported.
#include "backends/cuda/emulator/block_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "backends/cuda/emulator/device.h"

namespace modelbatch::cuda::emulator {
namespace {

using ::testing::HasSubstr;

constexpr int kThreads = 64;
const Order kOrders[] = {Order::kAscending, Order::kDescending, Order::kRandom};

int Thread() { return static_cast<int>(threadIdx.x); }

std::string RunKernel(Order order, void (*kernel)(), int threads = kThreads,
                      int64_t blocks = 2) {
  RunOptions options;
  options.order = order;
  options.seed = 5;
  const absl::Status status = RunBlocks(options, blocks, threads, kernel);
  return status.ok() ? "" : std::string(status.message());
}

std::vector<int>& Results() {
  static auto* const results = new std::vector<int>;
  return *results;
}

void Reverse() {
  __shared__ Shared<int, kThreads> values;
  values[Thread()] = Thread() + 100 * static_cast<int>(blockIdx.x);
  __syncthreads();
  Results()[static_cast<int>(blockIdx.x) * kThreads + Thread()] =
      values[kThreads - 1 - Thread()];
}

TEST(RunBlocks, ThreadsMeetAtBarriers) {
  for (const Order order : kOrders) {
    Results().assign(2 * kThreads, -1);
    EXPECT_EQ(RunKernel(order, Reverse), "");
    for (int t = 0; t < kThreads; ++t) {
      EXPECT_EQ(Results()[t], kThreads - 1 - t);
      EXPECT_EQ(Results()[kThreads + t], 100 + kThreads - 1 - t);
    }
  }
}

void ReverseWithoutBarrier() {
  __shared__ Shared<int, kThreads> values;
  values[Thread()] = 0;
  __syncthreads();
  values[Thread()] = Thread();
  Results()[Thread()] = values[kThreads - 1 - Thread()];
}

TEST(RunBlocks, FindsAReadWithNoBarrierBefore) {
  for (const Order order : kOrders) {
    EXPECT_THAT(RunKernel(order, ReverseWithoutBarrier),
                HasSubstr("no barrier"));
  }
}

void OverwriteWithoutBarrier() {
  __shared__ Shared<int, kThreads> values;
  values[Thread()] = Thread();
  __syncthreads();
  const int read = values[kThreads - 1 - Thread()];
  values[Thread()] = read;
}

TEST(RunBlocks, FindsAWriteWithNoBarrierAfterARead) {
  for (const Order order : kOrders) {
    EXPECT_THAT(RunKernel(order, OverwriteWithoutBarrier),
                HasSubstr("no barrier"));
  }
}

void TwoWriters() {
  __shared__ Shared<int, kThreads> values;
  values[Thread() / 2] = 1;
}

TEST(RunBlocks, FindsTwoWritersOfOneElement) {
  EXPECT_THAT(RunKernel(Order::kAscending, TwoWriters),
              HasSubstr("two threads"));
}

void ReadUnwritten() {
  __shared__ Shared<int, kThreads> values;
  if (blockIdx.x == 0) values[Thread()] = 1;
  __syncthreads();
  Results()[Thread()] = values[Thread()];
}

// Also where a block before has left something.
TEST(RunBlocks, FindsAReadOfWhatThisBlockNeverWrote) {
  EXPECT_EQ(RunKernel(Order::kAscending, ReadUnwritten, kThreads, 1), "");
  EXPECT_THAT(RunKernel(Order::kAscending, ReadUnwritten, kThreads, 2),
              HasSubstr("block 1, thread 0: shared memory is read that was "
                        "never written"));
}

void Outside() {
  __shared__ Shared<int, kThreads> values;
  values[Thread() + 1] = 1;
}
void Misaligned() {
  __shared__ Shared<float, 8> values;
  values[Thread()] = 1;
  __syncthreads();
  values.Load4(2);
}

TEST(RunBlocks, FindsIndicesOutsideAndMisalignedLoads) {
  EXPECT_THAT(RunKernel(Order::kAscending, Outside),
              HasSubstr("thread 63: an index outside of shared memory (64)"));
  EXPECT_THAT(RunKernel(Order::kAscending, Misaligned, 8),
              HasSubstr("misaligned"));
}

float* Memory() {
  alignas(16) static float memory[8] = {};
  return memory;
}
void WideLoad() { Results()[0] = Wide<float4>(Memory() + 4).x == 0; }
void MisalignedLoad() { Results()[0] = Wide<float4>(Memory() + 2).x == 0; }
void MisalignedStore() { Wide<float2>(Memory() + 1) = make_float2(1, 2); }

TEST(RunBlocks, FindsMisalignedAccessesOfGlobalMemory) {
  EXPECT_EQ(RunKernel(Order::kAscending, WideLoad), "");
  EXPECT_THAT(RunKernel(Order::kAscending, MisalignedLoad),
              HasSubstr("a misaligned access of global memory (8)"));
  EXPECT_THAT(RunKernel(Order::kAscending, MisalignedStore),
              HasSubstr("a misaligned access of global memory (4)"));
}

void HalfAtTheBarrier() {
  if (Thread() < 32) __syncthreads();
}

TEST(RunBlocks, FindsABarrierThatNotAllReach) {
  for (const Order order : kOrders) {
    EXPECT_THAT(RunKernel(order, HalfAtTheBarrier),
                HasSubstr("32 of 64 threads"));
  }
}

void ShuffleDown() {
  const int value = __shfl_down_sync(0xffffffffu, Thread(), 4, 16);
  Results()[Thread()] = __shfl_sync(0xffffffffu, value, 1, 16);
}

// As the CUDA programming guide says: beyond the group, a thread's own value.
TEST(RunBlocks, ShufflesWithinGroups) {
  for (const Order order : kOrders) {
    Results().assign(kThreads, -1);
    EXPECT_EQ(RunKernel(order, ShuffleDown, kThreads, 1), "");
    for (int t = 0; t < kThreads; ++t) EXPECT_EQ(Results()[t], t / 16 * 16 + 5);
  }
}

void HalfAWarpShuffles() {
  if (Thread() % 32 < 16) __shfl_sync(0xffffffffu, Thread(), 0, 16);
}

TEST(RunBlocks, FindsAShuffleThatNotAllOfItsMaskReach) {
  for (const Order order : kOrders) {
    EXPECT_THAT(RunKernel(order, HalfAWarpShuffles), HasSubstr("shuffle"));
  }
}

void MaskWithoutSelf() { __shfl_sync(1u, Thread(), 0, 32); }

TEST(RunBlocks, FindsAShuffleOutsideOfItsMask) {
  EXPECT_THAT(RunKernel(Order::kAscending, MaskWithoutSelf),
              HasSubstr("mask lacks the thread"));
}

TEST(RunBlocks, RunsOnAfterAnError) {
  EXPECT_NE(RunKernel(Order::kAscending, Outside), "");
  Results().assign(2 * kThreads, -1);
  EXPECT_EQ(RunKernel(Order::kAscending, Reverse), "");
  EXPECT_EQ(Results()[0], kThreads - 1);
}

}  // namespace
}  // namespace modelbatch::cuda::emulator
