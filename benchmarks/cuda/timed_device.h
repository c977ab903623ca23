// The first device with a stream of its own, memory that frees itself, and
// times by events.
//
//   MB_ASSIGN_OR_RETURN(std::unique_ptr<TimedDevice> device,
//                       TimedDevice::Open());
//   device->Start();
//   ... launches on device->stream() ...
//   const double seconds = device->Stop();
#ifndef BENCHMARKS_CUDA_TIMED_DEVICE_H_
#define BENCHMARKS_CUDA_TIMED_DEVICE_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace modelbatch::benchmarks {

struct FreeDeviceMemory {
  void operator()(void* memory) const { cudaFree(memory); }
};
using DeviceMemory = std::unique_ptr<void, FreeDeviceMemory>;

// Ends the program with the call and the error's name: a benchmark has no use
// for a device that does not do what it is told.
void CheckCuda(cudaError_t error, const char* call);

class TimedDevice {
 public:
  // Unavailable says why there is none.
  static absl::StatusOr<std::unique_ptr<TimedDevice>> Open();
  ~TimedDevice();
  TimedDevice(const TimedDevice&) = delete;
  TimedDevice& operator=(const TimedDevice&) = delete;

  cudaStream_t stream() const { return stream_; }
  // "NVIDIA H200, sm_90, 132 multiprocessors, 139 GiB"
  const std::string& description() const { return description_; }
  int multiprocessors() const { return multiprocessors_; }
  int64_t memory_bytes() const { return memory_bytes_; }
  int64_t l2_bytes() const { return l2_bytes_; }

  DeviceMemory Allocate(int64_t bytes) const;
  void Upload(void* to, const void* from, int64_t bytes) const;
  void Download(void* to, const void* from, int64_t bytes) const;
  void Synchronize() const;

  // What is launched between the two, in seconds.
  void Start() const;
  double Stop() const;
  // Pushes whatever there is out of the L2 cache. Not between the two.
  void ClearL2() const;

 private:
  TimedDevice() = default;

  std::string description_;
  int multiprocessors_ = 0;
  int64_t memory_bytes_ = 0, l2_bytes_ = 0;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
  DeviceMemory flush_;  // three times the L2 cache, and a sink
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_TIMED_DEVICE_H_
