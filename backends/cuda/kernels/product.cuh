// The three products of linear layers, grouped: one block a tile. Every element
// is one FMA chain over k, ascending, from +0 (docs/arithmetic.md), so that no
// choice here changes a bit.
//
// A block copies kDepth columns of a and rows of b to shared memory while it
// multiplies those before; a thread keeps kRows x kCols elements in registers.
#ifndef BACKENDS_CUDA_KERNELS_PRODUCT_CUH_
#define BACKENDS_CUDA_KERNELS_PRODUCT_CUH_

#include "backends/cuda/kernels/device.cuh"
#include "backends/cuda/kernels/epilogue.cuh"

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

// kTileRows x kTileCols elements of c a block, kRows x 4 a thread. Sixteen
// warps a multiprocessor, which 128 registers a thread allow, hide the latency
// of memory.
template <Product kProduct, int kTileRows, int kTileCols, int kRows>
__global__ void __launch_bounds__(kTileRows / kRows * kTileCols / 4,
                                  512 / (kTileRows / kRows * kTileCols / 4))
    MultiplyTiles(ProductArgs args) {
  constexpr int kCols = 4;
  constexpr int kThreads = kTileRows / kRows * kTileCols / kCols;
  constexpr bool kForward = kProduct == Product::kForward;
  constexpr bool kWeights = kProduct == Product::kWeightGradient;
  // As the operands lie in memory: x and dy by rows, w by outputs.
  using SliceA = Slices<kTileRows, kThreads, !kWeights>;
  using SliceB = Slices<kTileCols, kThreads, kForward>;
  constexpr int kStageA = kDepth * SliceA::kPitch;
  constexpr int kStageB = kDepth * SliceB::kPitch;
  __shared__ Shared<float, 2 * kStageA> a_tile;
  __shared__ Shared<float, 2 * kStageB> b_tile;
  __shared__ Shared<int32_t, kTileRows> row_ids;

  const Tile tile = args.tiles[blockIdx.x];
  const ProductProblem& problem = args.problems[tile.problem];
  const int rows = args.rows[problem.model];
  const int m = kWeights ? problem.m : rows;
  const int k = kWeights ? rows : problem.k;
  if (rows == 0 || tile.row >= m) return;
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
    if (kWeights && index != nullptr) {
      slice_b.LoadRows(size_b, depth, [&](int j, int p) {
        return b + index[p0 + p] * ldb + tile.col + j;
      });
    } else {
      slice_b.Load(b, SliceB::kStep * ldb, size_b, depth);
      b += kForward ? kDepth : kDepth * ldb;
    }
  };
  const auto store = [&](int stage) {
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

  const int count = size_b - col;
  if (count <= 0) return;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (row + r >= size_a) break;
    FinishRow<kProduct>(args, problem, tile.row + row + r, tile.col + col,
                        count, acc[r]);
  }
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_PRODUCT_CUH_
