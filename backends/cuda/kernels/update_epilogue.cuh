// SGD, Adam and AdamW in the epilogue of the weight gradient: the thread's
// elements of p, m and v are read, updated and written while their gradient is
// in registers. The formulas are those of optimizer.cuh.
#ifndef BACKENDS_CUDA_KERNELS_UPDATE_EPILOGUE_CUH_
#define BACKENDS_CUDA_KERNELS_UPDATE_EPILOGUE_CUH_

#include "backends/cuda/kernels/device.cuh"
#include "backends/cuda/kernels/epilogue.cuh"
#include "backends/cuda/kernels/optimizer.cuh"

namespace modelbatch::cuda {

// Whether the epilogue updates this model, or there is nothing to be done for
// it. The same for all threads of a launch: a launch sets `bad` only of models
// that are large.
enum class WeightUpdate { kStoreGradient, kInPlace, kNothing };
__device__ inline WeightUpdate WeightUpdateOf(const UpdatingProductArgs& args,
                                              int model) {
  if (args.large[model] != 0) return WeightUpdate::kStoreGradient;
  return Steps(args.update.outcomes, args.update.bad, model)
             ? WeightUpdate::kInPlace
             : WeightUpdate::kNothing;
}

// One of p's rows of kCols neighbours, and of the states that are in use.
template <int kCols>
struct UpdateRow {
  float p[kCols];
  float states[3][kCols];
};

// `for_each_row(f)` calls f(i, j, count, g) for the thread's rows: the first
// `count` of g are the gradient from element (i, j) of the weights on.
// `update` is a math::SgdUpdate or the like of `row`.
template <int kCols, typename Update, typename ForEachRow>
__device__ inline void UpdateRows(const UpdateArgs& args,
                                  const ProductProblem& problem,
                                  const math::WeightDecay& decay,
                                  const Update& update, bool uses0, bool uses1,
                                  bool uses2, UpdateRow<kCols>& row,
                                  ForEachRow for_each_row) {
  for_each_row([&](int64_t i, int64_t j, int count, float(&g)[kCols]) {
    const int64_t at = problem.c + i * problem.ldc + j;
    LoadRow(args.params + at, row.p, count);
    if (uses0) LoadRow(args.states[0] + at, row.states[0], count);
    if (uses1) LoadRow(args.states[1] + at, row.states[1], count);
    if (uses2) LoadRow(args.states[2] + at, row.states[2], count);
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
      float p = row.p[c], d = g[c];
      decay(p, d);
      row.p[c] = update(c, 1, p, d);
    }
    StoreRow(args.params + at, row.p, count);
    if (uses0) StoreRow(args.states[0] + at, row.states[0], count);
    if (uses1) StoreRow(args.states[1] + at, row.states[1], count);
    if (uses2) StoreRow(args.states[2] + at, row.states[2], count);
  });
}

template <int kCols, typename ForEachRow>
__device__ inline void UpdateWeights(const UpdatingProductArgs& args,
                                     const ProductProblem& problem,
                                     ForEachRow for_each_row) {
  const UpdateArgs& update = args.update;
  const Columns values = {update.columns + problem.model, update.models};
  UpdateRow<kCols> row;
  float* const states[3] = {row.states[0], row.states[1], row.states[2]};
  if (args.optimizer == Optimizer::kSgd) {
    cpu::SgdArgs sgd;
    sgd.step = update.steps[problem.model] + 1;
    sgd = cpu::SgdOf(sgd, values, states);
    UpdateRows(update, problem, math::WeightDecay(sgd, /*decoupled=*/false),
               math::SgdUpdate(sgd), sgd.momentum != 0, false, false, row,
               for_each_row);
    return;
  }
  cpu::AdamArgs adam;
  adam.step = update.steps[problem.model] + 1;
  adam = cpu::AdamOf(adam, args.optimizer == Optimizer::kAdamW, values, states);
  UpdateRows(update, problem, math::WeightDecay(adam, adam.decoupled),
             math::AdamUpdate(adam), true, true, adam.amsgrad, row,
             for_each_row);
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_UPDATE_EPILOGUE_CUH_
