#include "backends/libtorch/cpu_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <vector>

namespace modelbatch::libtorch {
namespace {

// In front of every block: as long as LibTorch's alignment.
constexpr size_t kHeaderBytes = 64;
// malloc keeps smaller blocks itself.
constexpr size_t kSmallestKept = 32 << 10;
constexpr int kNotKept = -1;
// Four sizes for each power of two.
constexpr int kNumClasses = 4 * 64;

// The class of the smallest block for `bytes`, which become the block's.
int SizeClass(size_t* bytes) {
  int log = 63 - __builtin_clzll(*bytes);
  const size_t quarter = size_t{1} << (log - 2);
  const size_t quarters = (*bytes + quarter - 1) / quarter;  // 4 to 8
  *bytes = quarters * quarter;
  return 4 * log + static_cast<int>(quarters) - 4;
}

class Blocks {
 public:
  void* Take(int size_class, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<void*>& list = free_[size_class];
    if (list.empty()) return nullptr;
    void* const block = list.back();
    list.pop_back();
    kept_ -= bytes;
    return block;
  }

  bool Give(int size_class, size_t bytes, void* block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_ + bytes > kMaxKeptBytes) return false;
    free_[size_class].push_back(block);
    kept_ += bytes;
    return true;
  }

  size_t kept() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return kept_;
  }

 private:
  std::mutex mutex_;
  std::array<std::vector<void*>, kNumClasses + 4> free_;
  size_t kept_ = 0;
};

Blocks& AllBlocks() {
  static Blocks* const blocks = new Blocks;  // outlives every tensor
  return *blocks;
}

struct Header {
  int size_class;
  size_t bytes;  // of the block, without the header
};

void Free(void* data) {
  if (data == nullptr) return;
  void* const block = static_cast<char*>(data) - kHeaderBytes;
  const Header header = *static_cast<const Header*>(block);
  if (header.size_class != kNotKept &&
      AllBlocks().Give(header.size_class, header.bytes, block)) {
    return;
  }
  c10::free_cpu(block);
}

class KeepingAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* data = nullptr;
    if (bytes > 0) {
      Header header = {kNotKept, bytes};
      void* block = nullptr;
      if (bytes >= kSmallestKept) {
        header.size_class = SizeClass(&header.bytes);
        block = AllBlocks().Take(header.size_class, header.bytes);
      }
      if (block == nullptr) {
        block = c10::alloc_cpu(header.bytes + kHeaderBytes);
        *static_cast<Header*>(block) = header;
      }
      data = static_cast<char*>(block) + kHeaderBytes;
    }
    return {data, data, &Free, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &Free; }

  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

}  // namespace

void InstallCpuAllocator() {
  static const bool installed = [] {
    c10::SetCPUAllocator(new KeepingAllocator);
    return true;
  }();
  static_cast<void>(installed);
}

size_t KeptBytes() { return AllBlocks().kept(); }

}  // namespace modelbatch::libtorch
