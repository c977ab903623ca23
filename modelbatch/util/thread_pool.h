// A pool of threads that run the items of one loop at a time.
//
//   ThreadPool pool(2);
//   pool.ParallelFor(64, [&](int worker, int64_t item) { ... });
//
// Items go to whichever worker is free: what an item computes must not depend
// on the worker. RunTogether is for workers that wait for each other (Barrier).
#ifndef MODELBATCH_UTIL_THREAD_POOL_H_
#define MODELBATCH_UTIL_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace modelbatch {

// CPUs this process may use: the affinity mask, and the cgroup's quota rounded
// up. At least 1.
int AvailableCpus();

class ThreadPool {
 public:
  // `threads` counts the caller of ParallelFor: threads - 1 are started, or as
  // many of them as the system allows.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs body(worker, item) once for each item in [0, count), worker in
  // [0, threads()), and returns when all are done. Thread-safe: while another
  // thread's loop occupies the pool, the caller runs all of its own items as
  // worker 0.
  void ParallelFor(int64_t count,
                   absl::FunctionRef<void(int worker, int64_t item)> body);

  // Runs body(worker, threads()) once on every worker, all at the same time,
  // and returns when all are done. Thread-safe: while another thread's loop
  // occupies the pool, the caller runs body(0, 1) alone.
  void RunTogether(absl::FunctionRef<void(int worker, int workers)> body);

 private:
  using Body = absl::FunctionRef<void(int, int64_t)>;

  void Work(int worker);
  void RunItems(int worker);
  // Announces the loop that the fields below describe, takes part, and waits
  // for the others.
  void RunLoop();

  std::vector<std::thread> workers_;
  std::atomic<bool> occupied_{false};  // a loop is running

  // The loop in progress, written before `generation_` announces it.
  const Body* body_ = nullptr;
  int64_t count_ = 0;      // of items
  bool together_ = false;  // worker i takes item i and no other
  std::atomic<int64_t> next_{0};
  std::atomic<int> busy_{0};  // workers that have not finished this loop
  std::atomic<uint64_t> generation_{0};
  std::atomic<bool> stop_{false};

  std::mutex sleep_mutex_;
  std::condition_variable wake_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_THREAD_POOL_H_
