#include "modelbatch/util/thread_pool.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

TEST(ThreadPool, RunsEveryItemOnceForManyLoops) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 3, 64, 1000}) {
      for (int repeat = 0; repeat < 50; ++repeat) {
        std::vector<std::atomic<int>> runs(count);
        pool.ParallelFor(count, [&](int worker, int64_t item) {
          EXPECT_GE(worker, 0);
          EXPECT_LT(worker, threads);
          ++runs[item];
        });
        for (const auto& run : runs) ASSERT_EQ(run.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, WakesWorkersThatSleep) {
  ThreadPool pool(3);
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> sum{0};
    pool.ParallelFor(10,
                     [&](int, int64_t item) { sum += static_cast<int>(item); });
    EXPECT_EQ(sum.load(), 45);
  }
}

TEST(ThreadPool, ServesSeveralCallersAndNestedLoops) {
  ThreadPool pool(2);
  std::vector<std::thread> callers;
  std::atomic<int64_t> total{0};
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 200; ++repeat) {
        pool.ParallelFor(10, [&](int, int64_t) {
          pool.ParallelFor(2, [&](int, int64_t) { ++total; });
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 3 * 200 * 10 * 2);
}

TEST(AvailableCpus, IsAtLeastOneAndAtMostTheMachines) {
  EXPECT_GE(AvailableCpus(), 1);
  EXPECT_LE(AvailableCpus(),
            static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace modelbatch
