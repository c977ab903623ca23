// Every item is taken once, whoever takes how fast; loads are even; a thread
// meets the same items again.
#include "backends/cpu/work_lists.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace modelbatch::cpu {
namespace {

std::vector<int> TakeAll(WorkLists& lists, int worker) {
  std::vector<int> items;
  for (WorkLists::Task task; lists.Take(worker, &task);) {
    items.push_back(task.item);
  }
  return items;
}

TEST(WorkListsTest, OneWorkerTakesAllTheDearestFirst) {
  WorkLists lists;
  lists.Assign({3, 9, 0, 5, 9}, 1);
  lists.Begin();
  EXPECT_EQ(TakeAll(lists, 0), (std::vector<int>{1, 4, 3, 0, 2}));
  EXPECT_TRUE(TakeAll(lists, 0).empty());
  lists.Begin();
  EXPECT_EQ(TakeAll(lists, 0).size(), 5u);
}

TEST(WorkListsTest, NothingToDo) {
  WorkLists lists;
  lists.Assign({}, 2);
  lists.Begin();
  EXPECT_TRUE(TakeAll(lists, 1).empty());
}

// Graham 1969: longest first leaves no list more than 4/3 of the best; of these
// nobody can do better than the mean and one item.
TEST(WorkListsTest, LoadsAreEven) {
  const std::vector<int64_t> costs = {16, 16, 14, 13, 9, 8, 8, 5, 4, 4, 2, 1};
  const int64_t total = std::accumulate(costs.begin(), costs.end(), int64_t{0});
  for (int workers : {2, 3, 4}) {
    WorkLists lists;
    lists.Assign(costs, workers);
    lists.Begin();
    // In turns, the one with the least done first: nobody has to help.
    std::vector<int64_t> loads(workers, 0);
    while (true) {
      const auto least = std::min_element(loads.begin(), loads.end());
      WorkLists::Task task;
      if (!lists.Take(static_cast<int>(least - loads.begin()), &task)) break;
      *least += costs[task.item];
    }
    EXPECT_LE(*std::max_element(loads.begin(), loads.end()) * workers,
              total + 4 * workers);
  }
}

TEST(WorkListsTest, WhoIsDoneHelpsTheOthersFromTheEnd) {
  WorkLists lists;
  lists.Assign({4, 4, 3, 3, 2, 2}, 2);
  lists.Begin();
  WorkLists::Task task;
  ASSERT_TRUE(lists.Take(0, &task));
  EXPECT_EQ(task.item, 0);
  EXPECT_EQ(task.next, 2);
  EXPECT_EQ(TakeAll(lists, 1), (std::vector<int>{1, 3, 5, 4, 2}));
  EXPECT_FALSE(lists.Take(0, &task));
}

TEST(WorkListsTest, NextIsWhatComesNext) {
  WorkLists lists;
  lists.Assign({4, 3, 2}, 1);
  lists.Begin();
  int expected = 0;
  for (WorkLists::Task task; lists.Take(0, &task);) {
    EXPECT_EQ(task.item, expected);
    expected = task.next;
  }
  EXPECT_EQ(expected, -1);
}

TEST(WorkListsTest, EveryItemOnceWithThreadsThatRace) {
  constexpr int kItems = 1000, kWorkers = 4;
  WorkLists lists;
  std::vector<int64_t> costs(kItems);
  for (int i = 0; i < kItems; ++i) costs[i] = i % 7;
  lists.Assign(costs, kWorkers);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::atomic<int>> taken(kItems);
    lists.Begin();
    std::vector<std::thread> threads;
    for (int worker = 0; worker < kWorkers; ++worker) {
      threads.emplace_back([&, worker] {
        for (int item : TakeAll(lists, worker)) ++taken[item];
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < kItems; ++i) ASSERT_EQ(taken[i], 1) << i;
  }
}

}  // namespace
}  // namespace modelbatch::cpu
