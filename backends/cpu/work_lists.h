// Which thread trains which model: a list a thread, of about equal cost, from
// whose end the threads that are done early take. So a thread meets the same
// models in every step, which its caches may still hold, and knows the next.
//
//   lists.Assign(costs, 2);            // costs[i]: of item i, in any unit
//   lists.Begin();                     // every item once more
//   while (lists.Take(worker, &task)) Run(task.item);
#ifndef BACKENDS_CPU_WORK_LISTS_H_
#define BACKENDS_CPU_WORK_LISTS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"

namespace modelbatch::cpu {

class WorkLists {
 public:
  struct Task {
    int item = -1;
    int next = -1;  // what the worker is likely to take next; -1: nothing
  };

  // Shares the items out, the dearest first, each to the thread with the least
  // to do. Nothing is done where costs and workers are those of the last time.
  void Assign(absl::Span<const int64_t> costs, int workers);
  // Not while a thread is taking.
  void Begin();
  // False: no item is left. Thread-safe; `worker` in [0, workers).
  bool Take(int worker, Task* task);

 private:
  // Items [front, back) of a list are left.
  struct alignas(64) List {
    std::atomic<uint64_t> left{
        0};  // front in the lower half, back in the upper
    std::vector<int> items;
  };
  // Takes the first item, or the last; -1: none is left.
  static int TakeFrom(List& list, bool first, int* next);

  std::vector<int64_t> costs_;
  std::unique_ptr<List[]> lists_;
  int workers_ = 0;
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_WORK_LISTS_H_
