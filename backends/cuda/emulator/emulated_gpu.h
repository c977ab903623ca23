// A device that is none: memory of the host, and kernels on emulated threads.
// For tests; slow.
//
// Fresh memory holds NaN. A kernel that goes beyond the end of an allocation
// ends the process (the next page cannot be touched) or, within the last page,
// is found by CheckGuards.
#ifndef BACKENDS_CUDA_EMULATOR_EMULATED_GPU_H_
#define BACKENDS_CUDA_EMULATOR_EMULATED_GPU_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

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
  absl::Status Synchronize() override { return absl::OkStatus(); }

  // Internal where something was written around an allocation, also one that
  // was freed.
  absl::Status CheckGuards() const;
  // What was called since the last time, in order: "upload", "product 64x64".
  std::vector<std::string> TakeCalls() {
    return std::exchange(calls_, std::vector<std::string>());
  }

 protected:
  absl::Status LaunchFunction(const char* name, const void* function,
                              int64_t blocks, int threads,
                              const void* args) override;

 private:
  struct Allocation {
    char* mapped;  // with the guards
    int64_t mapped_bytes;
    int64_t bytes;
  };
  absl::Status CheckRange(const void* memory, int64_t bytes) const;
  static bool GuardsHold(const char* memory, const Allocation& allocation);

  const RunOptions options_;
  const int64_t memory_bytes_;
  int64_t used_bytes_ = 0;
  uint64_t launches_ = 0;
  bool freed_broken_ = false;
  std::map<const char*, Allocation> allocations_;
  std::vector<std::string> calls_;
};

}  // namespace modelbatch::cuda::emulator

#endif  // BACKENDS_CUDA_EMULATOR_EMULATED_GPU_H_
