#include "backends/cuda/emulator/emulated_gpu.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/cuda/emulator/emulated_kernels.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cuda::emulator {
namespace {

// As cudaMalloc aligns.
constexpr int64_t kAlign = 256;
constexpr char kCanary = 0x5a;
// All bits set: a NaN, and -1.
constexpr int kPoison = 0xff;

}  // namespace

EmulatedGpu::~EmulatedGpu() {
  for (const auto& [memory, allocation] : allocations_) {
    munmap(allocation.mapped, allocation.mapped_bytes);
  }
}

const Kernels& EmulatedGpu::kernels() const { return EmulatedKernels(); }

absl::StatusOr<void*> EmulatedGpu::Allocate(int64_t bytes) {
  if (absl::Status status = Note("allocate"); !status.ok()) return status;
  if (capturing_) {
    capture_broken_ = true;
    return absl::InternalError("an allocation while calls are recorded");
  }
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
  failure_.Update(Synchronize());  // as cudaFree does
  const auto found = allocations_.find(static_cast<char*>(memory));
  if (found == allocations_.end()) std::abort();  // a bug of ours
  if (!GuardsHold(found->first, found->second)) freed_broken_ = true;
  used_bytes_ -= found->second.bytes;
  munmap(found->second.mapped, found->second.mapped_bytes);
  allocations_.erase(found);
}

absl::StatusOr<void*> EmulatedGpu::AllocateHost(int64_t bytes) {
  if (absl::Status status = Note("allocate"); !status.ok()) return status;
  return std::malloc(bytes == 0 ? 1 : bytes);
}

void EmulatedGpu::FreeHost(void* memory) {
  failure_.Update(Synchronize());
  std::free(memory);
}

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

absl::Status EmulatedGpu::Note(const std::string& call) {
  calls_.push_back(call);
  if (call != refused_) return absl::OkStatus();
  refused_.clear();
  return absl::Status(refused_code_, absl::StrCat(call, " was refused"));
}

absl::Status EmulatedGpu::Enqueue(const std::string& call, Work work) {
  if (absl::Status status = Note(call); !status.ok()) {
    capture_broken_ = true;  // of a recording, if there is one
    return status;
  }
  if (capturing_) {
    captured_.push_back(std::move(work));
  } else {
    queue_.push_back(std::move(work));
  }
  return absl::OkStatus();
}

absl::Status EmulatedGpu::RunUntil(int64_t calls) {
  while (done_ < calls && !queue_.empty()) {
    const Work work = std::move(queue_.front());
    queue_.pop_front();
    ++done_;
    if (absl::Status status = work(); !status.ok()) {
      // As on a device: what comes after an error is not done.
      done_ += static_cast<int64_t>(queue_.size());
      queue_.clear();
      failure_.Update(status);
    }
  }
  return std::exchange(failure_, absl::OkStatus());
}

absl::Status EmulatedGpu::Synchronize() {
  if (capturing_) {
    capture_broken_ = true;
    return absl::InternalError("a wait while calls are recorded");
  }
  return RunUntil(done_ + static_cast<int64_t>(queue_.size()));
}

class EmulatedGpu::EmulatedEvent : public Event {
 public:
  explicit EmulatedEvent(EmulatedGpu* gpu) : gpu_(gpu) {}
  absl::Status Record() override {
    if (gpu_->capturing_) {
      return absl::InternalError("an event while calls are recorded");
    }
    calls_ = gpu_->done_ + static_cast<int64_t>(gpu_->queue_.size());
    return absl::OkStatus();
  }
  absl::Status Wait() override { return gpu_->RunUntil(calls_); }

 private:
  EmulatedGpu* const gpu_;
  int64_t calls_ = 0;
};

class EmulatedGpu::EmulatedGraph : public Graph {
 public:
  EmulatedGraph(EmulatedGpu* gpu, std::vector<Work> work)
      : gpu_(gpu), work_(std::move(work)) {}
  int64_t nodes() const override { return static_cast<int64_t>(work_.size()); }
  absl::Status Launch() override {
    if (gpu_->capturing_) {
      return absl::InternalError("a graph while calls are recorded");
    }
    return gpu_->Enqueue("graph", [work = work_] {
      for (const Work& one : work) {
        if (absl::Status status = one(); !status.ok()) return status;
      }
      return absl::OkStatus();
    });
  }

 private:
  EmulatedGpu* const gpu_;
  const std::vector<Work> work_;
};

absl::StatusOr<std::unique_ptr<Event>> EmulatedGpu::CreateEvent() {
  return std::unique_ptr<Event>(std::make_unique<EmulatedEvent>(this));
}

absl::Status EmulatedGpu::BeginCapture() {
  if (absl::Status status = Note("begin capture"); !status.ok()) return status;
  if (capturing_) return absl::InternalError("calls are recorded already");
  capturing_ = true;
  capture_broken_ = false;
  captured_.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Graph>> EmulatedGpu::EndCapture() {
  const bool broken = !capturing_ || capture_broken_;
  capturing_ = false;
  std::vector<Work> work = std::exchange(captured_, {});
  if (absl::Status status = Note("end capture"); !status.ok()) return status;
  if (broken) return absl::InternalError("the recording was broken off");
  return std::unique_ptr<Graph>(
      std::make_unique<EmulatedGraph>(this, std::move(work)));
}

absl::Status EmulatedGpu::Upload(void* to, const void* from, int64_t bytes) {
  return Enqueue("upload", [=]() -> absl::Status {
    absl::Status status = CheckRange(to, bytes);
    if (status.ok()) std::memcpy(to, from, bytes);
    return status;
  });
}

absl::Status EmulatedGpu::Download(void* to, const void* from, int64_t bytes) {
  return Enqueue("download", [=]() -> absl::Status {
    absl::Status status = CheckRange(from, bytes);
    if (status.ok()) std::memcpy(to, from, bytes);
    return status;
  });
}

absl::Status EmulatedGpu::Zero(void* memory, int64_t bytes) {
  return Enqueue("zero", [=]() -> absl::Status {
    absl::Status status = CheckRange(memory, bytes);
    if (status.ok()) std::memset(memory, 0, bytes);
    return status;
  });
}

absl::Status EmulatedGpu::LaunchFunction(const char* name, const void* function,
                                         int64_t blocks, int threads,
                                         const void* args, int64_t args_bytes) {
  const auto run =
      reinterpret_cast<void (*)(const void*)>(const_cast<void*>(function));
  // As aligned as any struct of arguments.
  const int64_t words = RoundUp(args_bytes, sizeof(std::max_align_t)) /
                        static_cast<int64_t>(sizeof(std::max_align_t));
  const auto copy = std::make_shared<std::vector<std::max_align_t>>(words);
  std::memcpy(copy->data(), args, args_bytes);
  return Enqueue(name, [=, name = std::string(name)]() -> absl::Status {
    RunOptions options = options_;
    options.seed += ++launches_;
    const absl::Status status =
        RunBlocks(options, blocks, threads, [&] { run(copy->data()); });
    if (status.ok()) return status;
    return absl::InternalError(absl::StrCat(name, ": ", status.message()));
  });
}

}  // namespace modelbatch::cuda::emulator
