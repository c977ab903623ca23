// The three products of linear layers on tensor cores, in tf32 and bf16,
// grouped: one block a tile, the tiles and problems of product.cuh. Operands
// are fp32 in memory and rounded once, on their way to shared memory.
//
// Every element is one chain in fp32: d = +0, then d = mma(a, b, d) for 8 words
// of k after the other, ascending. So no tile changes a bit of it.
#ifndef BACKENDS_CUDA_KERNELS_TENSOR_PRODUCT_CUH_
#define BACKENDS_CUDA_KERNELS_TENSOR_PRODUCT_CUH_

#include <type_traits>

#include "backends/cuda/kernels/device.cuh"
#include "backends/cuda/kernels/epilogue.cuh"
#include "backends/cuda/kernels/mma.cuh"
#include "backends/cuda/kernels/update_epilogue.cuh"

namespace modelbatch::cuda {

// Words of k in shared memory at once: two instructions deep. Two stages of two
// 64 x 16 panels are 20 KiB, so that registers, not they, bound the blocks of a
// multiprocessor.
inline constexpr int kSliceWords = 2 * kMmaWords;

// A slice of one operand, kSize rows of the tile (of b: columns) by
// kSliceWords, on its way from global memory through registers to shared
// memory. A thread takes chunks of four words.
//
// Where kDepthFirst, neighbours along k are neighbours in memory, and a row's
// words lie together in shared memory; else neighbouring rows do, and the rows'
// n-th words lie together. The pitch lets the 32 lanes of a warp read a
// fragment (mma.cuh) from 32 banks: 20 g + t and 8 t + g (or 24 t + g) are all
// different modulo 32. Both are multiples of four words.
template <Precision kPrecision, int kSize, int kThreads, bool kDepthFirst>
struct Panel {
  static constexpr int kNumbers = kPerWord<kPrecision>;  // of a word
  static constexpr int kPitch = kDepthFirst ? kSliceWords + 4 : kSize + 8;
  static constexpr int kSharedWords =
      kDepthFirst ? kSize * kPitch : kSliceWords * kPitch;
  static constexpr int kChunks = kSize * kSliceWords / 4 / kThreads;
  static_assert(kChunks > 0 && kSize * kSliceWords % (4 * kThreads) == 0, "");

  float4 values[kChunks][kNumbers];

  // Where a word lies in shared memory.
  __device__ static int At(int row, int word) {
    return kDepthFirst ? row * kPitch + word : word * kPitch + row;
  }
  // The thread's chunk `c`: its first row and word.
  __device__ static int Row(int c) {
    const int chunk = static_cast<int>(threadIdx.x) + c * kThreads;
    return kDepthFirst ? chunk / (kSliceWords / 4) : chunk % (kSize / 4) * 4;
  }
  __device__ static int Word(int c) {
    const int chunk = static_cast<int>(threadIdx.x) + c * kThreads;
    return kDepthFirst ? chunk % (kSliceWords / 4) * 4 : chunk / (kSize / 4);
  }

  // Of `count` elements that follow each other the first four, 0 beyond.
  __device__ static float4 Load4(const float* at, int count, bool aligned) {
    if (count >= 4 && aligned) return Wide<float4>(at);
    return make_float4(count > 0 ? at[0] : 0.0f, count > 1 ? at[1] : 0.0f,
                       count > 2 ? at[2] : 0.0f, count > 3 ? at[3] : 0.0f);
  }

  // The slice from p0 on of `size` rows and `depth` numbers, 0 beyond both. The
  // tile starts at row `first`; `rows` are rows in memory: of the tile, or,
  // unless kDepthFirst, of k.
  __device__ void Load(const RowsOf& rows, int first, int p0, int size,
                       int depth, bool aligned) {
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
#pragma unroll
      for (int n = 0; n < kNumbers; ++n) {
        const int row = Row(c);
        const int p = p0 + Word(c) * kNumbers + (kDepthFirst ? 4 * n : n);
        int count = kDepthFirst ? depth - p : size - row;
        if (kDepthFirst ? row >= size : p >= depth) count = 0;
        const float* at = nullptr;
        if (count > 0) {
          at = kDepthFirst ? rows.Row(first + row) + p
                           : rows.Row(p) + first + row;
        }
        values[c][n] = Load4(at, count, aligned);
      }
    }
  }

  template <typename Tile>
  __device__ void Store(Tile& tile, int start) const {
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const float4 x = values[c][0];
      const int at = start + At(Row(c), Word(c));
      if constexpr (kPrecision == Precision::kTf32) {
        tile.Store4(at, ToTf32(x.x), ToTf32(x.y), ToTf32(x.z), ToTf32(x.w));
      } else {
        const float4 y = values[c][1];
        if constexpr (kDepthFirst) {
          tile.Store4(at, ToBf16(x.x, x.y), ToBf16(x.z, x.w), ToBf16(y.x, y.y),
                      ToBf16(y.z, y.w));
        } else {
          tile.Store4(at, ToBf16(x.x, y.x), ToBf16(x.y, y.y), ToBf16(x.z, y.z),
                      ToBf16(x.w, y.w));
        }
      }
    }
  }
};

// Whether four elements from a multiple of four on can be loaded at once.
__device__ inline bool IsAligned(const RowsOf& rows) {
  return reinterpret_cast<uintptr_t>(rows.data) % sizeof(float4) == 0 &&
         rows.ld % 4 == 0;
}

// kTileRows x kTileCols elements of c a block, kWarpRows x kWarpCols a warp.
// Sixteen warps a multiprocessor, and Args, as product.cuh.
template <Precision kPrecision, Product kProduct, int kTileRows, int kTileCols,
          int kWarpRows, int kWarpCols, typename Args = ProductArgs>
__global__ void __launch_bounds__(
    kTileRows / kWarpRows * kTileCols / kWarpCols * 32,
    512 / (kTileRows / kWarpRows * kTileCols / kWarpCols * 32))
    MultiplyTensorTiles(Args args) {
  constexpr bool kForward = kProduct == Product::kForward;
  constexpr bool kWeights = kProduct == Product::kWeightGradient;
  constexpr bool kUpdates = std::is_same_v<Args, UpdatingProductArgs>;
  static_assert(kWeights || !kUpdates, "");
  constexpr int kThreads = kTileRows / kWarpRows * kTileCols / kWarpCols * 32;
  // As the operands lie in memory: x and dy by rows, w by outputs.
  using PanelA = Panel<kPrecision, kTileRows, kThreads, !kWeights>;
  using PanelB = Panel<kPrecision, kTileCols, kThreads, kForward>;
  __shared__ Shared<uint32_t, 2 * PanelA::kSharedWords> a_tile;
  __shared__ Shared<uint32_t, 2 * PanelB::kSharedWords> b_tile;

  const Tile tile = args.tiles[blockIdx.x];
  const ProductProblem& problem = args.problems[tile.problem];
  const int rows = args.rows[problem.model];
  const int m = kWeights ? problem.m : rows;
  const int k = kWeights ? rows : problem.k;
  if (rows == 0 || tile.row >= m) return;
  WeightUpdate update = WeightUpdate::kStoreGradient;
  if constexpr (kUpdates) {
    update = WeightUpdateOf(args, problem.model);
    if (update == WeightUpdate::kNothing) return;
  }
  const int size_a = m - tile.row, size_b = problem.n - tile.col;
  // Rows of x may be any rows of the dataset.
  const int32_t* const index =
      args.index == nullptr ? nullptr : args.index + args.begin[problem.model];
  const RowsOf a = {args.a + problem.a, problem.lda,
                    kForward ? index : nullptr};
  const RowsOf b = {args.b + problem.b, problem.ldb,
                    kWeights ? index : nullptr};
  const bool a_aligned = IsAligned(a), b_aligned = IsAligned(b);

  PanelA panel_a;
  PanelB panel_b;
  const auto load = [&](int p0) {
    panel_a.Load(a, tile.row, p0, size_a, k, a_aligned);
    panel_b.Load(b, tile.col, p0, size_b, k, b_aligned);
  };
  const auto store = [&](int stage) {
    panel_a.Store(a_tile, stage * PanelA::kSharedWords);
    panel_b.Store(b_tile, stage * PanelB::kSharedWords);
  };

  constexpr int kMmasDown = kWarpRows / kMmaRows;
  constexpr int kMmasAcross = kWarpCols / kMmaCols;
  constexpr int kWarpsAcross = kTileCols / kWarpCols;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const int row = warp / kWarpsAcross * kWarpRows;
  const int col = warp % kWarpsAcross * kWarpCols;
  float sum[kMmasDown][kMmasAcross][4];
#pragma unroll
  for (int r = 0; r < kMmasDown; ++r) {
#pragma unroll
    for (int c = 0; c < kMmasAcross; ++c) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[r][c][i] = 0.0f;
    }
  }
  const auto multiply = [&](int stage, int word) {
    const int a0 = stage * PanelA::kSharedWords;
    const int b0 = stage * PanelB::kSharedWords;
    uint32_t y[kMmasAcross][2];
#pragma unroll
    for (int c = 0; c < kMmasAcross; ++c) {
      const int j = col + c * kMmaCols + g;
      y[c][0] = b_tile[b0 + PanelB::At(j, word + t)];
      y[c][1] = b_tile[b0 + PanelB::At(j, word + t + 4)];
    }
#pragma unroll
    for (int r = 0; r < kMmasDown; ++r) {
      const int i = row + r * kMmaRows + g;
      const uint32_t x[4] = {a_tile[a0 + PanelA::At(i, word + t)],
                             a_tile[a0 + PanelA::At(i + 8, word + t)],
                             a_tile[a0 + PanelA::At(i, word + t + 4)],
                             a_tile[a0 + PanelA::At(i + 8, word + t + 4)]};
#pragma unroll
      for (int c = 0; c < kMmasAcross; ++c) {
        MultiplyAdd<kPrecision>(sum[r][c], x, y[c]);
      }
    }
  };

  constexpr int kStep = kSliceWords * kPerWord<kPrecision>;
  load(0);
  store(0);
  __syncthreads();
  for (int p0 = 0, stage = 0; p0 < k; p0 += kStep, stage ^= 1) {
    const bool more = p0 + kStep < k;
    if (more) load(p0 + kStep);
      // Beyond k both operands are 0.
#pragma unroll
    for (int word = 0; word < kSliceWords; word += kMmaWords) {
      multiply(stage, word);
    }
    if (more) store(stage ^ 1);
    __syncthreads();
  }

  const auto for_each_row = [&](auto f) {
#pragma unroll
    for (int r = 0; r < kMmasDown; ++r) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int i = row + r * kMmaRows + half * 8 + g;
        if (i >= size_a) break;
#pragma unroll
        for (int c = 0; c < kMmasAcross; ++c) {
          const int j = col + c * kMmaCols + 2 * t;
          if (j >= size_b) break;
          float pair[2] = {sum[r][c][2 * half], sum[r][c][2 * half + 1]};
          f(tile.row + i, tile.col + j, size_b - j, pair);
        }
      }
    }
  };
  if constexpr (kUpdates) {
    if (update == WeightUpdate::kInPlace) {
      UpdateWeights<2>(args, problem, for_each_row);
      return;
    }
  }
  for_each_row([&](int64_t i, int64_t j, int count, float(&pair)[2]) {
    FinishRow<kProduct>(args, problem, i, j, count, pair);
  });
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_TENSOR_PRODUCT_CUH_
