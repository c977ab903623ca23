// Activations that no product does on the way, additions, copies, dropout, and
// the way of outputs between padded and compact rows.
#ifndef BACKENDS_CUDA_KERNELS_ELEMENTWISE_CUH_
#define BACKENDS_CUDA_KERNELS_ELEMENTWISE_CUH_

#include "backends/cuda/kernels/device.cuh"

namespace modelbatch::cuda {

// Calls f(model, i, j) for each element of the block's rows.
template <typename F>
__device__ inline void ForEachElement(const Grid& grid,
                                      const MatrixPlace* places, F f) {
  const int model = static_cast<int>(blockIdx.x) / grid.parts;
  const int first = static_cast<int>(blockIdx.x) % grid.parts * kElementRows;
  int rows = grid.rows[model] - first;
  if (rows > kElementRows) rows = kElementRows;
  const int cols = places[model].cols;
  for (int e = static_cast<int>(threadIdx.x); e < rows * cols;
       e += kElementThreads) {
    f(model, first + e / cols, e % cols);
  }
}

__global__ void __launch_bounds__(kElementThreads)
    ApplyActivation(UnaryArgs args) {
  ForEachElement(args.grid, args.y.places, [&](int model, int i, int j) {
    RowOf(args.y, model, i)[j] =
        Activate(args.activation, Open(args.x, model).Row(i)[j]);
  });
}

__global__ void __launch_bounds__(kElementThreads)
    DeriveActivation(UnaryBackwardArgs args) {
  ForEachElement(args.grid, args.dx.places, [&](int model, int i, int j) {
    const float d = Derive(args.activation, Open(args.saved, model).Row(i)[j],
                           Open(args.dy, model).Row(i)[j]);
    float* const to = RowOf(args.dx, model, i) + j;
    *to = args.accumulate ? *to + d : d;
  });
}

__global__ void __launch_bounds__(kElementThreads) AddOrCopy(AddArgs args) {
  ForEachElement(args.grid, args.y.places, [&](int model, int i, int j) {
    float sum = Open(args.a, model).Row(i)[j];
    if (args.b.data != nullptr) sum = sum + Open(args.b, model).Row(i)[j];
    RowOf(args.y, model, i)[j] = sum;
  });
}

__global__ void __launch_bounds__(kElementThreads) LookForLarge(LookArgs args) {
  ForEachElement(args.grid, args.x.places, [&](int model, int i, int j) {
    // All who find one write the same.
    if (!IsBelowFactorLimit(Open(args.x, model).Row(i)[j])) {
      args.large[model] = 1;
    }
  });
}

// The block of four draws of Philox4x32-10: modelbatch/util/philox.h.
__device__ inline void PhiloxBlock(const DropoutMask& mask, uint64_t step,
                                   uint32_t block, uint32_t (&draws)[4]) {
  uint32_t c0 = block, c1 = mask.op;
  uint32_t c2 = static_cast<uint32_t>(step);
  uint32_t c3 = static_cast<uint32_t>(step >> 32);
  uint32_t k0 = mask.key[0], k1 = mask.key[1];
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  draws[0] = c0;
  draws[1] = c1;
  draws[2] = c2;
  draws[3] = c3;
}

// A thread takes the four elements of a block of draws. Element (i, j) of the
// mask has index i * cols + j.
__global__ void __launch_bounds__(kElementThreads)
    ApplyDropout(DropoutArgs args) {
  static_assert(kElementRows % 4 == 0, "blocks of draws begin with a row");
  const int model = static_cast<int>(blockIdx.x) / args.grid.parts;
  const int first =
      static_cast<int>(blockIdx.x) % args.grid.parts * kElementRows;
  int rows = args.grid.rows[model] - first;
  if (rows > kElementRows) rows = kElementRows;
  if (rows <= 0) return;
  const int cols = args.y.places[model].cols;
  const DropoutMask& mask = args.masks[model];
  const auto step = static_cast<uint64_t>(args.steps[model]);
  const RowsOf x = Open(args.x, model);
  for (int e = 4 * static_cast<int>(threadIdx.x); e < rows * cols;
       e += 4 * kElementThreads) {
    uint32_t draws[4];
    const auto block =
        static_cast<uint32_t>((static_cast<int64_t>(first) * cols + e) / 4);
    PhiloxBlock(mask, step, block, draws);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      if (e + q >= rows * cols) break;
      const int i = first + (e + q) / cols, j = (e + q) % cols;
      // Thresholds of 0 and of 2^32 keep all and nothing.
      const float value = math::ZeroUnless(draws[q] >= mask.threshold,
                                           x.Row(i)[j] * mask.scale);
      float* const to = RowOf(args.y, model, i) + j;
      *to = args.accumulate ? *to + value : value;
    }
  }
}

// From the workspace's padded rows to compact ones, and back.
__global__ void __launch_bounds__(kElementThreads) PackRows(PackArgs args) {
  ForEachElement(args.grid, args.from.places, [&](int model, int i, int j) {
    const int64_t cols = args.from.places[model].cols;
    args.packed[args.compact[model] + i * cols + j] =
        Open(args.from, model).Row(i)[j];
  });
}

__global__ void __launch_bounds__(kElementThreads) UnpackRows(PackArgs args) {
  ForEachElement(args.grid, args.to.places, [&](int model, int i, int j) {
    const int64_t cols = args.to.places[model].cols;
    RowOf(args.to, model, i)[j] =
        args.packed[args.compact[model] + i * cols + j];
  });
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_ELEMENTWISE_CUH_
