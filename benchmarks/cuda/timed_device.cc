#include "benchmarks/cuda/timed_device.h"

#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"
#include "backends/cuda/device.h"
#include "benchmarks/cuda/device_work.h"

namespace modelbatch::benchmarks {

void CheckCuda(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", call, cudaGetErrorString(error));
  std::exit(1);
}

absl::StatusOr<std::unique_ptr<TimedDevice>> TimedDevice::Open() {
  const cuda::DeviceReport report = cuda::ProbeDevices();
  if (report.devices.empty()) return absl::UnavailableError(report.reason);
  const cuda::Device& found = report.devices.front();
  auto device = std::unique_ptr<TimedDevice>(new TimedDevice);
  CheckCuda(cudaSetDevice(found.ordinal), "cudaSetDevice");
  device->description_ = cuda::Describe(found);
  device->multiprocessors_ = found.multiprocessors;
  device->memory_bytes_ = found.memory_bytes;
  int l2 = 0;
  CheckCuda(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, found.ordinal),
            "cudaDeviceGetAttribute");
  device->l2_bytes_ = l2;
  CheckCuda(cudaStreamCreateWithFlags(&device->stream_, cudaStreamNonBlocking),
            "cudaStreamCreateWithFlags");
  CheckCuda(cudaEventCreate(&device->start_), "cudaEventCreate");
  CheckCuda(cudaEventCreate(&device->stop_), "cudaEventCreate");
  device->flush_ = device->Allocate(3 * device->l2_bytes_ + 16);
  CheckCuda(cudaMemset(device->flush_.get(), 0, 3 * device->l2_bytes_ + 16),
            "cudaMemset");
  return device;
}

TimedDevice::~TimedDevice() {
  cudaEventDestroy(start_);
  cudaEventDestroy(stop_);
  cudaStreamDestroy(stream_);
}

DeviceMemory TimedDevice::Allocate(int64_t bytes) const {
  void* memory = nullptr;
  CheckCuda(cudaMalloc(&memory, bytes), "cudaMalloc");
  return DeviceMemory(memory);
}

void TimedDevice::Upload(void* to, const void* from, int64_t bytes) const {
  CheckCuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_),
            "cudaMemcpyAsync");
  Synchronize();
}

void TimedDevice::Download(void* to, const void* from, int64_t bytes) const {
  CheckCuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_),
            "cudaMemcpyAsync");
  Synchronize();
}

void TimedDevice::Synchronize() const {
  CheckCuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

void TimedDevice::Start() const {
  CheckCuda(cudaEventRecord(start_, stream_), "cudaEventRecord");
}

double TimedDevice::Stop() const {
  CheckCuda(cudaEventRecord(stop_, stream_), "cudaEventRecord");
  CheckCuda(cudaEventSynchronize(stop_), "cudaEventSynchronize");
  float milliseconds = 0;
  CheckCuda(cudaEventElapsedTime(&milliseconds, start_, stop_),
            "cudaEventElapsedTime");
  return 1e-3 * static_cast<double>(milliseconds);
}

void TimedDevice::ClearL2() const {
  auto* const sink = reinterpret_cast<float*>(static_cast<char*>(flush_.get()) +
                                              3 * l2_bytes_);
  CheckCuda(ReadAll(flush_.get(), 3 * l2_bytes_ / 16 * 16, sink, stream_),
            "ReadAll");
}

}  // namespace modelbatch::benchmarks
