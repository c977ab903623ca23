// How long N networks take until the first step: the plan of a plugin, and
// with it the initial weights.
//
//   compile_benchmark [--backend=cpu] [--threads=0] [--models=32] ...
#include "benchmarks/check.h"
#include "benchmarks/modelbatch_trainer.h"
#include "benchmarks/plugin_benchmark.h"

namespace modelbatch::benchmarks {
namespace {

void CountModels(benchmark::State& state, const Workload& workload) {
  state.counters["models_per_second"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * workload.models(),
      benchmark::Counter::kIsRate);
}

// The backend alone.
void Compile(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  const auto backend = MakeBackend(c.backend, c.threads);
  CompileRequest request;
  request.models = Instances(workload);
  request.loss = {"cross_entropy", {}};
  request.max_rows = workload.max_rows;
  for (auto _ : state) {
    benchmark::DoNotOptimize(Take(backend->Compile(request)));
  }
  CountModels(state, workload);
}

// Checks, Compile, initial weights.
void Create(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  const auto backend = MakeBackend(c.backend, c.threads);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        Take(ModelBatch::Create(backend.get(), Instances(workload),
                                {"cross_entropy", {}}, workload.max_rows)));
  }
  CountModels(state, workload);
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  using namespace modelbatch::benchmarks;
  return RunBenchmarks(argc, argv, {{"Compile", Compile}, {"Create", Create}});
}
