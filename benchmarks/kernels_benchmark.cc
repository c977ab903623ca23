// The kernels that are not matrix products, per element. One thread, data in
// the cache unless the name says otherwise.
//
//   bazel run //benchmarks:kernels_benchmark
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "backends/cpu/kernels.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cpu {
namespace {

void CountElements(benchmark::State& state, int64_t count) {
  state.counters["ns/element"] =
      benchmark::Counter(static_cast<double>(count) * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate |
                             benchmark::Counter::kInvert);
}

// Rows of padded activations, of values between -1 and 1.
struct Block {
  Block(int64_t rows, int64_t cols)
      : ld(RoundUp(cols, kAlignFloats)), values(rows * ld) {
    for (size_t e = 0; e < values.size(); ++e) {
      values[e] = static_cast<float>(e * 7919 % 2000) / 1000 - 1;
    }
  }
  Matrix matrix() { return {values.data(), ld}; }
  int64_t ld;
  std::vector<float> values;
};

constexpr int64_t kRows = 64, kCols = 128;

void Adam(benchmark::State& state) {
  const int64_t count = state.range(0);
  std::vector<float> param(count, 1), grad(count, 0.5f), m(count), v(count);
  AdamArgs args;
  args.count = count, args.param = param.data(), args.grad = grad.data();
  args.exp_avg = m.data(), args.exp_avg_sq = v.data();
  args.lr = 1e-3, args.beta1 = 0.9, args.beta2 = 0.999, args.eps = 1e-8;
  for (auto _ : state) {
    BestKernels().adam(args);
    benchmark::ClobberMemory();
    ++args.step;
  }
  CountElements(state, count);
}
BENCHMARK(Adam)->Arg(1000)->Arg(10000)->Arg(1 << 20);

void Sgd(benchmark::State& state) {
  const int64_t count = state.range(0);
  std::vector<float> param(count, 1), grad(count, 0.5f), buffer(count);
  SgdArgs args;
  args.count = count, args.param = param.data(), args.grad = grad.data();
  args.buffer = buffer.data(), args.lr = 1e-3, args.momentum = 0.9;
  args.step = 2;
  for (auto _ : state) {
    BestKernels().sgd(args);
    benchmark::ClobberMemory();
  }
  CountElements(state, count);
}
BENCHMARK(Sgd)->Arg(10000);

void Forward(benchmark::State& state, Unary f) {
  Block x(kRows, kCols), y(kRows, kCols);
  for (auto _ : state) {
    BestKernels().unary_forward(f, kRows, kCols, x.matrix(), y.matrix());
    benchmark::ClobberMemory();
  }
  CountElements(state, kRows * kCols);
}
BENCHMARK_CAPTURE(Forward, relu, Unary::kRelu);
BENCHMARK_CAPTURE(Forward, gelu, Unary::kGelu);
BENCHMARK_CAPTURE(Forward, gelu_tanh, Unary::kGeluTanh);
BENCHMARK_CAPTURE(Forward, tanh, Unary::kTanh);
BENCHMARK_CAPTURE(Forward, sigmoid, Unary::kSigmoid);

void Backward(benchmark::State& state, Unary f) {
  Block x(kRows, kCols), y(kRows, kCols), dy(kRows, kCols), dx(kRows, kCols);
  for (auto _ : state) {
    BestKernels().unary_backward(f, kRows, kCols, x.matrix(), y.matrix(),
                                 dy.matrix(), dx.matrix(), false);
    benchmark::ClobberMemory();
  }
  CountElements(state, kRows * kCols);
}
BENCHMARK_CAPTURE(Backward, relu, Unary::kRelu);
BENCHMARK_CAPTURE(Backward, gelu, Unary::kGelu);
BENCHMARK_CAPTURE(Backward, gelu_tanh, Unary::kGeluTanh);
BENCHMARK_CAPTURE(Backward, tanh, Unary::kTanh);

void Dropout(benchmark::State& state) {
  const int64_t cols = state.range(0);
  Block x(kRows, cols), y(kRows, cols);
  for (auto _ : state) {
    BestKernels().dropout(kRows, cols, x.matrix(), y.matrix(), {1, 2, 3, 0.5},
                          false);
    benchmark::ClobberMemory();
  }
  CountElements(state, kRows * cols);
}
BENCHMARK(Dropout)->Arg(10)->Arg(128)->Arg(256);

void CrossEntropy(benchmark::State& state) {
  const int64_t cols = state.range(0);
  Block x(kRows, cols), dx(kRows, cols);
  const std::vector<int64_t> targets(kRows, cols / 2);
  for (auto _ : state) {
    benchmark::DoNotOptimize(BestKernels().cross_entropy(
        kRows, cols, x.matrix(), targets.data(), dx.matrix(), nullptr));
  }
  CountElements(state, kRows * cols);
}
BENCHMARK(CrossEntropy)->Arg(10)->Arg(128);

void LayerNormForward(benchmark::State& state) {
  Block x(kRows, kCols), y(kRows, kCols);
  std::vector<float> weight(kCols, 1), bias(kCols), mean(kRows), rstd(kRows);
  for (auto _ : state) {
    BestKernels().layer_norm_forward(kRows, kCols, 1e-5, x.matrix(),
                                     weight.data(), bias.data(), y.matrix(),
                                     mean.data(), rstd.data());
    benchmark::ClobberMemory();
  }
  CountElements(state, kRows * kCols);
}
BENCHMARK(LayerNormForward);

void LayerNormBackward(benchmark::State& state) {
  Block x(kRows, kCols), dy(kRows, kCols), dx(kRows, kCols);
  std::vector<float> weight(kCols, 1), mean(kRows), rstd(kRows, 1);
  std::vector<float> dweight(kCols), dbias(kCols);
  for (auto _ : state) {
    BestKernels().layer_norm_backward(
        kRows, kCols, x.matrix(), weight.data(), mean.data(), rstd.data(),
        dy.matrix(), dx.matrix(), false, dweight.data(), dbias.data());
    benchmark::ClobberMemory();
  }
  CountElements(state, kRows * kCols);
}
BENCHMARK(LayerNormBackward);

void ColumnSum(benchmark::State& state) {
  const int64_t rows = state.range(0), cols = state.range(1);
  Block x(rows, cols);
  std::vector<float> out(cols);
  for (auto _ : state) {
    BestKernels().column_sum(rows, cols, x.matrix(), out.data());
    benchmark::ClobberMemory();
  }
  CountElements(state, rows * cols);
}
BENCHMARK(ColumnSum)->Args({64, 128})->Args({128, 256})->Args({64, 10});

void Transpose(benchmark::State& state) {
  const int64_t n = state.range(0), k = state.range(1);
  std::vector<float> w(n * k, 1);
  Block out(k, n);
  for (auto _ : state) {
    BestKernels().transpose(n, k, w.data(), out.matrix());
    benchmark::ClobberMemory();
  }
  CountElements(state, n * k);
}
BENCHMARK(Transpose)->Args({128, 64})->Args({10, 128})->Args({256, 784});

void AllFinite(benchmark::State& state) {
  const std::vector<float> x(10000, 1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        BestKernels().all_below(1, 10000, HUGE_VALF, {x.data(), 0}));
  }
  CountElements(state, 10000);
}
BENCHMARK(AllFinite);

}  // namespace
}  // namespace modelbatch::cpu
