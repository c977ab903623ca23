// What kernels read of a schedule, in one piece of device memory: filled on the
// host, uploaded once.
//
//   Tables tables;
//   const auto tiles = tables.Add(list.tiles);      // before Upload
//   ...tables.Upload(gpu)...
//   args.tiles = tables.At(tiles);                  // after it
#ifndef BACKENDS_CUDA_TABLES_H_
#define BACKENDS_CUDA_TABLES_H_

#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "backends/cuda/device_memory.h"
#include "backends/cuda/gpu.h"
#include "modelbatch/util/round_up.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {

// A table of T. Default: an empty one.
template <typename T>
struct Table {
  int64_t offset = 0;
  int64_t size = 0;
};

class Tables {
 public:
  template <typename T>
  Table<T> Add(const std::vector<T>& values) {
    const Table<T> table = {static_cast<int64_t>(bytes_.size()),
                            static_cast<int64_t>(values.size())};
    // Multiples of 16 bytes, as wide as any element asks.
    bytes_.resize(RoundUp(bytes_.size() + values.size() * sizeof(T), 16));
    if (!values.empty()) {
      std::memcpy(bytes_.data() + table.offset, values.data(),
                  values.size() * sizeof(T));
    }
    return table;
  }

  // Waits for the copy. The host's bytes are given back.
  absl::Status Upload(Gpu* gpu) {
    MB_RETURN_IF_ERROR(
        memory_.Allocate(gpu, static_cast<int64_t>(bytes_.size())));
    MB_RETURN_IF_ERROR(
        gpu->Upload(memory_.data(), bytes_.data(), memory_.bytes()));
    MB_RETURN_IF_ERROR(gpu->Synchronize());
    bytes_ = std::vector<char>();
    return absl::OkStatus();
  }

  // On the device.
  template <typename T>
  const T* At(const Table<T>& table) const {
    return reinterpret_cast<const T*>(memory_.data() + table.offset);
  }
  int64_t bytes() const { return memory_.bytes() + bytes_.size(); }

 private:
  std::vector<char> bytes_;
  DeviceArray<char> memory_;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_TABLES_H_
