// Updates of parameters (cpu/optimizer-inl.h, cpu/adam-inl.h): the numbers of
// each model in double, rounded to float once, then one flat pass over all
// models' state.
#ifndef BACKENDS_CUDA_KERNELS_OPTIMIZER_CUH_
#define BACKENDS_CUDA_KERNELS_OPTIMIZER_CUH_

#include "backends/cuda/kernels/device.cuh"
#include "backends/cuda/kernels/gradients.cuh"

namespace modelbatch::cuda {

// x^n by repeated squaring.
__device__ inline double Power(double x, int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2) {
    if (n % 2 != 0) result *= x;
    x *= x;
  }
  return result;
}

// One thread a model. Columns in the order of OptimizerInfo::hyper_parameters.
__global__ void __launch_bounds__(kStateThreads) PrepareSgd(PrepareArgs args) {
  const int model = static_cast<int>(blockIdx.x) * kStateThreads +
                    static_cast<int>(threadIdx.x);
  if (model >= args.models) return;
  const auto column = [&](int c) {
    return args.columns[static_cast<int64_t>(c) * args.models + model];
  };
  SgdNumbers n;
  n.step = static_cast<float>(-column(0));
  n.momentum = static_cast<float>(column(1));
  n.fresh = static_cast<float>(1 - column(2));
  n.decay = static_cast<float>(column(3));
  n.has_momentum = column(1) != 0;
  n.has_decay = column(3) != 0;
  n.nesterov = column(4) != 0;
  n.sign = column(5) != 0 ? -1.0f : 1.0f;
  n.first = args.steps[model] == 0;
  args.sgd[model] = n;
}

__global__ void __launch_bounds__(kStateThreads) PrepareAdam(PrepareArgs args) {
  const int model = static_cast<int>(blockIdx.x) * kStateThreads +
                    static_cast<int>(threadIdx.x);
  if (model >= args.models) return;
  const auto column = [&](int c) {
    return args.columns[static_cast<int64_t>(c) * args.models + model];
  };
  const double lr = column(0), beta1 = column(1), beta2 = column(2);
  const double decay = column(4);
  const int64_t step = args.steps[model] + 1;
  AdamNumbers n;
  n.step = static_cast<float>(-lr / (1 - Power(beta1, step)));
  n.inverse_root = static_cast<float>(1 / sqrt(1 - Power(beta2, step)));
  n.eps = static_cast<float>(column(3));
  n.fresh1 = static_cast<float>(1 - beta1);
  n.back = static_cast<float>((1 - beta1) - 1);
  n.beta2 = static_cast<float>(beta2);
  n.fresh2 = static_cast<float>(1 - beta2);
  n.decay = static_cast<float>(decay);
  n.shrink = static_cast<float>(1 - lr * decay);
  n.has_decay = decay != 0;
  n.from_end = 1 - beta1 >= 0.5;
  n.decoupled = args.decoupled;
  n.amsgrad = column(5) != 0;
  n.sign = column(6) != 0 ? -1.0f : 1.0f;
  args.adam[model] = n;
}

__global__ void __launch_bounds__(kStateThreads) UpdateSgd(UpdateArgs args) {
  ForEachOfTile(
      args.tiles, args.outcomes, [&](const StateTile& tile, int64_t e) {
        const SgdNumbers& n = args.sgd[tile.model];
        const float p = args.params[e];
        float g = args.gradients[e] * n.sign;
        if (n.has_decay) g = math::Fma(p, n.decay, g);
        if (n.has_momentum) {
          const float b =
              n.first ? g : math::Fma(g, n.fresh, args.state0[e] * n.momentum);
          args.state0[e] = b;
          g = n.nesterov ? math::Fma(b, n.momentum, g) : b;
        }
        args.params[e] = math::Fma(g, n.step, p);
      });
}

__global__ void __launch_bounds__(kStateThreads) UpdateAdam(UpdateArgs args) {
  ForEachOfTile(args.tiles, args.outcomes,
                [&](const StateTile& tile, int64_t e) {
                  const AdamNumbers& n = args.adam[tile.model];
                  float p = args.params[e];
                  float g = args.gradients[e] * n.sign;
                  if (n.has_decay) {
                    if (n.decoupled) {
                      p = p * n.shrink;
                    } else {
                      g = math::Fma(p, n.decay, g);
                    }
                  }
                  float m = args.state0[e], v = args.state1[e];
                  m = n.from_end ? math::Fma(n.back, g - m, g)
                                 : math::Fma(n.fresh1, g - m, m);
                  v = math::Fma(n.fresh2 * g, g, v * n.beta2);
                  args.state0[e] = m;
                  args.state1[e] = v;
                  if (n.amsgrad) {
                    v = math::Max(v, args.state2[e]);
                    args.state2[e] = v;
                  }
                  const float denominator =
                      math::Fma(math::Sqrt(v), n.inverse_root, n.eps);
                  args.params[e] = p + n.step * m / denominator;
                });
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_OPTIMIZER_CUH_
