// Forward only, of N networks through a plugin: outputs of the rows of a
// training step, copied to the caller.
//
//   forward_benchmark [--backend=cpu] [--threads=0] [--models=32] ...
//
// Evaluate gives each model's loss in place of its outputs.
#include <utility>
#include <vector>

#include "benchmarks/modelbatch_trainer.h"
#include "benchmarks/plugin_benchmark.h"

namespace modelbatch::benchmarks {
namespace {

void Predict(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const RowSet rows = workload.batches[0].view();
  std::vector<Tensor> outputs;
  for (auto _ : state) {
    if (Skipped(state,
                trainer.batch().Predict(trainer.dataset(), rows, &outputs))) {
      return;
    }
  }
  CountSteps(state, workload, workload.ForwardFlops());
}

// With dropout, as the first half of a training step that is made of its parts.
void ForwardInTraining(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const RowSet rows = workload.batches[0].view();
  std::vector<Tensor> outputs;
  for (auto _ : state) {
    if (Skipped(state,
                trainer.batch().Forward(trainer.dataset(), rows, &outputs))) {
      return;
    }
  }
  CountSteps(state, workload, workload.ForwardFlops());
}

void Evaluate(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const RowSet rows = workload.batches[0].view();
  EvaluateResult result;
  for (auto _ : state) {
    if (Skipped(state,
                trainer.batch().Evaluate(trainer.dataset(), rows, &result))) {
      return;
    }
  }
  CountSteps(state, workload, workload.ForwardFlops());
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  using namespace modelbatch::benchmarks;
  return RunBenchmarks(argc, argv,
                       {{"Predict", Predict},
                        {"ForwardInTraining", ForwardInTraining},
                        {"Evaluate", Evaluate}});
}
