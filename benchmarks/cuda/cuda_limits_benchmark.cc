// What the first CUDA device can do at most, by kernels of our own: what others
// are held to.
//
//   Copy/bytes:N   reads N / 2 bytes and writes as many, over and over: sets
//                  that fit the L2 cache stay in it
//   Flops/fp32     fused multiply-adds in registers
//   Flops/tf32_mma, Flops/bf16_mma   tensor cores by mma.sync
//
// Times are those of CUDA events. Without a device it says so and ends with 3.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "benchmarks/cuda/device_work.h"
#include "benchmarks/cuda/timed_device.h"

namespace modelbatch::benchmarks {
namespace {

constexpr int kLaunches = 10;  // between two events

void CopyBandwidth(benchmark::State& state, const TimedDevice& device,
                   int64_t set_bytes) {
  const int64_t half = set_bytes / 2;
  const DeviceMemory from = device.Allocate(half), to = device.Allocate(half);
  CheckCuda(Fill(Data::kRandom, 1, Element::kFloat32, half / 4, from.get(),
                 device.stream()),
            "Fill");
  const auto copy = [&] {
    CheckCuda(Copy(from.get(), to.get(), half, device.stream()), "Copy");
  };
  copy();
  for (auto _ : state) {
    device.Start();
    for (int i = 0; i < kLaunches; ++i) copy();
    state.SetIterationTime(device.Stop());
  }
  state.counters["set_bytes"] = static_cast<double>(set_bytes);
  state.SetBytesProcessed(state.iterations() * kLaunches * 2 * half);
}

void ArithmeticRate(benchmark::State& state, const TimedDevice& device,
                    Arithmetic arithmetic) {
  const DeviceMemory sink = device.Allocate(16);
  double flops = 0;
  const auto run = [&] {
    CheckCuda(
        RunArithmetic(arithmetic, device.multiprocessors(),
                      static_cast<float*>(sink.get()), &flops, device.stream()),
        "RunArithmetic");
  };
  run();
  for (auto _ : state) {
    device.Start();
    run();
    state.SetIterationTime(device.Stop());
  }
  state.counters["flops_per_second"] =
      benchmark::Counter(flops * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const absl::StatusOr<std::unique_ptr<TimedDevice>> opened =
      TimedDevice::Open();
  if (!opened.ok()) {
    std::fprintf(stderr, "cuda_limits_benchmark: %s\n",
                 std::string(opened.status().message()).c_str());
    return 3;
  }
  const TimedDevice& device = **opened;
  benchmark::AddCustomContext("device", device.description());
  benchmark::AddCustomContext("l2_bytes", absl::StrCat(device.l2_bytes()));
  for (const int64_t megabytes : {4, 8, 16, 32, 64, 128, 512, 2048, 8192}) {
    const int64_t bytes = megabytes << 20;
    if (bytes > device.memory_bytes() / 2) continue;
    benchmark::RegisterBenchmark(absl::StrCat("Copy/bytes:", bytes).c_str(),
                                 [&device, bytes](benchmark::State& state) {
                                   CopyBandwidth(state, device, bytes);
                                 })
        ->UseManualTime();
  }
  for (const auto& [name, arithmetic] :
       {std::pair("fp32", Arithmetic::kFp32),
        std::pair("tf32_mma", Arithmetic::kTf32Mma),
        std::pair("bf16_mma", Arithmetic::kBf16Mma)}) {
    benchmark::RegisterBenchmark(
        absl::StrCat("Flops/", name).c_str(),
        [&device, one = arithmetic](benchmark::State& state) {
          ArithmeticRate(state, device, one);
        })
        ->UseManualTime();
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  return modelbatch::benchmarks::Main(argc, argv);
}
