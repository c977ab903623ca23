// The three products of linear layers, grouped: one block a tile. Every element
// is one FMA chain over k, ascending, from +0 (docs/arithmetic.md), so that no
// choice here changes a bit.
//
// A block copies kDepth columns of a and rows of b to shared memory while it
// multiplies those before; a thread keeps kRows x kCols elements in registers.
#ifndef BACKENDS_CUDA_KERNELS_PRODUCT_CUH_
#define BACKENDS_CUDA_KERNELS_PRODUCT_CUH_

#include <type_traits>

#include "backends/cuda/kernels/device.cuh"
#include "backends/cuda/kernels/epilogue.cuh"
#include "backends/cuda/kernels/update_epilogue.cuh"

namespace modelbatch::cuda {

// 16 columns of fp32 are 64 bytes, two sectors of DRAM; two stages of two 64 x
// 16 tiles are 17 KiB of shared memory, so that registers, not it, bound the
// blocks of a multiprocessor.
inline constexpr int kDepth = 16;
// One group of four banks aside, so that columns of a tile do not all lie in
// the same banks; still a multiple of 16 bytes.
inline constexpr int kPad = 4;

// kDepth slices of kSize elements of one operand, on their way from global
// memory through registers to shared memory. Where kDepthFirst, neighbouring
// threads take neighbouring slices, else neighbouring elements of a slice: as
// they lie in memory. A thread's elements are `kStep` elements, or slices,
// apart.
template <int kSize, int kThreads, bool kDepthFirst>
struct Slices {
  static constexpr int kPitch = kSize + kPad;
  static constexpr int kStep = kThreads / (kDepthFirst ? kDepth : kSize);
  static constexpr int kLoads = kSize * kDepth / kThreads;
  static_assert(kStep > 0 && kThreads % (kDepthFirst ? kDepth : kSize) == 0,
                "");
  static_assert(kSize * kDepth % kThreads == 0, "");

  float values[kLoads];

  __device__ static int Element(int s) {
    const int t = static_cast<int>(threadIdx.x);
    return kDepthFirst ? t / kDepth + s * kStep : t % kSize;
  }
  __device__ static int Depth(int s) {
    const int t = static_cast<int>(threadIdx.x);
    return kDepthFirst ? t % kDepth : t / kSize + s * kStep;
  }

  // Element (i, p) for i < size, p < depth, 0 beyond. `at` is the thread's
  // first, `step` floats lie between one and the next.
  __device__ void Load(const float* at, int64_t step, int size, int depth) {
#pragma unroll
    for (int s = 0; s < kLoads; ++s) {
      values[s] = Element(s) < size && Depth(s) < depth ? *at : 0.0f;
      at += step;
    }
  }
  // The same, of rows that `row(i, p)` finds.
  template <typename F>
  __device__ void LoadRows(int size, int depth, F row) {
#pragma unroll
    for (int s = 0; s < kLoads; ++s) {
      const int i = Element(s), p = Depth(s);
      values[s] = i < size && p < depth ? *row(i, p) : 0.0f;
    }
  }

  template <typename Tile>
  __device__ void Store(Tile& tile, int start) const {
#pragma unroll
    for (int s = 0; s < kLoads; ++s) {
      tile[start + Depth(s) * kPitch + Element(s)] = values[s];
    }
  }
};

// `count` neighbouring elements from shared memory.
template <int kCount, typename Tile>
__device__ inline void LoadFragment(const Tile& tile, int start,
                                    float (&to)[kCount]) {
  static_assert(kCount % 4 == 0, "");
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    const float4 four = tile.Load4(start + i);
    to[i] = four.x;
    to[i + 1] = four.y;
    to[i + 2] = four.z;
    to[i + 3] = four.w;
  }
}

// The 16 lanes from `start` on, `pitch` apart in shared memory, joined by
// halving. (As constant loops: an array that is no register would be memory.)
template <typename Tile>
__device__ inline float JoinLanesOf(Tile& tile, int start, int pitch) {
  float sum[kLanes / 2];
#pragma unroll
  for (int l = 0; l < 8; ++l) {
    sum[l] = tile[start + l * pitch] + tile[start + (l + 8) * pitch];
  }
#pragma unroll
  for (int l = 0; l < 4; ++l) sum[l] = sum[l] + sum[l + 4];
#pragma unroll
  for (int l = 0; l < 2; ++l) sum[l] = sum[l] + sum[l + 2];
  return sum[0] + sum[1];
}

// kTileRows x kTileCols elements of c a block, kRows x 4 a thread. Sixteen
// warps a multiprocessor, which 128 registers a thread allow, hide the latency
// of memory.
//
// kWide: kForward where all models see the same rows. Columns are those of all
// models side by side, in groups of four, which are a thread's columns: a tile
// is of several models, inactive ones among them.
//
// Args: ProductArgs, or UpdatingProductArgs of kWeightGradient.
template <Product kProduct, int kTileRows, int kTileCols, int kRows,
          bool kWide = false, typename Args = ProductArgs>
__global__ void __launch_bounds__(kTileRows / kRows * kTileCols / 4,
                                  512 / (kTileRows / kRows * kTileCols / 4))
    MultiplyTiles(Args args) {
  constexpr int kCols = kGroupCols;
  constexpr int kThreads = kTileRows / kRows * kTileCols / kCols;
  constexpr bool kForward = kProduct == Product::kForward;
  constexpr bool kWeights = kProduct == Product::kWeightGradient;
  constexpr bool kUpdates = std::is_same_v<Args, UpdatingProductArgs>;
  static_assert(kWeights || !kUpdates, "");
  // As the operands lie in memory: x and dy by rows, w by outputs.
  using SliceA = Slices<kTileRows, kThreads, !kWeights>;
  using SliceB = Slices<kTileCols, kThreads, kForward>;
  constexpr int kStageA = kDepth * SliceA::kPitch;
  constexpr int kStageB = kDepth * SliceB::kPitch;
  __shared__ Shared<float, 2 * kStageA> a_tile;
  __shared__ Shared<float, 2 * kStageB> b_tile;
  __shared__ Shared<int32_t, kTileRows> row_ids;
  // kWide: where each column's weights begin, and rows of each group's model.
  __shared__ Shared<int64_t, kWide ? kTileCols : 1> columns;
  __shared__ Shared<int32_t, kWide ? kTileCols / kCols : 1> group_rows;

  const Tile tile = args.tiles[blockIdx.x];
  const ProductProblem& problem = args.problems[tile.problem];
  int rows = 0;
  if constexpr (kWide) {
    for (int i = static_cast<int>(threadIdx.x); i < kTileCols; i += kThreads) {
      const ColumnGroup group = args.groups[(tile.col + i) / kCols];
      int64_t at = problem.b;  // for columns that are not kept: any
      int32_t own_rows = 0;
      if (group.problem >= 0) {
        const ProductProblem& own = args.problems[group.problem];
        const int j = group.col + i % kCols;
        if (j < own.n) at = own.b + int64_t{j} * own.ldb;
        own_rows = args.rows[own.model];
      }
      columns[i] = at;
      if (i % kCols == 0) group_rows[i / kCols] = own_rows;
    }
    __syncthreads();
    for (int g = 0; g < kTileCols / kCols; ++g) {
      const int own_rows = group_rows[g];
      if (own_rows > rows) rows = own_rows;
    }
  } else {
    rows = args.rows[problem.model];
  }
  const int m = kWeights ? problem.m : rows;
  const int k = kWeights ? rows : problem.k;
  if (rows == 0 || tile.row >= m) return;
  WeightUpdate update = WeightUpdate::kStoreGradient;
  if constexpr (kUpdates) {
    update = WeightUpdateOf(args, problem.model);
    if (update == WeightUpdate::kNothing) return;
  }
  const int size_a = m - tile.row, size_b = problem.n - tile.col;
  const int32_t* const index =
      args.index == nullptr ? nullptr : args.index + args.begin[problem.model];

  // Rows of x may be any rows of the dataset.
  if constexpr (kForward) {
    for (int i = static_cast<int>(threadIdx.x); i < kTileRows; i += kThreads) {
      const int row = tile.row + i;
      row_ids[i] = row >= rows ? 0 : index == nullptr ? row : index[row];
    }
    __syncthreads();
  }
  // The thread's first elements, and the way from one to the next.
  const int64_t lda = problem.lda, ldb = problem.ldb;
  const float* a = args.a + problem.a;
  const float* b = args.b + problem.b;
  if (kWeights) {
    a += SliceA::Depth(0) * lda + tile.row + SliceA::Element(0);
  } else if (!kForward) {
    a += (tile.row + SliceA::Element(0)) * lda + SliceA::Depth(0);
  }
  if (kForward) {
    b += (tile.col + SliceB::Element(0)) * ldb + SliceB::Depth(0);
  } else if (index == nullptr) {
    b += SliceB::Depth(0) * ldb + tile.col + SliceB::Element(0);
  }
  SliceA slice_a;
  SliceB slice_b;
  const auto load = [&](int p0) {
    const int depth = k - p0;
    if (kForward) {
      slice_a.LoadRows(size_a, depth, [&](int i, int p) {
        return a + row_ids[i] * lda + p0 + p;
      });
    } else {
      slice_a.Load(a, SliceA::kStep * lda, size_a, depth);
      a += kWeights ? kDepth * lda : kDepth;
    }
    if constexpr (kWide) {
      slice_b.LoadRows(kTileCols, depth, [&](int j, int p) {
        return args.b + columns[j] + p0 + p;
      });
    } else if (kWeights && index != nullptr) {
      slice_b.LoadRows(size_b, depth, [&](int j, int p) {
        return b + index[p0 + p] * ldb + tile.col + j;
      });
    } else {
      slice_b.Load(b, SliceB::kStep * ldb, size_b, depth);
      b += kForward ? kDepth : kDepth * ldb;
    }
  };
  // Of a weight gradient's first tiles: the biases' gradient, the sum of dy
  // over rows. Slices of kDepth rows of dy are the 16 lanes of
  // docs/arithmetic.md; a thread adds up those that it brings to shared memory
  // anyway.
  static_assert(kDepth == kLanes, "");
  const bool sums_bias = kWeights && problem.bias >= 0 && tile.col == 0;
  float lanes[SliceA::kLoads];
#pragma unroll
  for (int s = 0; s < SliceA::kLoads; ++s) lanes[s] = 0.0f;

  const auto store = [&](int stage) {
    if (sums_bias) {
#pragma unroll
      for (int s = 0; s < SliceA::kLoads; ++s) {
        lanes[s] = lanes[s] + slice_a.values[s];
      }
    }
    slice_a.Store(a_tile, stage * kStageA);
    slice_b.Store(b_tile, stage * kStageB);
  };

  constexpr int kThreadCols = kTileCols / kCols;
  const int row = static_cast<int>(threadIdx.x) / kThreadCols * kRows;
  const int col = static_cast<int>(threadIdx.x) % kThreadCols * kCols;
  float acc[kRows][kCols];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kCols; ++c) acc[r][c] = 0.0f;
  }
  const auto multiply = [&](int at_a, int at_b) {
    float x[kRows], y[kCols];
    LoadFragment(a_tile, at_a + row, x);
    LoadFragment(b_tile, at_b + col, y);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        acc[r][c] = math::Fma(x[r], y[c], acc[r][c]);
      }
    }
  };

  load(0);
  store(0);
  __syncthreads();
  for (int p0 = 0, stage = 0; p0 < k; p0 += kDepth, stage ^= 1) {
    const bool more = p0 + kDepth < k;
    if (more) load(p0 + kDepth);
    const int a0 = stage * kStageA, b0 = stage * kStageB;
    // Not one step beyond k: even a product of zeros turns a -0 into a +0.
    if (k - p0 >= kDepth) {
#pragma unroll
      for (int p = 0; p < kDepth; ++p) {
        multiply(a0 + p * SliceA::kPitch, b0 + p * SliceB::kPitch);
      }
    } else {
#pragma unroll 1
      for (int p = 0; p < k - p0; ++p) {
        multiply(a0 + p * SliceA::kPitch, b0 + p * SliceB::kPitch);
      }
    }
    if (more) store(stage ^ 1);
    __syncthreads();
  }

  if constexpr (kWeights) {
    if (sums_bias) {
      const int t = static_cast<int>(threadIdx.x);
#pragma unroll
      for (int s = 0; s < SliceA::kLoads; ++s) {
        a_tile[SliceA::Depth(s) * SliceA::kPitch + SliceA::Element(s)] =
            lanes[s];
      }
      __syncthreads();
      if (t < kTileRows && t < size_a) {
        const float sum = JoinLanesOf(a_tile, t, SliceA::kPitch);
        args.c[problem.bias + tile.row + t] = sum;
        if (!IsFinite(sum) && args.bad != nullptr) {
          args.bad[problem.model] = 1;
        }
      }
    }
  }

  // The thread's columns, those from j on of a product.
  const ProductProblem* own = &problem;
  int count = size_b - col;
  int64_t j = tile.col + col;
  if constexpr (kWide) {
    const ColumnGroup group = args.groups[(tile.col + col) / kCols];
    if (group.problem < 0) return;
    own = &args.problems[group.problem];
    if (args.rows[own->model] == 0) return;
    count = own->n - group.col;
    j = group.col;
  }
  if (count <= 0) return;
  const auto for_each_row = [&](auto f) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (row + r >= size_a) break;
      f(tile.row + row + r, j, count, acc[r]);
    }
  };
  if constexpr (kUpdates) {
    if (update == WeightUpdate::kInPlace) {
      UpdateWeights<kCols>(args, problem, for_each_row);
      return;
    }
  }
  for_each_row([&](int64_t i, int64_t first, int n, float(&sums)[kCols]) {
    FinishRow<kProduct>(args, *own, i, first, n, sums);
  });
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_PRODUCT_CUH_
