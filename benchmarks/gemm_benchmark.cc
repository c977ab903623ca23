// Our matrix product against libxsmm's and against the core's limit, on the
// products of two networks' training steps: one problem on one thread, and a
// group of N of them on one thread and on a thread for each CPU.
//
//   bazel run //benchmarks:gemm_benchmark --
//       --benchmark_enable_random_interleaving --benchmark_repetitions=5
//
// The shapes: rows/in/out of a linear layer; forward is x w^T (w transposed
// beforehand), input_grad dy w, weight_grad dy^T x.
#include <benchmark/benchmark.h>
#include <libxsmm.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "backends/cpu/kernels.h"
#include "benchmarks/fma_loop.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cpu {
namespace {

int64_t Padded(int64_t n) { return RoundUp(n, kAlignFloats); }

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float, Free>;

Buffer MakeBuffer(int64_t count) {
  const size_t bytes = Padded(count) * sizeof(float);
  Buffer buffer(static_cast<float*>(std::aligned_alloc(64, bytes)));
  for (int64_t e = 0; e < count; ++e) {
    buffer.get()[e] = static_cast<float>(e * 7919 % 1000) / 1000 - 0.5f;
  }
  return buffer;
}

struct Layer {
  int64_t rows, in, out;
};
enum class Pass { kForward, kInputGrad, kWeightGrad };

struct Problem {
  GemmArgs args;
  Buffer a, b, c;
};

Problem MakeProblem(Pass pass, const Layer& l) {
  Problem p;
  GemmArgs& g = p.args;
  const int64_t in = Padded(l.in), out = Padded(l.out);
  switch (pass) {
    case Pass::kForward:
      p.a = MakeBuffer(l.rows * in);
      p.b = MakeBuffer(l.in * out);
      p.c = MakeBuffer(l.rows * out);
      g.m = l.rows, g.n = l.out, g.k = l.in;
      g.a_row = in, g.a_col = 1, g.b_row = out, g.c_row = out;
      g.b_padded = g.c_padded = true;
      break;
    case Pass::kInputGrad:
      p.a = MakeBuffer(l.rows * out);
      p.b = MakeBuffer(l.out * l.in);
      p.c = MakeBuffer(l.rows * in);
      g.m = l.rows, g.n = l.in, g.k = l.out;
      g.a_row = out, g.a_col = 1, g.b_row = l.in, g.c_row = in;
      g.c_padded = true;
      break;
    case Pass::kWeightGrad:
      p.a = MakeBuffer(l.rows * out);
      p.b = MakeBuffer(l.rows * in);
      p.c = MakeBuffer(l.out * l.in);
      g.m = l.out, g.n = l.in, g.k = l.rows;
      g.a_row = 1, g.a_col = out, g.b_row = in, g.c_row = l.in;
      g.b_padded = true;
      break;
  }
  g.a = p.a.get(), g.b = p.b.get(), g.c = p.c.get();
  return p;
}

void CountFlops(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(
      flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void Ours(benchmark::State& state, Pass pass, Layer layer) {
  const Problem p = MakeProblem(pass, layer);
  const Kernels& kernels = BestKernels();
  for (auto _ : state) {
    kernels.gemm(p.args);
    benchmark::ClobberMemory();
  }
  CountFlops(state, 2.0 * p.args.m * p.args.n * p.args.k);
}

// Column-major: c^T = b^T a^T.
void Libxsmm(benchmark::State& state, Pass pass, Layer layer) {
  const Problem p = MakeProblem(pass, layer);
  const GemmArgs& g = p.args;
  const bool transposed = g.a_row == 1;
  const libxsmm_blasint ldb = g.b_row, ldc = g.c_row;
  const libxsmm_blasint lda = transposed ? g.a_col : g.a_row;
  const float alpha = 1, beta = 0;
  const int flags =
      transposed ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
  const int prefetch = LIBXSMM_PREFETCH_NONE;
  const libxsmm_smmfunction theirs = libxsmm_smmdispatch(
      g.n, g.m, g.k, &ldb, &lda, &ldc, &alpha, &beta, &flags, &prefetch);
  if (theirs == nullptr) {
    state.SkipWithError("libxsmm has no kernel for this shape");
    return;
  }
  for (auto _ : state) {
    theirs(g.b, g.a, g.c);
    benchmark::ClobberMemory();
  }
  CountFlops(state, 2.0 * g.m * g.n * g.k);
}

// N networks' problems, each thread its share, one after another: what a step
// of N networks does of this layer.
void Grouped(benchmark::State& state, Pass pass, Layer layer) {
  const int64_t models = state.range(0);
  const int64_t first = models * state.thread_index() / state.threads();
  const int64_t last = models * (state.thread_index() + 1) / state.threads();
  std::vector<Problem> problems;
  double flops = 0;
  for (int64_t i = first; i < last; ++i) {
    problems.push_back(MakeProblem(pass, layer));
    const GemmArgs& g = problems.back().args;
    flops += 2.0 * g.m * g.n * g.k;
  }
  const Kernels& kernels = BestKernels();
  for (auto _ : state) {
    for (const Problem& p : problems) kernels.gemm(p.args);
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] =
      benchmark::Counter(1e-9 * flops * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
  state.counters["models_per_second"] =
      benchmark::Counter(static_cast<double>(problems.size()) *
                             static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}

// What the core can do at most.
void FmaLimit(benchmark::State& state) {
  double flops = 0;
  for (auto _ : state) flops = benchmarks::RunFmaLoop(1);
  if (flops == 0) {
    state.SkipWithError("no FMA loop for this CPU");
    return;
  }
  CountFlops(state, flops);
}
BENCHMARK(FmaLimit);

void Register(const std::string& name, Pass pass, const Layer& layer) {
  const std::string shape = name + "/" + std::to_string(layer.rows) + "/" +
                            std::to_string(layer.in) + "/" +
                            std::to_string(layer.out);
  benchmark::RegisterBenchmark(("ours/" + shape).c_str(), Ours, pass, layer);
  benchmark::RegisterBenchmark(("libxsmm/" + shape).c_str(), Libxsmm, pass,
                               layer);
  benchmark::RegisterBenchmark(("grouped/" + shape).c_str(), Grouped, pass,
                               layer)
      ->ArgName("models")
      ->Arg(32)
      ->UseRealTime()
      ->Threads(1)
      ->ThreadPerCpu();
}

const bool kRegistered = [] {
  // 64-128-10 with 64 rows, 784-256-256-10 with 128.
  const std::vector<Layer> layers = {{64, 64, 128},
                                     {64, 128, 10},
                                     {128, 784, 256},
                                     {128, 256, 256},
                                     {128, 256, 10}};
  for (const Layer& layer : layers) {
    Register("forward", Pass::kForward, layer);
    Register("input_grad", Pass::kInputGrad, layer);
    Register("weight_grad", Pass::kWeightGrad, layer);
  }
  return true;
}();

}  // namespace
}  // namespace modelbatch::cpu
