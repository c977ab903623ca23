// Floats aligned to a cache line, whose allocation can fail without ending the
// program.
#ifndef BACKENDS_CPU_FLOAT_BUFFER_H_
#define BACKENDS_CPU_FLOAT_BUFFER_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cpu {

class FloatBuffer {
 public:
  // Allocates, or keeps what is there when the size fits, and zeroes.
  absl::Status Allocate(int64_t floats) {
    const size_t bytes = (floats * sizeof(float) + 64) / 64 * 64;
    if (data_ == nullptr || floats != size_) {
      const size_t alignment = bytes < kHugePage ? 64 : kHugePage;
      const size_t whole = RoundUp(bytes, alignment);
      data_.reset(static_cast<float*>(std::aligned_alloc(alignment, whole)));
      if (data_ == nullptr) {
        size_ = 0;
        return absl::ResourceExhaustedError(
            absl::StrCat("out of memory: ", bytes, " bytes asked for"));
      }
      // A walk through many models' blocks would miss the TLB at every page.
      // Only a hint: the system may have none to give.
      if (bytes >= kHugePage) madvise(data_.get(), bytes, MADV_HUGEPAGE);
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
  static constexpr size_t kHugePage = size_t{2} << 20;

  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
  int64_t size_ = 0;
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_FLOAT_BUFFER_H_
