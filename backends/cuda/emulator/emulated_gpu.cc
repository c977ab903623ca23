#include "backends/cuda/emulator/emulated_gpu.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/cuda/emulator/emulated_kernels.h"

namespace modelbatch::cuda::emulator {
namespace {

// As cudaMalloc aligns.
constexpr int64_t kAlign = 256;
constexpr char kCanary = 0x5a;
// All bits set: a NaN, and -1.
constexpr int kPoison = 0xff;

int64_t RoundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

}  // namespace

EmulatedGpu::~EmulatedGpu() {
  for (const auto& [memory, allocation] : allocations_) {
    munmap(allocation.mapped, allocation.mapped_bytes);
  }
}

const Kernels& EmulatedGpu::kernels() const { return EmulatedKernels(); }

absl::StatusOr<void*> EmulatedGpu::Allocate(int64_t bytes) {
  calls_.push_back("allocate");
  if (bytes > memory_bytes_ - used_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "asked for ", bytes, " bytes, free are ", memory_bytes_ - used_bytes_));
  }
  const int64_t page = sysconf(_SC_PAGESIZE);
  // A page of canaries, the memory, canaries to the end of its page, and a page
  // that cannot be touched.
  const int64_t mapped_bytes = page + RoundUp(bytes, page) + page;
  void* const mapped = mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the host has no ", bytes, " bytes"));
  }
  char* const base = static_cast<char*>(mapped);
  mprotect(base + mapped_bytes - page, page, PROT_NONE);
  std::memset(base, kCanary, mapped_bytes - page);
  // As close to the end as the alignment allows.
  char* const memory = base + mapped_bytes - page - RoundUp(bytes, kAlign);
  std::memset(memory, kPoison, bytes);
  allocations_[memory] = {base, mapped_bytes, bytes};
  used_bytes_ += bytes;
  return memory;
}

bool EmulatedGpu::GuardsHold(const char* memory, const Allocation& a) {
  const char* const end = a.mapped + a.mapped_bytes - sysconf(_SC_PAGESIZE);
  for (const char* p = a.mapped; p < memory; ++p) {
    if (*p != kCanary) return false;
  }
  for (const char* p = memory + a.bytes; p < end; ++p) {
    if (*p != kCanary) return false;
  }
  return true;
}

void EmulatedGpu::Free(void* memory) {
  if (memory == nullptr) return;
  const auto found = allocations_.find(static_cast<char*>(memory));
  if (found == allocations_.end()) std::abort();  // a bug of ours
  if (!GuardsHold(found->first, found->second)) freed_broken_ = true;
  used_bytes_ -= found->second.bytes;
  munmap(found->second.mapped, found->second.mapped_bytes);
  allocations_.erase(found);
}

absl::StatusOr<void*> EmulatedGpu::AllocateHost(int64_t bytes) {
  calls_.push_back("allocate");
  return std::malloc(bytes == 0 ? 1 : bytes);
}

void EmulatedGpu::FreeHost(void* memory) { std::free(memory); }

absl::Status EmulatedGpu::CheckGuards() const {
  bool hold = !freed_broken_;
  for (const auto& [memory, allocation] : allocations_) {
    hold = hold && GuardsHold(memory, allocation);
  }
  if (hold) return absl::OkStatus();
  return absl::InternalError(
      "device memory was written outside of what was "
      "allocated");
}

absl::Status EmulatedGpu::CheckRange(const void* memory, int64_t bytes) const {
  const char* const at = static_cast<const char*>(memory);
  auto found = allocations_.upper_bound(at);
  if (found != allocations_.begin()) {
    --found;
    if (at + bytes <= found->first + found->second.bytes) {
      return absl::OkStatus();
    }
  }
  if (bytes == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("a copy of ", bytes, " bytes that is not device memory"));
}

absl::Status EmulatedGpu::Upload(void* to, const void* from, int64_t bytes) {
  calls_.push_back("upload");
  absl::Status status = CheckRange(to, bytes);
  if (status.ok()) std::memcpy(to, from, bytes);
  return status;
}

absl::Status EmulatedGpu::Download(void* to, const void* from, int64_t bytes) {
  calls_.push_back("download");
  absl::Status status = CheckRange(from, bytes);
  if (status.ok()) std::memcpy(to, from, bytes);
  return status;
}

absl::Status EmulatedGpu::Zero(void* memory, int64_t bytes) {
  calls_.push_back("zero");
  absl::Status status = CheckRange(memory, bytes);
  if (status.ok()) std::memset(memory, 0, bytes);
  return status;
}

absl::Status EmulatedGpu::LaunchFunction(const char* name, const void* function,
                                         int64_t blocks, int threads,
                                         const void* args) {
  calls_.push_back(name);
  const auto run =
      reinterpret_cast<void (*)(const void*)>(const_cast<void*>(function));
  RunOptions options = options_;
  options.seed += ++launches_;
  const absl::Status status =
      RunBlocks(options, blocks, threads, [&] { run(args); });
  if (status.ok()) return status;
  return absl::InternalError(absl::StrCat(name, ": ", status.message()));
}

}  // namespace modelbatch::cuda::emulator
