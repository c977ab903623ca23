#include "backends/cpu/work_lists.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

namespace modelbatch::cpu {
namespace {

constexpr uint64_t Window(uint64_t front, uint64_t back) {
  return back << 32 | front;
}

}  // namespace

void WorkLists::Assign(absl::Span<const int64_t> costs, int workers) {
  if (workers == workers_ && costs == absl::MakeConstSpan(costs_)) return;
  costs_.assign(costs.begin(), costs.end());
  workers_ = workers;
  lists_ = std::make_unique<List[]>(workers);
  std::vector<int> order(costs.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return costs[a] > costs[b]; });
  using Load = std::pair<int64_t, int>;  // cost so far, worker
  std::priority_queue<Load, std::vector<Load>, std::greater<Load>> loads;
  for (int worker = 0; worker < workers; ++worker) loads.push({0, worker});
  for (int item : order) {
    const auto [load, worker] = loads.top();
    loads.pop();
    lists_[worker].items.push_back(item);
    loads.push({load + costs[item], worker});
  }
}

void WorkLists::Begin() {
  for (int worker = 0; worker < workers_; ++worker) {
    List& list = lists_[worker];
    list.left.store(Window(0, list.items.size()), std::memory_order_relaxed);
  }
}

int WorkLists::TakeFrom(List& list, bool first, int* next) {
  uint64_t left = list.left.load(std::memory_order_relaxed);
  while (true) {
    const uint64_t front = left & 0xffffffff, back = left >> 32;
    if (front >= back) return -1;
    const uint64_t after =
        first ? Window(front + 1, back) : Window(front, back - 1);
    if (!list.left.compare_exchange_weak(left, after,
                                         std::memory_order_relaxed)) {
      continue;
    }
    *next = back - front < 2 ? -1 : list.items[first ? front + 1 : back - 2];
    return list.items[first ? front : back - 1];
  }
}

bool WorkLists::Take(int worker, Task* task) {
  task->item = TakeFrom(lists_[worker], /*first=*/true, &task->next);
  for (int i = 1; i < workers_ && task->item < 0; ++i) {
    List& other = lists_[(worker + i) % workers_];
    task->item = TakeFrom(other, /*first=*/false, &task->next);
  }
  return task->item >= 0;
}

}  // namespace modelbatch::cpu
