// Owners of a device's memory.
#ifndef BACKENDS_CUDA_DEVICE_MEMORY_H_
#define BACKENDS_CUDA_DEVICE_MEMORY_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cuda/gpu.h"

namespace modelbatch::cuda {

// An array on the device, or, kHost, on the host where copies are fast. The Gpu
// must outlive it.
template <typename T, bool kHost = false>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(DeviceArray&& other) noexcept { *this = std::move(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(gpu_, other.gpu_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceArray() { Reset(); }

  // Its contents may be anything.
  absl::Status Allocate(Gpu* gpu, int64_t size) {
    Reset();
    const int64_t bytes = size * static_cast<int64_t>(sizeof(T));
    absl::StatusOr<void*> memory =
        kHost ? gpu->AllocateHost(bytes) : gpu->Allocate(bytes);
    if (!memory.ok()) return memory.status();
    gpu_ = gpu;
    data_ = static_cast<T*>(*memory);
    size_ = size;
    return absl::OkStatus();
  }
  void Reset() {
    if (gpu_ != nullptr) {
      if (kHost) {
        gpu_->FreeHost(data_);
      } else {
        gpu_->Free(data_);
      }
    }
    gpu_ = nullptr;
    data_ = nullptr;
    size_ = 0;
  }

  bool allocated() const { return gpu_ != nullptr; }
  T* data() const { return data_; }
  int64_t size() const { return size_; }
  int64_t bytes() const { return size_ * static_cast<int64_t>(sizeof(T)); }

 private:
  Gpu* gpu_ = nullptr;
  T* data_ = nullptr;
  int64_t size_ = 0;
};

template <typename T>
using HostArray = DeviceArray<T, true>;

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_DEVICE_MEMORY_H_
