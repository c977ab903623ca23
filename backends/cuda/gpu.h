// What the executor needs of a device: memory, copies, launches, one stream.
// The CUDA runtime is one (runtime_gpu.h), the emulator another.
#ifndef BACKENDS_CUDA_GPU_H_
#define BACKENDS_CUDA_GPU_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cuda/kernels/kernels.h"

namespace modelbatch::cuda {

// A place in the order of a Gpu's calls. The Gpu must outlive it.
class Event {
 public:
  virtual ~Event() = default;

  // After all calls made so far, but not while they are recorded.
  virtual absl::Status Record() = 0;
  // Waits until those were made; at once where nothing was recorded.
  virtual absl::Status Wait() = 0;
};

// Calls that are made again together. The Gpu must outlive it, and what its
// calls read and write must be there when it is launched.
class Graph {
 public:
  virtual ~Graph() = default;

  virtual int64_t nodes() const = 0;  // launches, copies and zeroings
  // One call, in the order of the others.
  virtual absl::Status Launch() = 0;
};

// One caller at a time.
class Gpu {
 public:
  virtual ~Gpu() = default;

  virtual const Kernels& kernels() const = 0;
  virtual int multiprocessors() const = 0;

  // Device memory, aligned to 256 bytes, holding anything. ResourceExhausted
  // where there is not enough.
  virtual absl::StatusOr<void*> Allocate(int64_t bytes) = 0;
  virtual void Free(void* memory) = 0;
  // Memory of the host that copies are fast from and to.
  virtual absl::StatusOr<void*> AllocateHost(int64_t bytes) = 0;
  virtual void FreeHost(void* memory) = 0;
  virtual absl::StatusOr<int64_t> FreeBytes() = 0;

  // All of these in the order of the calls, after which the host goes on at
  // once: host memory must stay as it is until Synchronize, or until an event
  // recorded after the call.
  virtual absl::Status Upload(void* to, const void* from, int64_t bytes) = 0;
  virtual absl::Status Download(void* to, const void* from, int64_t bytes) = 0;
  virtual absl::Status Zero(void* memory, int64_t bytes) = 0;
  template <typename Args>
  absl::Status Launch(const Kernel<Args>& kernel, int64_t blocks,
                      const Args& args) {
    if (blocks == 0) return absl::OkStatus();
    return LaunchFunction(kernel.name, kernel.function, blocks, kernel.threads,
                          &args, sizeof(args));
  }
  // Waits for all of them. Errors of launches may show here.
  virtual absl::Status Synchronize() = 0;
  virtual absl::StatusOr<std::unique_ptr<Event>> CreateEvent() = 0;

  // Calls from here to EndCapture are recorded, not made. Only launches, copies
  // and zeroings; anything else is an error, there or of EndCapture, which is
  // called all the same and ends the recording in any case.
  virtual absl::Status BeginCapture() = 0;
  virtual absl::StatusOr<std::unique_ptr<Graph>> EndCapture() = 0;

 protected:
  // `args` is copied.
  virtual absl::Status LaunchFunction(const char* name, const void* function,
                                      int64_t blocks, int threads,
                                      const void* args, int64_t args_bytes) = 0;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_GPU_H_
