// Floats aligned to a cache line, whose allocation can fail without ending the
// program.
#ifndef BACKENDS_CPU_FLOAT_BUFFER_H_
#define BACKENDS_CPU_FLOAT_BUFFER_H_

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace modelbatch::cpu {

class FloatBuffer {
 public:
  // Allocates, or keeps what is there when the size fits, and zeroes.
  absl::Status Allocate(int64_t floats) {
    const size_t bytes = (floats * sizeof(float) + 64) / 64 * 64;
    if (data_ == nullptr || floats != size_) {
      data_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
      if (data_ == nullptr) {
        size_ = 0;
        return absl::ResourceExhaustedError(
            absl::StrCat("out of memory: ", bytes, " bytes asked for"));
      }
      size_ = floats;
    }
    std::memset(data_.get(), 0, bytes);
    return absl::OkStatus();
  }

  void Release() {
    data_.reset();
    size_ = 0;
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  bool allocated() const { return data_ != nullptr; }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  int64_t size_ = 0;
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_FLOAT_BUFFER_H_
