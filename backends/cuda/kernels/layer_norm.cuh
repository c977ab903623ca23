// Layer normalisation over each row (cpu/norm-inl.h): half a warp a row, whose
// threads are the 16 lanes.
#ifndef BACKENDS_CUDA_KERNELS_LAYER_NORM_CUH_
#define BACKENDS_CUDA_KERNELS_LAYER_NORM_CUH_

#include "backends/cuda/kernels/device.cuh"

namespace modelbatch::cuda {

static_assert(kNormRows == kNormThreads / kLanes, "");

__global__ void __launch_bounds__(kNormThreads)
    NormalizeRows(LayerNormArgs args) {
  const int model = static_cast<int>(blockIdx.x) / args.grid.parts;
  const int first = static_cast<int>(blockIdx.x) % args.grid.parts * kNormRows;
  const int rows = args.grid.rows[model];
  if (first >= rows) return;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int row = first + static_cast<int>(threadIdx.x) / kLanes;
  // Threads without a row help to join.
  const bool active = row < rows;
  const int cols = active ? args.y.places[model].cols : 0;
  const float* const x = Open(args.x, model).Row(active ? row : first);
  const float count = static_cast<float>(args.y.places[model].cols);
  const float mean =
      SumLanes(cols, lane, [&](int64_t j) { return x[j]; }) / count;
  const float variance = SumLanes(cols, lane,
                                  [&](int64_t j) {
                                    const float d = x[j] - mean;
                                    return d * d;
                                  }) /
                         count;
  const float rstd = 1.0f / math::Sqrt(variance + args.eps[model]);
  if (!active) return;
  const float* const weight = args.params + args.weight[model];
  const float* const bias = args.params + args.bias[model];
  float* const y = RowOf(args.y, model, row);
  for (int j = lane; j < cols; j += kLanes) {
    y[j] = (x[j] - mean) * rstd * weight[j] + bias[j];
  }
  if (lane == 0) {
    float* const stats = args.workspace + args.stats[model];
    stats[row] = mean;
    stats[args.max_rows + row] = rstd;
  }
}

// With h = (x - mean) rstd and g = dy weight:
//   dx = rstd (g - mean of g - h mean of g h)
__global__ void __launch_bounds__(kNormThreads)
    DeriveNormalizedRows(LayerNormBackwardArgs args) {
  const int model = static_cast<int>(blockIdx.x) / args.grid.parts;
  const int first = static_cast<int>(blockIdx.x) % args.grid.parts * kNormRows;
  const int rows = args.grid.rows[model];
  if (first >= rows) return;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int row = first + static_cast<int>(threadIdx.x) / kLanes;
  const bool active = row < rows;
  const int at = active ? row : first;
  const int cols = active ? args.dx.places[model].cols : 0;
  const float count = static_cast<float>(args.dx.places[model].cols);
  const float* const x = Open(args.x, model).Row(at);
  const float* const dy = Open(args.dy, model).Row(at);
  const float* const weight = args.params + args.weight[model];
  const float* const stats = args.workspace + args.stats[model];
  const float mean = stats[at], rstd = stats[args.max_rows + at];
  const auto normal = [&](int64_t j) { return (x[j] - mean) * rstd; };
  const float g_mean =
      SumLanes(cols, lane, [&](int64_t j) { return dy[j] * weight[j]; }) /
      count;
  const float gh_mean =
      SumLanes(cols, lane,
               [&](int64_t j) { return dy[j] * weight[j] * normal(j); }) /
      count;
  if (!active) return;
  float* const dx = RowOf(args.dx, model, row);
  for (int j = lane; j < cols; j += kLanes) {
    const float g = dy[j] * weight[j];
    const float d = rstd * (g - g_mean - normal(j) * gh_mean);
    dx[j] = args.accumulate ? dx[j] + d : d;
  }
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_LAYER_NORM_CUH_
