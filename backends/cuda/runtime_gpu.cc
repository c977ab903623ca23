#include "backends/cuda/runtime_gpu.h"

#include <cuda_runtime_api.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/cuda/kernels/device_kernels.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {
namespace {

absl::Status ToStatus(cudaError_t error, absl::string_view call) {
  if (error == cudaSuccess) return absl::OkStatus();
  cudaGetLastError();  // or the next call that asks would report it again
  const std::string message = absl::StrCat(
      call, ": ", cudaGetErrorString(error), " (error ", error, ")");
  switch (error) {
    case cudaErrorMemoryAllocation:
      return absl::ResourceExhaustedError(message);
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorDevicesUnavailable:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

// A thread's current device is its own, and others may have set it.
absl::Status Enter(int ordinal) {
  return ToStatus(cudaSetDevice(ordinal), "cudaSetDevice");
}

class RuntimeEvent : public Event {
 public:
  RuntimeEvent(int ordinal, cudaStream_t stream, cudaEvent_t event)
      : ordinal_(ordinal), stream_(stream), event_(event) {}
  ~RuntimeEvent() override {
    if (Enter(ordinal_).ok()) cudaEventDestroy(event_);
  }

  absl::Status Record() override {
    MB_RETURN_IF_ERROR(Enter(ordinal_));
    return ToStatus(cudaEventRecord(event_, stream_), "cudaEventRecord");
  }
  absl::Status Wait() override {
    MB_RETURN_IF_ERROR(Enter(ordinal_));
    return ToStatus(cudaEventSynchronize(event_), "cudaEventSynchronize");
  }

 private:
  const int ordinal_;
  const cudaStream_t stream_;
  const cudaEvent_t event_;
};

class RuntimeGraph : public Graph {
 public:
  RuntimeGraph(int ordinal, cudaStream_t stream, cudaGraphExec_t graph,
               int64_t nodes)
      : ordinal_(ordinal), stream_(stream), graph_(graph), nodes_(nodes) {}
  ~RuntimeGraph() override {
    if (Enter(ordinal_).ok()) cudaGraphExecDestroy(graph_);
  }

  int64_t nodes() const override { return nodes_; }
  absl::Status Launch() override {
    MB_RETURN_IF_ERROR(Enter(ordinal_));
    return ToStatus(cudaGraphLaunch(graph_, stream_), "cudaGraphLaunch");
  }

 private:
  const int ordinal_;
  const cudaStream_t stream_;
  const cudaGraphExec_t graph_;
  const int64_t nodes_;
};

class RuntimeGpu : public Gpu {
 public:
  explicit RuntimeGpu(int ordinal) : ordinal_(ordinal) {}
  ~RuntimeGpu() override {
    if (stream_ == nullptr || !Enter().ok()) return;
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }

  absl::Status Open() {
    MB_RETURN_IF_ERROR(Enter());
    MB_RETURN_IF_ERROR(ToStatus(
        cudaDeviceGetAttribute(&multiprocessors_,
                               cudaDevAttrMultiProcessorCount, ordinal_),
        "cudaDeviceGetAttribute"));
    return ToStatus(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                    "cudaStreamCreateWithFlags");
  }

  const Kernels& kernels() const override { return DeviceKernels(); }
  int multiprocessors() const override { return multiprocessors_; }

  absl::StatusOr<void*> Allocate(int64_t bytes) override {
    MB_RETURN_IF_ERROR(Enter());
    void* memory = nullptr;
    // Of no bytes, cudaMalloc makes a null pointer.
    const absl::Status status =
        ToStatus(cudaMalloc(&memory, bytes == 0 ? 1 : bytes), "cudaMalloc");
    if (!absl::IsResourceExhausted(status)) {
      MB_RETURN_IF_ERROR(status);
      return memory;
    }
    const absl::StatusOr<int64_t> free = FreeBytes();
    return absl::ResourceExhaustedError(absl::StrCat(
        status.message(), "; asked for ", bytes, " bytes of device memory, ",
        free.ok() ? absl::StrCat(*free) : "an unknown number", " are free"));
  }
  void Free(void* memory) override {
    if (Enter().ok()) cudaFree(memory);
  }
  absl::StatusOr<void*> AllocateHost(int64_t bytes) override {
    MB_RETURN_IF_ERROR(Enter());
    void* memory = nullptr;
    MB_RETURN_IF_ERROR(ToStatus(cudaMallocHost(&memory, bytes == 0 ? 1 : bytes),
                                "cudaMallocHost"));
    return memory;
  }
  void FreeHost(void* memory) override {
    if (Enter().ok()) cudaFreeHost(memory);
  }
  absl::StatusOr<int64_t> FreeBytes() override {
    MB_RETURN_IF_ERROR(Enter());
    size_t free = 0, total = 0;
    MB_RETURN_IF_ERROR(
        ToStatus(cudaMemGetInfo(&free, &total), "cudaMemGetInfo"));
    return static_cast<int64_t>(free);
  }

  absl::Status Upload(void* to, const void* from, int64_t bytes) override {
    MB_RETURN_IF_ERROR(Enter());
    return ToStatus(
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_),
        "cudaMemcpyAsync to the device");
  }
  absl::Status Download(void* to, const void* from, int64_t bytes) override {
    MB_RETURN_IF_ERROR(Enter());
    return ToStatus(
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_),
        "cudaMemcpyAsync to the host");
  }
  absl::Status Zero(void* memory, int64_t bytes) override {
    MB_RETURN_IF_ERROR(Enter());
    return ToStatus(cudaMemsetAsync(memory, 0, bytes, stream_),
                    "cudaMemsetAsync");
  }
  absl::Status Synchronize() override {
    MB_RETURN_IF_ERROR(Enter());
    return ToStatus(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  }
  absl::StatusOr<std::unique_ptr<Event>> CreateEvent() override {
    MB_RETURN_IF_ERROR(Enter());
    cudaEvent_t event = nullptr;
    MB_RETURN_IF_ERROR(
        ToStatus(cudaEventCreateWithFlags(&event, cudaEventDisableTiming),
                 "cudaEventCreateWithFlags"));
    return std::unique_ptr<Event>(
        std::make_unique<RuntimeEvent>(ordinal_, stream_, event));
  }

  absl::Status BeginCapture() override {
    MB_RETURN_IF_ERROR(Enter());
    // Of this thread: what others allocate meanwhile is their business.
    return ToStatus(
        cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  }
  absl::StatusOr<std::unique_ptr<Graph>> EndCapture() override {
    MB_RETURN_IF_ERROR(Enter());
    cudaGraph_t recorded = nullptr;
    MB_RETURN_IF_ERROR(ToStatus(cudaStreamEndCapture(stream_, &recorded),
                                "cudaStreamEndCapture"));
    size_t nodes = 0;
    cudaGraphExec_t graph = nullptr;
    absl::Status status = ToStatus(cudaGraphGetNodes(recorded, nullptr, &nodes),
                                   "cudaGraphGetNodes");
    if (status.ok()) {
      status = ToStatus(cudaGraphInstantiate(&graph, recorded, /*flags=*/0),
                        "cudaGraphInstantiate");
    }
    cudaGraphDestroy(recorded);
    MB_RETURN_IF_ERROR(status);
    return std::unique_ptr<Graph>(std::make_unique<RuntimeGraph>(
        ordinal_, stream_, graph, static_cast<int64_t>(nodes)));
  }

 protected:
  absl::Status LaunchFunction(const char* name, const void* function,
                              int64_t blocks, int threads, const void* args,
                              int64_t /*args_bytes*/) override {
    MB_RETURN_IF_ERROR(Enter());
    void* parameters[] = {const_cast<void*>(args)};
    return ToStatus(
        cudaLaunchKernel(function, dim3(static_cast<unsigned>(blocks)),
                         dim3(static_cast<unsigned>(threads)), parameters,
                         /*sharedMem=*/0, stream_),
        absl::StrCat("launch of ", name));
  }

 private:
  absl::Status Enter() const { return cuda::Enter(ordinal_); }

  const int ordinal_;
  int multiprocessors_ = 0;
  cudaStream_t stream_ = nullptr;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Gpu>> OpenGpu(int ordinal) {
  auto gpu = std::make_unique<RuntimeGpu>(ordinal);
  MB_RETURN_IF_ERROR(gpu->Open());
  return std::unique_ptr<Gpu>(std::move(gpu));
}

}  // namespace modelbatch::cuda
