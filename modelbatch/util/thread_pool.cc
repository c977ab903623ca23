#include "modelbatch/util/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <system_error>

#include "modelbatch/util/spin.h"

namespace modelbatch {
namespace {

// Steps of a training loop follow each other within microseconds: a worker
// waits this long for the next before it sleeps, so that a busy neighbour on
// the same core loses little to it.
constexpr std::chrono::microseconds kSpin{50};

// CPUs' worth of the cgroup's quota (version 2, then 1), 0: none is set.
double CgroupQuota() {
  double quota = 0, period = 0;
  if (std::ifstream file("/sys/fs/cgroup/cpu.max"); file) {
    std::string first;
    if (file >> first >> period && first != "max")
      quota = std::atof(first.c_str());
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

int AvailableCpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) cpus = CPU_COUNT(&mask);
  if (const double quota = CgroupQuota(); quota > 0) {
    cpus = std::min(cpus, static_cast<int>(quota + 0.999));
  }
  return std::max(cpus, 1);
}

ThreadPool::ThreadPool(int threads) {
  try {
    for (int worker = 1; worker < threads; ++worker) {
      workers_.emplace_back([this, worker] { Work(worker); });
    }
  } catch (const std::system_error&) {
    // The system gives no more: those that there are do the work.
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(sleep_mutex_);
    stop_ = true;
    ++generation_;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunItems(int worker) {
  if (together_) return (*body_)(worker, worker);
  for (int64_t item = next_++; item < count_; item = next_++) {
    (*body_)(worker, item);
  }
}

void ThreadPool::Work(int worker) {
  uint64_t seen = 0;
  while (true) {
    const auto announced = [&] { return generation_.load() != seen; };
    if (!SpinUntil(kSpin, announced)) {
      std::unique_lock<std::mutex> lock(sleep_mutex_);
      wake_.wait(lock, announced);
    }
    seen = generation_.load();
    if (stop_) return;
    RunItems(worker);
    --busy_;
  }
}

void ThreadPool::ParallelFor(
    int64_t count, absl::FunctionRef<void(int worker, int64_t item)> body) {
  if (workers_.empty() || count <= 1 || occupied_.exchange(true)) {
    for (int64_t item = 0; item < count; ++item) body(0, item);
    return;
  }
  body_ = &body;
  count_ = count;
  next_ = 0;
  together_ = false;
  RunLoop();
}

void ThreadPool::RunTogether(
    absl::FunctionRef<void(int worker, int workers)> body) {
  if (workers_.empty() || occupied_.exchange(true)) return body(0, 1);
  const int workers = threads();
  const auto once = [&](int worker, int64_t) { body(worker, workers); };
  const Body each = once;
  body_ = &each;
  together_ = true;
  RunLoop();
}

void ThreadPool::RunLoop() {
  busy_ = static_cast<int>(workers_.size());
  {
    // Under the lock so that no worker goes to sleep between its last look and
    // the notification.
    std::lock_guard<std::mutex> lock(sleep_mutex_);
    ++generation_;
  }
  wake_.notify_all();
  RunItems(0);
  // A worker may have been put aside with its item half done.
  SpinOrYieldUntil([&] { return busy_.load() == 0; });
  occupied_ = false;
}

}  // namespace modelbatch
