#include "benchmark/benchmark.h"

namespace {

void BM_Increment(benchmark::State& state) {
  int value = 0;
  for (auto _ : state) benchmark::DoNotOptimize(++value);
}
BENCHMARK(BM_Increment);

}  // namespace
