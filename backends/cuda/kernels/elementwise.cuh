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

// Word `element` % 4 of Philox4x32-10's block: modelbatch/util/philox.h.
__device__ inline uint32_t PhiloxDraw(const DropoutMask& mask, uint64_t step,
                                      uint32_t element) {
  uint32_t c0 = element / 4, c1 = mask.op;
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
  const uint32_t word = element % 4;
  return word == 0 ? c0 : word == 1 ? c1 : word == 2 ? c2 : c3;
}

__global__ void __launch_bounds__(kElementThreads)
    ApplyDropout(DropoutArgs args) {
  ForEachElement(args.grid, args.y.places, [&](int model, int i, int j) {
    const DropoutMask& mask = args.masks[model];
    const auto element = static_cast<uint32_t>(
        static_cast<int64_t>(i) * args.y.places[model].cols + j);
    // Thresholds of 0 and of 2^32 keep all and nothing.
    const bool kept = PhiloxDraw(mask, static_cast<uint64_t>(args.steps[model]),
                                 element) >= mask.threshold;
    const float value =
        math::ZeroUnless(kept, Open(args.x, model).Row(i)[j] * mask.scale);
    float* const to = RowOf(args.y, model, i) + j;
    *to = args.accumulate ? *to + value : value;
  });
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
