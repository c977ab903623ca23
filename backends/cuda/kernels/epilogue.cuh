// What a product does with its sums before they are stored: bias and
// activation, the activation's derivative, the search for factors that are
// large and gradients that are not finite. Each step is rounded to fp32, in
// every precision.
#ifndef BACKENDS_CUDA_KERNELS_EPILOGUE_CUH_
#define BACKENDS_CUDA_KERNELS_EPILOGUE_CUH_

#include "backends/cuda/kernels/device.cuh"

namespace modelbatch::cuda {

// Up to kCount neighbouring elements to global memory, in one access where they
// are aligned.
template <int kCount>
__device__ inline void StoreRow(float* to, const float (&values)[kCount],
                                int count) {
  static_assert(kCount == 2 || kCount == 4, "");
  if (count >= kCount &&
      reinterpret_cast<uintptr_t>(to) % (kCount * sizeof(float)) == 0) {
    if constexpr (kCount == 4) {
      Wide<float4>(to) =
          make_float4(values[0], values[1], values[2], values[3]);
    } else {
      Wide<float2>(to) = make_float2(values[0], values[1]);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < count) to[i] = values[i];
  }
}

// The same from global memory, 0 beyond `count`.
template <int kCount>
__device__ inline void LoadRow(const float* from, float (&values)[kCount],
                               int count) {
  static_assert(kCount == 2 || kCount == 4, "");
  if (count >= kCount &&
      reinterpret_cast<uintptr_t>(from) % (kCount * sizeof(float)) == 0) {
    if constexpr (kCount == 4) {
      const float4 four = Wide<float4>(from);
      values[0] = four.x;
      values[1] = four.y;
      values[2] = four.z;
      values[3] = four.w;
    } else {
      const float2 two = Wide<float2>(from);
      values[0] = two.x;
      values[1] = two.y;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = i < count ? from[i] : 0.0f;
}

// Finishes and stores the first `count` of kCols neighbouring sums, of which
// the first is element (i, j) of the product.
template <Product kProduct, int kCols>
__device__ inline void FinishRow(const ProductArgs& args,
                                 const ProductProblem& problem, int64_t i,
                                 int64_t j, int count, float (&sum)[kCols]) {
  float* const to = args.c + problem.c + i * problem.ldc + j;
  if constexpr (kProduct == Product::kForward) {
    if (problem.bias >= 0) {
      const float* const bias = args.params + problem.bias + j;
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        if (c < count) sum[c] = sum[c] + bias[c];
      }
    }
    if (problem.saved >= 0) {
      StoreRow(args.workspace + problem.saved + i * problem.ld_saved + j, sum,
               count);
    }
    if (args.activation != Activation::kNone) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        sum[c] = Activate(args.activation, sum[c]);
      }
    }
  } else if constexpr (kProduct == Product::kInputGradient) {
    if (args.activation != Activation::kNone) {
      const float* const saved =
          args.workspace + problem.saved + i * problem.ld_saved + j;
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        if (c < count) sum[c] = Derive(args.activation, saved[c], sum[c]);
      }
    }
    if (args.accumulate) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        if (c < count) sum[c] = to[c] + sum[c];
      }
    }
  }
  if constexpr (kProduct == Product::kWeightGradient) {
    bool finite = true;
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
      finite = finite && (c >= count || IsFinite(sum[c]));
    }
    // All who find one write the same.
    if (!finite && args.bad != nullptr) args.bad[problem.model] = 1;
  } else if (args.large != nullptr) {
    bool below = true;
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
      below = below && (c >= count || IsBelowFactorLimit(sum[c]));
    }
    if (!below) args.large[problem.model] = 1;
  }
  StoreRow(to, sum, count);
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_EPILOGUE_CUH_
