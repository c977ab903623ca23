// Threads that share one model's step: each does a part of every operation,
// then waits for the others. Used where there are fewer models than threads.
//
//   const Range mine = member.Share(rows);
//   kernels->copy(mine.size(), ...);
//   member.Wait();
#ifndef BACKENDS_CPU_TEAM_H_
#define BACKENDS_CPU_TEAM_H_

#include <cstdint>

#include "modelbatch/util/barrier.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cpu {

struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

// One of the threads. What is computed does not depend on how many there are:
// shares are of elements, never of a sum.
class TeamMember {
 public:
  // A thread that has the model to itself.
  TeamMember() = default;
  // `rank` in [0, size); all members have the same `barrier` of `size` threads.
  TeamMember(Barrier* barrier, int rank, int size)
      : barrier_(barrier), rank_(rank), size_(size) {}

  int rank() const { return rank_; }
  // Does what cannot be shared.
  bool leads() const { return rank_ == 0; }

  // Whether `count` elements make at least one piece of `unit` for each.
  bool CanShare(int64_t count, int64_t unit) const {
    return count >= unit * size_;
  }
  // This member's part of [0, count), cut at multiples of `unit`.
  Range Share(int64_t count, int64_t unit = 1) const {
    const int64_t units = PartsOf(count, unit);
    const auto cut = [&](int64_t rank) {
      const int64_t at = units * rank / size_ * unit;
      return at < count ? at : count;
    };
    return {cut(rank_), cut(rank_ + 1)};
  }

  void Wait() const {
    if (barrier_ != nullptr) barrier_->Wait();
  }

 private:
  Barrier* barrier_ = nullptr;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_TEAM_H_
