// The routers: which rows each model sees. Host code, no backend.
//
//   router_benchmark [--benchmark_filter=...] ...
//
// rows_per_second counts rows of single models.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/check.h"
#include "modelbatch/routing/data_router.h"
#include "modelbatch/routing/per_model_batches.h"
#include "modelbatch/routing/random_masks.h"
#include "modelbatch/routing/stratified_router.h"

namespace modelbatch::benchmarks {
namespace {

constexpr int64_t kRows = 64;         // of a step
constexpr int64_t kAllRows = 10'000;  // of a data set
constexpr int64_t kClasses = 10;

std::vector<int32_t> RowNumbers(int64_t count) {
  std::vector<int32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

void CountRows(benchmark::State& state, double rows_per_iteration) {
  state.counters["rows_per_second"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * rows_per_iteration,
      benchmark::Counter::kIsRate);
}

void RouteMasks(benchmark::State& state) {
  const int models = static_cast<int>(state.range(0));
  const DataRouter router = Take(DataRouter::Create("mask", models));
  const std::vector<int32_t> batch = RowNumbers(kRows);
  const std::vector<Tensor> masks = Take(CreateRandomMasks(kRows, models));
  for (auto _ : state) {
    benchmark::DoNotOptimize(Take(router.RouteBatch(batch, masks)));
  }
  CountRows(state, static_cast<double>(models * kRows));
}

void RouteIndices(benchmark::State& state) {
  const int models = static_cast<int>(state.range(0));
  const DataRouter router = Take(DataRouter::Create("indices", models));
  const std::vector<int32_t> batch = RowNumbers(kRows);
  std::vector<Tensor> indices;
  for (int i = 0; i < models; ++i) {
    indices.push_back(Tensor::FromVector(RowNumbers(kRows / 2), {kRows / 2}));
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(Take(router.RouteBatch(batch, {}, indices)));
  }
  CountRows(state, static_cast<double>(models * kRows / 2));
}

void RandomMasks(benchmark::State& state) {
  const int models = static_cast<int>(state.range(0));
  uint64_t seed = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        Take(CreateRandomMasks(kRows, models, 0.8, ++seed)));
  }
  CountRows(state, static_cast<double>(models * kRows));
}

void Stratified(benchmark::State& state, const std::string& strategy) {
  const int models = static_cast<int>(state.range(0));
  const StratifiedRouter router =
      Take(StratifiedRouter::Create(models, strategy));
  std::vector<int64_t> labels(kAllRows);
  for (int64_t row = 0; row < kAllRows; ++row) {
    labels[row] = row * 7919 % kClasses;
  }
  const Tensor tensor = Tensor::FromVector(labels, {kAllRows});
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        Take(router.CreateStratifiedIndices(tensor, kClasses)));
  }
  CountRows(state, static_cast<double>(kAllRows));
}

// An epoch's order and the rows of all its steps.
void Epoch(benchmark::State& state) {
  const int models = static_cast<int>(state.range(0));
  const auto rows =
      std::make_shared<const std::vector<int32_t>>(RowNumbers(kAllRows));
  std::vector<ModelRows> own;
  for (int i = 0; i < models; ++i) {
    own.push_back({rows, kRows, static_cast<uint64_t>(i)});
  }
  PerModelBatches batches = Take(PerModelBatches::Create(std::move(own)));
  int64_t epoch = 0;
  for (auto _ : state) {
    batches.StartEpoch(++epoch);
    for (int64_t step = 0; step < batches.steps_per_epoch(); ++step) {
      benchmark::DoNotOptimize(batches.Batch(step));
    }
  }
  CountRows(state, static_cast<double>(models * kAllRows));
}

BENCHMARK(RouteMasks)->ArgName("models")->Arg(1)->Arg(32)->Arg(1024);
BENCHMARK(RouteIndices)->ArgName("models")->Arg(1)->Arg(32)->Arg(1024);
BENCHMARK(RandomMasks)->ArgName("models")->Arg(1)->Arg(32)->Arg(1024);
BENCHMARK_CAPTURE(Stratified, round_robin, "round_robin")
    ->ArgName("models")
    ->Arg(32);
BENCHMARK_CAPTURE(Stratified, random, "random")->ArgName("models")->Arg(32);
BENCHMARK_CAPTURE(Stratified, class_based, "class_based")
    ->ArgName("models")
    ->Arg(32);
BENCHMARK(Epoch)->ArgName("models")->Arg(1)->Arg(32)->Unit(
    benchmark::kMillisecond);

}  // namespace
}  // namespace modelbatch::benchmarks
