// A device that is none: memory of the host, and kernels on emulated threads.
// For tests; slow.
//
// As late as a device may: nothing that is called is done before someone waits
// for it, so that host memory that is changed or given back too early shows.
// Errors of launches and copies show there as well.
//
// Fresh memory holds NaN. A kernel that goes beyond the end of an allocation
// ends the process (the next page cannot be touched) or, within the last page,
// is found by CheckGuards.
#ifndef BACKENDS_CUDA_EMULATOR_EMULATED_GPU_H_
#define BACKENDS_CUDA_EMULATOR_EMULATED_GPU_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cuda/emulator/block_runner.h"
#include "backends/cuda/gpu.h"

namespace modelbatch::cuda::emulator {

class EmulatedGpu : public Gpu {
 public:
  explicit EmulatedGpu(const RunOptions& options = {},
                       int64_t memory_bytes = int64_t{1} << 30)
      : options_(options), memory_bytes_(memory_bytes) {}
  ~EmulatedGpu() override;

  const Kernels& kernels() const override;
  int multiprocessors() const override { return 1; }
  absl::StatusOr<void*> Allocate(int64_t bytes) override;
  void Free(void* memory) override;
  absl::StatusOr<void*> AllocateHost(int64_t bytes) override;
  void FreeHost(void* memory) override;
  absl::StatusOr<int64_t> FreeBytes() override {
    return memory_bytes_ - used_bytes_;
  }
  absl::Status Upload(void* to, const void* from, int64_t bytes) override;
  absl::Status Download(void* to, const void* from, int64_t bytes) override;
  absl::Status Zero(void* memory, int64_t bytes) override;
  absl::Status Synchronize() override;
  absl::StatusOr<std::unique_ptr<Event>> CreateEvent() override;
  absl::Status BeginCapture() override;
  absl::StatusOr<std::unique_ptr<Graph>> EndCapture() override;

  // Internal where something was written around an allocation, also one that
  // was freed.
  absl::Status CheckGuards() const;
  // The next call of this name (as TakeCalls has it) is refused.
  void RefuseNext(const std::string& call,
                  absl::StatusCode code = absl::StatusCode::kInternal) {
    refused_ = call;
    refused_code_ = code;
  }
  // What was called since the last time, in order: "upload", "product 64x64".
  // What is recorded is among them; a graph is one call, "graph".
  std::vector<std::string> TakeCalls() {
    return std::exchange(calls_, std::vector<std::string>());
  }

 protected:
  absl::Status LaunchFunction(const char* name, const void* function,
                              int64_t blocks, int threads, const void* args,
                              int64_t args_bytes) override;

 private:
  struct Allocation {
    char* mapped;  // with the guards
    int64_t mapped_bytes;
    int64_t bytes;
  };
  using Work = std::function<absl::Status()>;
  class EmulatedEvent;
  class EmulatedGraph;

  // Notes a call, and refuses it where a test wants that.
  absl::Status Note(const std::string& call);
  // Does it later, or records it.
  absl::Status Enqueue(const std::string& call, Work work);
  // Does what was called, up to so many calls since the beginning.
  absl::Status RunUntil(int64_t calls);
  absl::Status CheckRange(const void* memory, int64_t bytes) const;
  static bool GuardsHold(const char* memory, const Allocation& allocation);

  const RunOptions options_;
  const int64_t memory_bytes_;
  int64_t used_bytes_ = 0;
  uint64_t launches_ = 0;
  bool freed_broken_ = false;
  std::map<const char*, Allocation> allocations_;
  std::vector<std::string> calls_;
  std::string refused_;
  absl::StatusCode refused_code_ = absl::StatusCode::kInternal;
  std::deque<Work> queue_;
  int64_t done_ = 0;      // calls that left the queue
  absl::Status failure_;  // of one that nobody waited for
  bool capturing_ = false, capture_broken_ = false;
  std::vector<Work> captured_;
};

}  // namespace modelbatch::cuda::emulator

#endif  // BACKENDS_CUDA_EMULATOR_EMULATED_GPU_H_
