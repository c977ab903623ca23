// The check of longjmp that goes with fortification refuses other stacks.
#undef _FORTIFY_SOURCE

#include "backends/cuda/emulator/block_runner.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace modelbatch::cuda::emulator {
namespace {

constexpr int kWarp = 32;
constexpr size_t kStack = 64 << 10;

enum class State { kReady, kAtBarrier, kInShuffle, kMeeting, kDone };

struct Fiber {
  std::unique_ptr<char[]> stack;
  jmp_buf at;  // where it goes on
  State state = State::kDone;
  // The shuffle that it waits in.
  unsigned mask = 0;
  uint64_t given = 0;
  uint64_t taken = 0;
  int source = 0;
  // What it brings to a meeting of its warp, and what for.
  void* brings = nullptr;
  WarpFunction meeting = nullptr;
};

// The fibers of one thread of the host. They are made once and run one kernel
// thread after the other.
class Runner {
 public:
  absl::Status Run(const RunOptions& options, int64_t blocks, int threads,
                   const std::function<void()>& thread) {
    thread_ = &thread;
    threads_ = threads;
    error_.clear();
    Reserve(threads);
    std::mt19937_64 random(options.seed);
    std::vector<int64_t> block_order(blocks);
    std::iota(block_order.begin(), block_order.end(), 0);
    Sort(options.order, random, block_order);
    std::vector<int> order(threads);
    std::iota(order.begin(), order.end(), 0);
    for (const int64_t block : block_order) {
      block_ = block;
      ++time_;
      block_start_ = time_;
      for (int t = 0; t < threads; ++t) fibers_[t]->state = State::kReady;
      RunBlock(options.order, random, order);
      if (!error_.empty()) {
        // What is left on the fibers' stacks is dropped.
        fibers_.clear();
        return absl::InternalError(error_);
      }
    }
    return absl::OkStatus();
  }

  int current() const { return current_; }
  int64_t block() const { return block_; }
  int64_t time() const { return time_; }
  int64_t block_start() const { return block_start_; }

  void Wait(State state) {
    Fiber& fiber = *fibers_[current_];
    fiber.state = state;
    Leave();
  }

  uint64_t Exchange(unsigned mask, uint64_t bits, int from, int width,
                    bool down) {
    Fiber& fiber = *fibers_[current_];
    const int lane = current_ % kWarp;
    const int group = lane / width * width;
    const int source = down ? lane + from : group + from % width;
    fiber.source = source < group + width ? source : lane;
    fiber.mask = mask;
    fiber.given = bits;
    if ((mask >> lane & 1) == 0) Error("a shuffle whose mask lacks the thread");
    Wait(State::kInShuffle);
    return fiber.taken;
  }

  void Meet(void* brings, WarpFunction all) {
    Fiber& fiber = *fibers_[current_];
    fiber.brings = brings;
    fiber.meeting = all;
    Wait(State::kMeeting);
  }

  void Error(const std::string& what) {
    if (error_.empty()) {
      error_ =
          absl::StrCat("block ", block_, ", thread ", current_, ": ", what);
    }
    Leave();
  }

 private:
  static Runner*& Starting() {
    static thread_local Runner* runner = nullptr;
    return runner;
  }

  static void Main() {
    Runner* const runner = Starting();
    const int self = runner->making_;
    Fiber& fiber = *runner->fibers_[self];
    for (;;) {
      if (_setjmp(fiber.at) == 0) _longjmp(runner->scheduler_, 1);
      (*runner->thread_)();
      fiber.state = State::kDone;
    }
  }

  void Reserve(int threads) {
    while (static_cast<int>(fibers_.size()) < threads) {
      fibers_.push_back(std::make_unique<Fiber>());
      Fiber& fiber = *fibers_.back();
      fiber.stack = std::make_unique<char[]>(kStack);
      ucontext_t context, back;
      getcontext(&context);
      context.uc_stack.ss_sp = fiber.stack.get();
      context.uc_stack.ss_size = kStack;
      context.uc_link = nullptr;
      making_ = static_cast<int>(fibers_.size()) - 1;
      Starting() = this;
      makecontext(&context, &Runner::Main, 0);
      if (_setjmp(scheduler_) == 0) swapcontext(&back, &context);
    }
  }

  static void Sort(Order order, std::mt19937_64& random,
                   std::vector<int64_t>& items) {
    if (order == Order::kDescending) std::reverse(items.begin(), items.end());
    if (order == Order::kRandom) {
      std::shuffle(items.begin(), items.end(), random);
    }
  }

  // From the scheduler into a fiber, until it waits or ends.
  void Enter(int thread) {
    current_ = thread;
    if (_setjmp(scheduler_) == 0) _longjmp(fibers_[thread]->at, 1);
  }
  // From a fiber back to the scheduler.
  void Leave() {
    if (_setjmp(fibers_[current_]->at) == 0) _longjmp(scheduler_, 1);
  }

  void RunBlock(Order order, std::mt19937_64& random,
                std::vector<int>& threads) {
    for (;;) {
      if (order == Order::kRandom) {
        std::shuffle(threads.begin(), threads.end(), random);
      }
      bool ran = false;
      for (int i = 0; i < threads_; ++i) {
        const int t =
            order == Order::kDescending ? threads_ - 1 - i : threads[i];
        if (fibers_[t]->state != State::kReady) continue;
        Enter(t);
        if (!error_.empty()) return;
        ran = true;
      }
      int done = 0, waiting = 0, in_shuffle = 0, meeting = 0;
      for (int t = 0; t < threads_; ++t) {
        done += fibers_[t]->state == State::kDone;
        waiting += fibers_[t]->state == State::kAtBarrier;
        in_shuffle += fibers_[t]->state == State::kInShuffle;
        meeting += fibers_[t]->state == State::kMeeting;
      }
      if (done == threads_) return;
      if (in_shuffle + meeting > 0) {
        bool ended = EndShuffles();
        ended = EndMeetings() || ended;
        if (!ended && !ran) {
          error_ = absl::StrCat("block ", block_, ": ", in_shuffle,
                                " threads wait in a shuffle and ", meeting,
                                " in an mma for others of their warp");
        }
        if (!error_.empty()) return;
        continue;
      }
      if (waiting == threads_) {
        ++time_;
        for (int t = 0; t < threads_; ++t) fibers_[t]->state = State::kReady;
      } else if (!ran) {
        error_ =
            absl::StrCat("block ", block_, ": ", waiting, " of ", threads_,
                         " threads wait at a barrier, ", done, " have ended");
        return;
      }
    }
  }

  // Those whose whole mask has come; whether there were any.
  bool EndShuffles() {
    bool any = false;
    for (int warp = 0; warp * kWarp < threads_; ++warp) {
      const int first = warp * kWarp;
      const int lanes = std::min(kWarp, threads_ - first);
      unsigned here = 0;
      for (int l = 0; l < lanes; ++l) {
        if (fibers_[first + l]->state == State::kInShuffle) here |= 1u << l;
      }
      for (int l = 0; l < lanes; ++l) {
        Fiber& fiber = *fibers_[first + l];
        if ((here >> l & 1) == 0) continue;
        if ((fiber.mask & here) != fiber.mask) continue;
        if ((fiber.mask >> fiber.source & 1) == 0) {
          error_ = "a shuffle from a thread outside of its mask";
          return false;
        }
        fiber.taken = fibers_[first + fiber.source]->given;
        fiber.state = State::kReady;
        any = true;
      }
    }
    return any;
  }

  // Of the warps that are whole; whether there were any.
  bool EndMeetings() {
    bool any = false;
    for (int first = 0; first + kWarp <= threads_; first += kWarp) {
      void* brought[kWarp];
      const WarpFunction all = fibers_[first]->meeting;
      bool whole = true;
      for (int l = 0; l < kWarp && whole; ++l) {
        const Fiber& fiber = *fibers_[first + l];
        whole = fiber.state == State::kMeeting && fiber.meeting == all;
        brought[l] = fiber.brings;
      }
      if (!whole) continue;
      all(brought);
      for (int l = 0; l < kWarp; ++l) {
        fibers_[first + l]->state = State::kReady;
      }
      any = true;
    }
    return any;
  }

  const std::function<void()>* thread_ = nullptr;
  int threads_ = 0;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  jmp_buf scheduler_;
  int making_ = 0;
  int current_ = 0;
  int64_t block_ = 0;
  int64_t time_ = 0;  // barriers passed, ever
  int64_t block_start_ = 0;
  std::string error_;
};

Runner& Own() {
  static thread_local Runner runner;
  return runner;
}

}  // namespace

absl::Status RunBlocks(const RunOptions& options, int64_t blocks, int threads,
                       const std::function<void()>& thread) {
  return Own().Run(options, blocks, threads, thread);
}

Index ThreadIndex() { return {static_cast<unsigned>(Own().current())}; }
Index BlockIndex() { return {static_cast<unsigned>(Own().block())}; }
void SyncThreads() { Own().Wait(State::kAtBarrier); }

uint64_t ExchangeInWarp(unsigned mask, uint64_t bits, int from, int width,
                        bool down) {
  return Own().Exchange(mask, bits, from, width, down);
}

void MeetInWarp(void* brings, WarpFunction all) { Own().Meet(brings, all); }

void Fail(const char* what, int64_t where) {
  Own().Error(absl::StrCat(what, " (", where, ")"));
}

void SharedUse::Read(int64_t where) {
  const Runner& runner = Own();
  const int self = runner.current();
  if (written_ < runner.block_start()) {
    Fail("shared memory is read that was never written", where);
  }
  if (written_ == runner.time() && writer_ != self) {
    Fail("shared memory is read with no barrier after another thread's write",
         where);
  }
  if (read_ != runner.time()) {
    read_ = runner.time();
    reader_ = self;
  } else if (reader_ != self) {
    reader_ = -2;
  }
}

void SharedUse::Write(int64_t where) {
  const Runner& runner = Own();
  const int self = runner.current();
  if (written_ == runner.time() && writer_ != self) {
    Fail("shared memory is written by two threads with no barrier between",
         where);
  }
  if (read_ == runner.time() && reader_ != self) {
    Fail("shared memory is written with no barrier after another thread's read",
         where);
  }
  written_ = runner.time();
  writer_ = self;
}

}  // namespace modelbatch::cuda::emulator
