// Grouped products alone on the first CUDA device: our kernels and cuBLAS's, on
// the grid of gemm_case.h.
//
//   cuda_gemm_benchmark [--benchmark_filter=forward/fp32/width:64] ...
//
// <who>/<product>/<precision>/width:W/rows:R/models:N/<uniform|ragged>/L2:<hot|cold>
//
//   ours      the kernels of backends/cuda, in the precisions that they have
//   strided   cublasGemmStridedBatchedEx; uniform groups only
//   grouped   cublasGemmGroupedBatchedEx
//
// Hot: the same matrices over and over. Cold: they are pushed out of the L2
// cache before every product. Data is random. Times are those of CUDA events.
// Before anything is timed each must compute the right product (gemm_gate.h);
// one that does not ends the program with 1, after all others. Repetitions are
// five, in random order, unless flags say otherwise. Without a device it says
// so and ends with 3; `--list_cases` alone needs none.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "backends/cuda/kernels/device_kernels.h"
#include "benchmarks/cuda/cublas.h"
#include "benchmarks/cuda/device_work.h"
#include "benchmarks/cuda/gemm_case.h"
#include "benchmarks/cuda/gemm_gate.h"
#include "benchmarks/cuda/our_gemm.h"
#include "benchmarks/cuda/timed_device.h"

namespace modelbatch::benchmarks {
namespace {

// Between two events, where nothing is done in between.
constexpr int kHotLaunches = 10;
// Of the device's memory, for the matrices.
constexpr double kMemoryShare = 0.4;

struct Machine {
  std::unique_ptr<TimedDevice> device;
  std::unique_ptr<Cublas> cublas;
  std::string no_cublas;  // why there is none
  bool disagreed = false;
};

// The matrices of a case.
struct Matrices {
  DeviceMemory a, b, c;
};

Matrices Allocate(const TimedDevice& device, const GemmCase& gemm,
                  const GemmGroup& group) {
  const int64_t bytes = gemm.precision->bytes();
  return {device.Allocate(group.a_size * bytes),
          device.Allocate(group.b_size * bytes),
          device.Allocate(group.c_size * bytes)};
}

void FillBoth(const TimedDevice& device, Data data, const GemmCase& gemm,
              const GemmGroup& group, const Matrices& matrices) {
  const Element element = gemm.precision->element;
  CheckCuda(Fill(data, kSeedOfA, element, group.a_size, matrices.a.get(),
                 device.stream()),
            "Fill");
  CheckCuda(Fill(data, kSeedOfB, element, group.b_size, matrices.b.get(),
                 device.stream()),
            "Fill");
}

float ReadElement(const TimedDevice& device, Element element, const void* from,
                  int64_t index) {
  const int64_t bytes = element == Element::kFloat32 ? 4 : 2;
  uint32_t bits = 0;
  // bf16 is the upper half of a float.
  device.Download(reinterpret_cast<char*>(&bits) + (4 - bytes),
                  static_cast<const char*>(from) + index * bytes, bytes);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

using Multiply = std::function<absl::Status()>;

// The gate: of exact data, into a c of NaN.
absl::Status CheckMultiply(const TimedDevice& device, const GemmCase& gemm,
                           const GemmGroup& group, const Matrices& matrices,
                           const Multiply& multiply) {
  FillBoth(device, Data::kExact, gemm, group, matrices);
  CheckCuda(
      cudaMemsetAsync(matrices.c.get(), 0xff,
                      group.c_size * gemm.precision->bytes(), device.stream()),
      "cudaMemsetAsync");
  absl::Status status = multiply();
  if (!status.ok()) return status;
  const Element element = gemm.precision->element;
  unsigned long long not_finite = 0;
  const DeviceMemory count = device.Allocate(sizeof(not_finite));
  device.Upload(count.get(), &not_finite, sizeof(not_finite));
  CheckCuda(CountNonFinite(element, group.c_size, matrices.c.get(),
                           static_cast<unsigned long long*>(count.get()),
                           device.stream()),
            "CountNonFinite");
  device.Download(&not_finite, count.get(), sizeof(not_finite));
  if (not_finite != 0) {
    return absl::DataLossError(absl::StrCat(gemm.Name(), ": ", not_finite,
                                            " elements were not written"));
  }
  return CheckProduct(gemm, group, [&](int64_t index) {
    return ReadElement(device, element, matrices.c.get(), index);
  });
}

void Time(benchmark::State& state, Machine* machine, const GemmCase& gemm,
          const GemmGroup& group, bool cold, const Matrices& matrices,
          const Multiply& multiply) {
  const TimedDevice& device = *machine->device;
  absl::Status status = CheckMultiply(device, gemm, group, matrices, multiply);
  if (!status.ok()) {
    machine->disagreed |= absl::IsDataLoss(status);
    state.SkipWithError(std::string(status.message()).c_str());
    return;
  }
  FillBoth(device, Data::kRandom, gemm, group, matrices);
  const int launches = cold ? 1 : kHotLaunches;
  for (auto _ : state) {
    if (cold) device.ClearL2();
    device.Start();
    for (int i = 0; i < launches; ++i) status.Update(multiply());
    state.SetIterationTime(device.Stop() / launches);
  }
  if (!status.ok()) {
    state.SkipWithError(std::string(status.message()).c_str());
    return;
  }
  const auto iterations = static_cast<double>(state.iterations());
  const auto rate = benchmark::Counter::kIsRate;
  state.counters["flops_per_second"] =
      benchmark::Counter(iterations * group.Flops(), rate);
  state.counters["counted_bytes_per_second"] =
      benchmark::Counter(iterations * group.Bytes(*gemm.precision), rate);
}

void Ours(benchmark::State& state, Machine* machine, const GemmCase& gemm,
          bool cold) {
  const TimedDevice& device = *machine->device;
  const GemmGroup group = MakeGroup(gemm);
  const Matrices matrices = Allocate(device, gemm, group);
  const OurGemm ours = MakeOurGemm(gemm, group);
  std::vector<DeviceMemory> tables;
  const auto upload = [&](const auto& values) {
    const auto bytes =
        static_cast<int64_t>(values.size() * sizeof(values.front()));
    tables.push_back(device.Allocate(bytes));
    device.Upload(tables.back().get(), values.data(), bytes);
    return static_cast<decltype(values.data())>(tables.back().get());
  };
  cuda::ProductArgs args;
  args.problems = upload(ours.problems);
  args.rows = upload(ours.rows);
  args.a = static_cast<const float*>(matrices.a.get());
  args.b = static_cast<const float*>(matrices.b.get());
  args.c = static_cast<float*>(matrices.c.get());
  struct Launch {
    const cuda::Kernel<cuda::ProductArgs>* kernel;
    unsigned blocks;
    const cuda::Tile* tiles;
  };
  std::vector<Launch> launches;
  for (const cuda::TileList& list : ours.tiles) {
    launches.push_back(
        {&cuda::DeviceKernels().products[static_cast<int>(
             *gemm.precision->ours)][static_cast<int>(gemm.product)]
                                        [static_cast<int>(list.shape)],
         static_cast<unsigned>(list.tiles.size()), upload(list.tiles)});
  }
  Time(state, machine, gemm, group, cold, matrices, [&]() -> absl::Status {
    for (const Launch& launch : launches) {
      args.tiles = launch.tiles;
      void* parameters[] = {&args};
      const cudaError_t error =
          cudaLaunchKernel(launch.kernel->function, dim3(launch.blocks),
                           dim3(static_cast<unsigned>(launch.kernel->threads)),
                           parameters, 0, device.stream());
      if (error != cudaSuccess) {
        return absl::InternalError(absl::StrCat("launch of ",
                                                launch.kernel->name, ": ",
                                                cudaGetErrorString(error)));
      }
    }
    return absl::OkStatus();
  });
}

void Strided(benchmark::State& state, Machine* machine, const GemmCase& gemm,
             bool cold) {
  if (machine->cublas == nullptr) {
    state.SkipWithError(machine->no_cublas.c_str());
    return;
  }
  const GemmGroup group = MakeGroup(gemm);
  const Matrices matrices = Allocate(*machine->device, gemm, group);
  Time(state, machine, gemm, group, cold, matrices, [&] {
    return machine->cublas->Strided(gemm, group, matrices.a.get(),
                                    matrices.b.get(), matrices.c.get());
  });
}

void Grouped(benchmark::State& state, Machine* machine, const GemmCase& gemm,
             bool cold) {
  if (machine->cublas == nullptr) {
    state.SkipWithError(machine->no_cublas.c_str());
    return;
  }
  const GemmGroup group = MakeGroup(gemm);
  const Matrices matrices = Allocate(*machine->device, gemm, group);
  const absl::StatusOr<Cublas::Grouped> grouped = Cublas::Grouped::Create(
      machine->cublas.get(), gemm, group, matrices.a.get(), matrices.b.get(),
      matrices.c.get());
  if (!grouped.ok()) {
    state.SkipWithError(std::string(grouped.status().message()).c_str());
    return;
  }
  Time(state, machine, gemm, group, cold, matrices,
       [&] { return grouped->Run(); });
}

using Contender = void (*)(benchmark::State&, Machine*, const GemmCase&, bool);

void Register(const char* who, Contender contender, Machine* machine,
              const GemmCase& gemm) {
  for (const bool cold : {false, true}) {
    benchmark::RegisterBenchmark(
        absl::StrCat(who, "/", gemm.Name(), cold ? "/L2:cold" : "/L2:hot")
            .c_str(),
        [=](benchmark::State& state) { contender(state, machine, gemm, cold); })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  }
}

// Flags that this program has by default; later ones win.
std::vector<char*> WithDefaults(int argc, char** argv) {
  static char repetitions[] = "--benchmark_repetitions=5";
  static char random[] = "--benchmark_enable_random_interleaving=true";
  static char least[] = "--benchmark_min_time=0.02";
  std::vector<char*> arguments = {argv[0], repetitions, random, least};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  return arguments;
}

int Main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--list_cases") == 0) {
    for (const GemmCase& gemm : GemmCases(1e15)) {
      std::printf("%s\n", gemm.Name().c_str());
    }
    return 0;
  }
  std::vector<char*> arguments = WithDefaults(argc, argv);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  absl::StatusOr<std::unique_ptr<TimedDevice>> opened = TimedDevice::Open();
  if (!opened.ok()) {
    std::fprintf(stderr, "cuda_gemm_benchmark: %s\n",
                 std::string(opened.status().message()).c_str());
    return 3;
  }
  Machine machine;
  machine.device = *std::move(opened);
  absl::StatusOr<std::unique_ptr<Cublas>> cublas =
      Cublas::Open(machine.device->stream());
  if (cublas.ok()) {
    machine.cublas = *std::move(cublas);
    benchmark::AddCustomContext("cublas", machine.cublas->version());
  } else {
    machine.no_cublas =
        absl::StrCat("no cuBLAS: ", std::string(cublas.status().message()));
  }
  benchmark::AddCustomContext("device", machine.device->description());
  benchmark::AddCustomContext("l2_bytes",
                              absl::StrCat(machine.device->l2_bytes()));
  for (const GemmCase& gemm :
       GemmCases(kMemoryShare *
                 static_cast<double>(machine.device->memory_bytes()))) {
    if (gemm.precision->ours) Register("ours", Ours, &machine, gemm);
    if (!gemm.ragged) Register("strided", Strided, &machine, gemm);
    Register("grouped", Grouped, &machine, gemm);
  }
  benchmark::RunSpecifiedBenchmarks();
  if (!machine.disagreed) return 0;
  std::fprintf(stderr, "a product was wrong: see error_message\n");
  return 1;
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  return modelbatch::benchmarks::Main(argc, argv);
}
