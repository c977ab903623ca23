// A whole training step of N networks (workload.h) through a plugin.
//
//   training_step_benchmark [--backend=cpu] [--threads=2] [--workload=mlp]
//                           [--benchmark_filter=...] ...
//
// Counters: models_per_second counts training steps of single models;
// bytes_per_model is what the session says it holds (state and workspace) over
// N; rss_per_model is by how much the process grew at its peak, over N.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "benchmarks/modelbatch_trainer.h"
#include "benchmarks/process_memory.h"
#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {
namespace {

std::string backend = "cpu", workload_name = "mlp";
int threads = 0;

void TrainingStep(benchmark::State& state) {
  const int models = static_cast<int>(state.range(0));
  const Workload workload = MakeWorkload(workload_name, models);
  ResetPeak();
  const int64_t before = ResidentBytes();
  ModelBatchTrainer trainer(workload, backend, threads);
  trainer.Run(1);
  while (state.KeepRunningBatch(Workload::kSteps)) {
    state.PauseTiming();
    trainer.Reset();
    state.ResumeTiming();
    trainer.Run(Workload::kSteps);
  }
  const double steps = static_cast<double>(state.iterations()) * models;
  using benchmark::Counter;
  state.counters["models_per_second"] = Counter(steps, Counter::kIsRate);
  state.counters["rows_per_second"] =
      Counter(steps * Workload::kRows, Counter::kIsRate);
  state.counters["GFLOP/s"] =
      Counter(steps / models * workload.Flops() * 1e-9, Counter::kIsRate);
  const SessionStats stats = trainer.Stats();
  state.counters["bytes_per_model"] =
      static_cast<double>(stats.state_bytes + stats.workspace_bytes) / models;
  state.counters["rss_per_model"] =
      static_cast<double>(PeakResidentBytes() - before) / models;
}

BENCHMARK(TrainingStep)
    ->ArgName("models")
    ->Arg(1)
    ->Arg(8)
    ->Arg(32)
    ->Arg(128)
    ->Arg(512)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Takes --name=value out of the arguments, for those that Google Benchmark does
// not know.
bool TakeFlag(const char* name, int* argc, char** argv, std::string* value) {
  const std::string prefix = std::string("--") + name + "=";
  for (int i = 1; i < *argc; ++i) {
    if (std::strncmp(argv[i], prefix.c_str(), prefix.size()) != 0) continue;
    *value = argv[i] + prefix.size();
    for (int j = i; j + 1 < *argc; ++j) argv[j] = argv[j + 1];
    --*argc;
    return true;
  }
  return false;
}

int Main(int argc, char** argv) {
  std::string value;
  TakeFlag("backend", &argc, argv, &backend);
  TakeFlag("workload", &argc, argv, &workload_name);
  if (TakeFlag("threads", &argc, argv, &value))
    threads = std::atoi(value.c_str());
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  return modelbatch::benchmarks::Main(argc, argv);
}
