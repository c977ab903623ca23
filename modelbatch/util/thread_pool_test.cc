#include "modelbatch/util/thread_pool.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "modelbatch/util/barrier.h"

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

// The caller, done early, waits until the last item is done.
TEST(ThreadPool, WaitsForWorkersThatTakeLong) {
  ThreadPool pool(3);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::atomic<int> done{0};
    pool.RunTogether([&](int worker, int workers) {
      EXPECT_EQ(workers, 3);
      if (worker > 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(700 * worker));
      }
      ++done;
    });
    EXPECT_EQ(done.load(), 3);
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

TEST(ThreadPool, RunsTogetherOnEveryWorkerOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::vector<std::atomic<int>> runs(threads);
      pool.RunTogether([&](int worker, int workers) {
        EXPECT_EQ(workers, threads);
        ++runs[worker];
      });
      for (const auto& run : runs) ASSERT_EQ(run.load(), 1);
    }
  }
}

TEST(ThreadPool, AnOccupiedPoolRunsTogetherAlone) {
  ThreadPool pool(2);
  std::atomic<int> runs{0};
  pool.ParallelFor(4, [&](int, int64_t) {
    pool.RunTogether([&](int worker, int workers) {
      EXPECT_EQ(worker, 0);
      EXPECT_EQ(workers, 1);
      ++runs;
    });
  });
  EXPECT_EQ(runs.load(), 4);
}

// Without the barrier a worker would see another's value of the round before.
TEST(Barrier, WhatWasWrittenBeforeIsSeenAfter) {
  constexpr int kWorkers = 3;
  ThreadPool pool(kWorkers);
  Barrier barrier(kWorkers);
  int values[kWorkers] = {};
  pool.RunTogether([&](int worker, int) {
    for (int round = 1; round <= 2000; ++round) {
      values[worker] = round;
      barrier.Wait();
      for (int other : values) ASSERT_EQ(other, round);
      barrier.Wait();
    }
  });
}

TEST(AvailableCpus, IsAtLeastOneAndAtMostTheMachines) {
  EXPECT_GE(AvailableCpus(), 1);
  EXPECT_LE(AvailableCpus(),
            static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace modelbatch
