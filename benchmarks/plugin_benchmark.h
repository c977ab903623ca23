// What the Google Benchmark programs that run on a plugin have in common.
//
//   void TrainingStep(benchmark::State& state, const Case& c) {...}
//
//   int main(int argc, char** argv) {
//     return RunBenchmarks(argc, argv, {{"TrainingStep", TrainingStep}});
//   }
//
// registers TrainingStep/<workload>/models:<N> for every entry of the table of
// workloads. Flags besides Google Benchmark's:
//
//   --backend=cpu   a backend's name, or the path of a plugin
//   --threads=0     of the backend; 0: its own choice
//   --models=1,32   in place of the workloads' own numbers of models
//   --precision=fp32   of products
//   --large=0       1: the workloads for a GPU as well
#ifndef BENCHMARKS_PLUGIN_BENCHMARK_H_
#define BENCHMARKS_PLUGIN_BENCHMARK_H_

#include <benchmark/benchmark.h>

#include <functional>
#include <string>
#include <vector>

#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

// What one benchmark is run on.
struct Case {
  std::string backend;
  int threads = 0;
  std::string precision = "fp32";
  const WorkloadEntry* entry = nullptr;
  int models = 0;

  // The workload, made once for the benchmarks that follow each other.
  const Workload& workload() const;
};

struct PluginBenchmark {
  std::string name;
  std::function<void(benchmark::State&, const Case&)> run;
};

// Returns what main should.
int RunBenchmarks(int argc, char** argv,
                  const std::vector<PluginBenchmark>& benchmarks);

// Counters of an iteration that is one step of all models, of so many FLOP:
// models_per_second (steps of single models), rows_per_second, GFLOP/s.
void CountSteps(benchmark::State& state, const Workload& workload,
                double flops);

// Ends the benchmark with the message of a backend that lacks a call.
template <typename Status>
bool Skipped(benchmark::State& state, const Status& status) {
  if (status.ok()) return false;
  state.SkipWithError(std::string(status.message()).c_str());
  return true;
}

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_PLUGIN_BENCHMARK_H_
