// Runs the threads of one CUDA block as fibers on the calling thread: each
// until its next barrier, in an order that can be chosen.
//
//   absl::Status status = RunBlocks(options, blocks, threads, [&] {
//   Kernel(args); });
#ifndef BACKENDS_CUDA_EMULATOR_BLOCK_RUNNER_H_
#define BACKENDS_CUDA_EMULATOR_BLOCK_RUNNER_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace modelbatch::cuda::emulator {

// In which order blocks, and threads between two barriers, run. A device
// promises none: results that depend on it are wrong.
enum class Order { kAscending, kDescending, kRandom };

struct RunOptions {
  Order order = Order::kAscending;
  uint64_t seed = 0;  // kRandom
};

// Runs `thread` once for each thread of each block. Internal says what a kernel
// did that a device does not promise to survive, in which block and thread;
// nothing more is run then. `thread` owns nothing: it may never return.
absl::Status RunBlocks(const RunOptions& options, int64_t blocks, int threads,
                       const std::function<void()>& thread);

// ---- For kernels, within RunBlocks.

struct Index {
  unsigned x = 0;
};
Index ThreadIndex();
Index BlockIndex();
void SyncThreads();
// Of the thread at lane `from` (or, `down`, at its own lane + from) of the
// group of `width` lanes; its own where that lies outside of the group.
uint64_t ExchangeInWarp(unsigned mask, uint64_t bits, int from, int width,
                        bool down);
// Runs `all` once, when all 32 threads of a warp have come with it: with what
// each has brought, by lane.
using WarpFunction = void (*)(void* const* brought);
void MeetInWarp(void* brings, WarpFunction all);
// Ends the run with this message.
void Fail(const char* what, int64_t where);

// Who used an element of shared memory last, and before which barrier.
class SharedUse {
 public:
  void Read(int64_t where);
  void Write(int64_t where);

 private:
  int64_t written_ = -1, read_ = -1;  // time of the barrier before
  int writer_ = -1, reader_ = -1;     // reader_ -2: several
};

}  // namespace modelbatch::cuda::emulator

#endif  // BACKENDS_CUDA_EMULATOR_BLOCK_RUNNER_H_
