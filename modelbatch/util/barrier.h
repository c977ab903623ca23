// A point that threads pass together, again and again.
//
//   Barrier barrier(2);
//   // each of two threads:
//   values[rank] = ...;
//   barrier.Wait();
//   use(values[1 - rank]);
#ifndef MODELBATCH_UTIL_BARRIER_H_
#define MODELBATCH_UTIL_BARRIER_H_

#include <atomic>
#include <cstdint>

#include "modelbatch/util/spin.h"

namespace modelbatch {

// For threads that run at the same time, on CPUs of their own: they spin.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  // Returns when all threads have called it as often. What they wrote before
  // is visible after.
  void Wait() {
    const uint32_t round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    SpinOrYieldUntil(
        [&] { return round_.load(std::memory_order_acquire) != round; });
  }

 private:
  const int threads_;
  std::atomic<int> arrived_{0};
  std::atomic<uint32_t> round_{0};
};

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_BARRIER_H_
