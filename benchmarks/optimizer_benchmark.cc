// One update of N networks through a plugin, alone: gradients are there
// already. Every optimizer that ModelBatch knows.
//
//   optimizer_benchmark [--backend=cpu] [--threads=0] [--models=32] ...
//
// bytes_per_parameter is the least traffic of an update: parameters and state
// are read and written, gradients read.
#include <algorithm>
#include <string>
#include <vector>

#include "benchmarks/check.h"
#include "benchmarks/modelbatch_trainer.h"
#include "benchmarks/plugin_benchmark.h"
#include "modelbatch/optim/optimizer_info.h"

namespace modelbatch::benchmarks {
namespace {

void Update(benchmark::State& state, const Case& c,
            const std::string& optimizer) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const std::vector<std::string> known =
      trainer.backend().capabilities().optimizers;
  if (std::find(known.begin(), known.end(), optimizer) == known.end()) {
    state.SkipWithError("the backend lacks this optimizer");
    return;
  }
  trainer.SetOptimizer(optimizer);
  ModelBatch& batch = trainer.batch();
  if (Skipped(state, batch.Accumulate(trainer.dataset(),
                                      workload.batches[0].view()))) {
    return;
  }
  for (auto _ : state) {
    if (Skipped(state, batch.Step(trainer.optimizer()))) return;
  }
  using benchmark::Counter;
  const double updates = static_cast<double>(state.iterations());
  const double parameters =
      static_cast<double>(workload.Parameters(0, workload.models()));
  state.counters["models_per_second"] =
      Counter(updates * workload.models(), Counter::kIsRate);
  state.counters["parameters_per_second"] =
      Counter(updates * parameters, Counter::kIsRate);
  const double tensors =
      static_cast<double>(Take(FindOptimizer(optimizer))->state.size());
  state.counters["bytes_per_parameter"] = 4 * (2 * (1 + tensors) + 1);
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  using namespace modelbatch::benchmarks;
  std::vector<PluginBenchmark> benchmarks;
  for (const std::string& kind : modelbatch::OptimizerKinds()) {
    benchmarks.push_back(
        {"Update/" + kind, [kind](benchmark::State& state, const Case& c) {
           Update(state, c, kind);
         }});
  }
  return RunBenchmarks(argc, argv, benchmarks);
}
