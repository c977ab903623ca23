// Updates of parameters: the cpu backend's own source, in one flat pass over
// all models' state. What depends on the model alone is computed in double by
// each thread, for its 16 elements.
#ifndef BACKENDS_CUDA_KERNELS_OPTIMIZER_CUH_
#define BACKENDS_CUDA_KERNELS_OPTIMIZER_CUH_

#include "backends/cuda/kernels/device.cuh"

namespace modelbatch::cpu::lane {

// The elements of a tile that are the thread's.
template <typename F>
MODELBATCH_INLINE void ForEachPart(int64_t count, F f) {
  for (int64_t e = static_cast<int>(threadIdx.x); e < count;
       e += ::modelbatch::cuda::kStateThreads) {
    f(e, int64_t{1});
  }
}

}  // namespace modelbatch::cpu::lane

#include "backends/cpu/adam-inl.h"
#include "backends/cpu/optimizer-inl.h"
#include "backends/cpu/optimizer_columns-inl.h"

namespace modelbatch::cuda {

// One model's entries.
struct Columns {
  const double* first;
  int64_t models;

  __device__ double operator[](int column) const {
    return first[column * models];
  }
  __device__ bool flag(int column) const { return (*this)[column] != 0; }
};

template <Optimizer kOptimizer>
__global__ void __launch_bounds__(kStateThreads) UpdateModels(UpdateArgs args) {
  const StateTile tile = args.tiles[blockIdx.x];
  const int model = tile.model;
  if (!Steps(args.outcomes, args.bad, model)) return;
  if (args.only != nullptr && args.only[model] == 0) return;
  const Columns values = {args.columns + model, args.models};
  float* states[3];
  for (int s = 0; s < 3; ++s) {
    states[s] =
        args.states[s] == nullptr ? nullptr : args.states[s] + tile.offset;
  }
  const auto begin = [&](auto begun) {
    begun.count = tile.count;
    begun.param = args.params + tile.offset;
    begun.grad = args.gradients + tile.offset;
    begun.step = args.steps[model] + 1;
    return begun;
  };
  if constexpr (kOptimizer == Optimizer::kSgd) {
    math::Sgd(cpu::SgdOf(begin(cpu::SgdArgs()), values, states));
  } else if constexpr (kOptimizer == Optimizer::kAdam ||
                       kOptimizer == Optimizer::kAdamW) {
    math::Adam(cpu::AdamOf(begin(cpu::AdamArgs()),
                           kOptimizer == Optimizer::kAdamW, values, states));
  } else if constexpr (kOptimizer == Optimizer::kNAdam) {
    float product = args.mu_product[model];
    math::NAdam(
        cpu::NAdamOf(begin(cpu::NAdamArgs()), values, states, &product));
    // All tiles of a model write the same.
    if (threadIdx.x == 0) args.new_mu_product[model] = product;
  } else if constexpr (kOptimizer == Optimizer::kRAdam) {
    math::RAdam(cpu::RAdamOf(begin(cpu::RAdamArgs()), values, states));
  } else if constexpr (kOptimizer == Optimizer::kRmsProp) {
    math::RmsProp(cpu::RmsPropOf(begin(cpu::RmsPropArgs()), values, states));
  } else if constexpr (kOptimizer == Optimizer::kAdagrad) {
    math::Adagrad(cpu::AdagradOf(begin(cpu::AdagradArgs()), values, states));
  } else if constexpr (kOptimizer == Optimizer::kAdadelta) {
    math::Adadelta(cpu::AdadeltaOf(begin(cpu::AdadeltaArgs()), values, states));
  } else {
    math::Lion(cpu::LionOf(begin(cpu::LionArgs()), values, states));
  }
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_OPTIMIZER_CUH_
