// Sums over rows: gradients of biases, and those of layer norm's weights. Row i
// goes to lane i % 16 (docs/arithmetic.md).
#ifndef BACKENDS_CUDA_KERNELS_COLUMNS_CUH_
#define BACKENDS_CUDA_KERNELS_COLUMNS_CUH_

#include "backends/cuda/kernels/device.cuh"

namespace modelbatch::cuda {

static_assert(kSumThreads == kSumCols * kLanes, "");

// out[0] = the sum over rows of terms(i). All threads of a block call it; those
// without a column (`active` false) help to synchronise.
template <typename SharedArray, typename F>
__device__ inline float SumRows(SharedArray& sums, int rows, bool active,
                                F terms) {
  const int col = static_cast<int>(threadIdx.x) % kSumCols;
  const int lane = static_cast<int>(threadIdx.x) / kSumCols;
  float sum = 0.0f;
  if (active) {
    for (int i = lane; i < rows; i += kLanes) sum = sum + terms(i);
  }
  // No two rounds write the same element, so one barrier each is enough, also
  // where a second sum follows.
  for (int half = kLanes / 2; half > 0; half /= 2) {
    if (lane >= half && lane < 2 * half) sums[lane * kSumCols + col] = sum;
    __syncthreads();
    if (lane < half) sum = sum + sums[(lane + half) * kSumCols + col];
  }
  return sum;  // of lane 0
}

__global__ void __launch_bounds__(kSumThreads) SumColumns(ColumnSumArgs args) {
  __shared__ Shared<float, kSumThreads> sums;
  const int model = static_cast<int>(blockIdx.x) / args.parts;
  const int part = static_cast<int>(blockIdx.x) % args.parts;
  const int rows = args.rows[model];
  const int cols = args.x.places[model].cols;
  if (rows == 0 || part * kSumCols >= cols) return;
  const int j = part * kSumCols + static_cast<int>(threadIdx.x) % kSumCols;
  const RowsOf x = Open(args.x, model);
  const float sum =
      SumRows(sums, rows, j < cols, [&](int i) { return x.Row(i)[j]; });
  if (threadIdx.x < kSumCols && j < cols) {
    args.gradients[args.out[model] + j] = sum;
    if (!IsFinite(sum)) args.bad[model] = 1;
  }
}

// dweight = sum of dy * (x - mean) * rstd, dbias = sum of dy.
__global__ void __launch_bounds__(kSumThreads)
    SumLayerNormColumns(LayerNormBackwardArgs args) {
  __shared__ Shared<float, kSumThreads> sums;
  const int model = static_cast<int>(blockIdx.x) / args.grid.parts;
  const int part = static_cast<int>(blockIdx.x) % args.grid.parts;
  const int rows = args.grid.rows[model];
  const int cols = args.dy.places[model].cols;
  if (rows == 0 || part * kSumCols >= cols) return;
  const int j = part * kSumCols + static_cast<int>(threadIdx.x) % kSumCols;
  const RowsOf x = Open(args.x, model), dy = Open(args.dy, model);
  const float* const mean = args.workspace + args.stats[model];
  const float* const rstd = mean + args.max_rows;
  const float weight = SumRows(sums, rows, j < cols, [&](int i) {
    return dy.Row(i)[j] * ((x.Row(i)[j] - mean[i]) * rstd[i]);
  });
  const float bias =
      SumRows(sums, rows, j < cols, [&](int i) { return dy.Row(i)[j]; });
  if (threadIdx.x < kSumCols && j < cols) {
    args.gradients[args.weight[model] + j] = weight;
    args.gradients[args.bias[model] + j] = bias;
    if (!IsFinite(weight) || !IsFinite(bias)) args.bad[model] = 1;
  }
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_COLUMNS_CUH_
