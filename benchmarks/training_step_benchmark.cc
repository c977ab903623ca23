// A whole training step of N networks through a plugin.
//
//   training_step_benchmark [--backend=cpu] [--threads=0] [--models=32]
//                           [--benchmark_filter=mlp_small] ...
//
// Counters: models_per_second counts steps of single models; GFLOP/s those of
// the products; bytes_per_model is what the session says it holds (state and
// workspace) over N; rss_per_model is by how much the process grew at its peak,
// over N.
#include "benchmarks/check.h"
#include "benchmarks/modelbatch_trainer.h"
#include "benchmarks/plugin_benchmark.h"
#include "benchmarks/process_memory.h"

namespace modelbatch::benchmarks {
namespace {

void TrainingStep(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ReturnFreedMemory();
  ResetPeak();
  const int64_t before = ResidentBytes();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  trainer.Run(1);
  while (state.KeepRunningBatch(Workload::kSteps)) {
    state.PauseTiming();
    trainer.Reset();
    state.ResumeTiming();
    trainer.Run(Workload::kSteps);
  }
  CountSteps(state, workload, workload.Flops());
  const SessionStats stats = Take(trainer.batch().session().Stats());
  const double models = workload.models();
  state.counters["bytes_per_model"] =
      static_cast<double>(stats.state_bytes + stats.workspace_bytes) / models;
  state.counters["rss_per_model"] =
      static_cast<double>(PeakResidentBytes() - before) / models;
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  using namespace modelbatch::benchmarks;
  return RunBenchmarks(argc, argv, {{"TrainingStep", TrainingStep}});
}
