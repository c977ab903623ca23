// What happens to gradients between the backward pass and the update: models
// whose gradient is not finite are found and left out, gradients are summed
// over batches, scaled and clipped.
#ifndef BACKENDS_CUDA_KERNELS_GRADIENTS_CUH_
#define BACKENDS_CUDA_KERNELS_GRADIENTS_CUH_

#include "backends/cuda/kernels/device.cuh"

namespace modelbatch::cuda {

// Calls f(e) for each element of the block's tile, if its model steps.
template <typename Args, typename F>
__device__ inline void ForEachOfTile(const Args& args, F f) {
  const StateTile tile = args.tiles[blockIdx.x];
  if (!Steps(args.outcomes, args.bad, tile.model)) return;
  for (int e = static_cast<int>(threadIdx.x); e < tile.count;
       e += kStateThreads) {
    f(tile, tile.offset + e);
  }
}

// Of gradients that no kernel has looked at: those that were kept, or changed.
__global__ void __launch_bounds__(kStateThreads) FindNonFinite(StateArgs args) {
  ForEachOfTile(args, [&](const StateTile& tile, int64_t e) {
    // All who find one write the same.
    if (!IsFinite(args.from[e])) args.bad[tile.model] = 1;
  });
}

__global__ void __launch_bounds__(kStateThreads) AddGradients(StateArgs args) {
  ForEachOfTile(args, [&](const StateTile&, int64_t e) {
    args.to[e] = args.to[e] + args.from[e];
  });
}

__global__ void __launch_bounds__(kStateThreads) CopyGradients(StateArgs args) {
  ForEachOfTile(
      args, [&](const StateTile&, int64_t e) { args.to[e] = args.from[e]; });
}

// Times scale, then clamped to [-value, value].
__global__ void __launch_bounds__(kStateThreads) ClipElements(ClipArgs args) {
  ForEachOfTile(args, [&](const StateTile& tile, int64_t e) {
    float g = args.gradients[e];
    if (args.scale != nullptr && args.scale[tile.model] != 1) {
      g = g * static_cast<float>(args.scale[tile.model]);
    }
    if (args.value != nullptr && args.value[tile.model] < __builtin_inf()) {
      const double most = args.value[tile.model];
      g = math::Max(static_cast<float>(-most),
                    math::Min(static_cast<float>(most), g));
    }
    args.gradients[e] = g;
  });
}

// The model's norm in double over the 16 lanes, element e in lane e % 16, which
// makes 16 chains of a model: the block's other threads only fetch, the next
// part while one is added.
inline constexpr int kNormTile = 2048;

__global__ void __launch_bounds__(kStateThreads) FindNormFactor(NormArgs args) {
  __shared__ Shared<float, kNormTile> part;
  const int model = static_cast<int>(blockIdx.x);
  if (!Steps(args.outcomes, args.bad, model)) return;
  const double most = args.norm[model];
  const int t = static_cast<int>(threadIdx.x);
  if (!(most < __builtin_inf())) {
    if (t == 0) args.factors[model] = 1.0f;
    return;
  }
  const int64_t size = args.sizes[model];
  const float* const g = args.gradients + args.offsets[model];
  float next[kNormTile / kStateThreads];
  const auto load = [&](int64_t first) {
#pragma unroll
    for (int i = 0; i < kNormTile / kStateThreads; ++i) {
      const int64_t e = first + t + i * kStateThreads;
      next[i] = e < size ? g[e] : 0.0f;
    }
  };
  double sum = 0;
  load(0);
  for (int64_t first = 0; first < size; first += kNormTile) {
    const int count =
        static_cast<int>(size - first < kNormTile ? size - first : kNormTile);
#pragma unroll
    for (int i = 0; i < kNormTile / kStateThreads; ++i) {
      part[t + i * kStateThreads] = next[i];
    }
    __syncthreads();
    load(first + kNormTile);
    if (t < kLanes) {
      for (int e = t; e < count; e += kLanes) {
        const double value = part[e];
        sum += value * value;
      }
    }
    __syncthreads();
  }
  if (t >= 32) return;
  sum = JoinLanes(sum);
  if (t != 0) return;
  const double factor = most / (sqrt(sum) + 1e-6);
  args.factors[model] = factor >= 1 ? 1.0f : static_cast<float>(factor);
}

// A factor of 1 changes no bit.
__global__ void __launch_bounds__(kStateThreads)
    ScaleGradients(ScaleArgs args) {
  ForEachOfTile(args, [&](const StateTile& tile, int64_t e) {
    args.gradients[e] = args.gradients[e] * args.factors[tile.model];
  });
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_GRADIENTS_CUH_
