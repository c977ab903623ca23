#include <cuda_bf16.h>
#include <mma.h>

#include "benchmarks/cuda/device_work.h"
#include "benchmarks/cuda/exact_data.h"

namespace modelbatch::benchmarks {
namespace {

constexpr int kThreads = 256;
constexpr int kMostBlocks = 132 * 16;

int Blocks(int64_t count) {
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < 1             ? 1
                          : blocks > kMostBlocks ? kMostBlocks
                                                 : blocks);
}

__device__ int64_t First() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}
__device__ int64_t Stride() {
  return static_cast<int64_t>(gridDim.x) * kThreads;
}

__device__ void Store(float* to, float value) { *to = value; }
__device__ void Store(__nv_bfloat16* to, float value) {
  *to = __float2bfloat16_rn(value);
}
__device__ float Load(const float* from) { return *from; }
__device__ float Load(const __nv_bfloat16* from) {
  return __bfloat162float(*from);
}

template <typename T>
__global__ void FillKernel(Data data, uint64_t seed, int64_t count, T* to) {
  for (int64_t i = First(); i < count; i += Stride()) {
    Store(to + i, data == Data::kExact
                      ? static_cast<float>(ExactUnits(seed, i)) * (1.0f / 128)
                      : RandomValue(seed, i));
  }
}

template <typename T>
__global__ void CountKernel(int64_t count, const T* from,
                            unsigned long long* found) {
  unsigned long long here = 0;
  for (int64_t i = First(); i < count; i += Stride()) {
    here += isfinite(Load(from + i)) ? 0 : 1;
  }
  if (here != 0) atomicAdd(found, here);
}

__global__ void ReadKernel(const float4* from, int64_t count, float* sink) {
  float sum = 0;
  for (int64_t i = First(); i < count; i += Stride()) {
    const float4 value = from[i];
    sum += value.x + value.y + value.z + value.w;
  }
  // Never, but the compiler does not know.
  if (sum == 1.2345678e38f) *sink = sum;
}

__global__ void CopyKernel(const float4* from, float4* to, int64_t count) {
  for (int64_t i = First(); i < count; i += Stride()) to[i] = from[i];
}

// ---- Arithmetic

constexpr int kChains = 16;
constexpr int kRounds = 4096;
constexpr int kBlocksEach = 8;  // of a multiprocessor

__global__ void FmaKernel(float* sink) {
  float chains[kChains];
  for (int c = 0; c < kChains; ++c) {
    chains[c] = static_cast<float>(threadIdx.x + c);
  }
  for (int round = 0; round < kRounds; ++round) {
#pragma unroll
    for (int c = 0; c < kChains; ++c) {
      chains[c] = __fmaf_rn(chains[c], 0.5f, 1.0f);
    }
  }
  float sum = 0;
  for (int c = 0; c < kChains; ++c) sum += chains[c];
  if (sum == 1.2345678e38f) *sink = sum;
}

constexpr int kMmaChains = 4;

template <typename T, int kDepth>
__global__ void MmaKernel(float* sink) {
#if __CUDA_ARCH__ >= 800
  using nvcuda::wmma::accumulator;
  using nvcuda::wmma::col_major;
  using nvcuda::wmma::fragment;
  using nvcuda::wmma::matrix_a;
  using nvcuda::wmma::matrix_b;
  using nvcuda::wmma::row_major;
  fragment<matrix_a, 16, 16, kDepth, T, row_major> a;
  fragment<matrix_b, 16, 16, kDepth, T, col_major> b;
  fragment<accumulator, 16, 16, kDepth, float> sums[kMmaChains];
  for (int i = 0; i < a.num_elements; ++i) a.x[i] = 0.5f;
  for (int i = 0; i < b.num_elements; ++i) b.x[i] = 0.25f;
  for (int c = 0; c < kMmaChains; ++c) {
    nvcuda::wmma::fill_fragment(sums[c], static_cast<float>(c));
  }
  for (int round = 0; round < kRounds; ++round) {
#pragma unroll
    for (int c = 0; c < kMmaChains; ++c) {
      nvcuda::wmma::mma_sync(sums[c], a, b, sums[c]);
    }
  }
  float sum = 0;
  for (int c = 0; c < kMmaChains; ++c) {
    for (int i = 0; i < sums[c].num_elements; ++i) sum += sums[c].x[i];
  }
  if (sum == 1.2345678e38f) *sink = sum;
#endif
}

}  // namespace

cudaError_t Fill(Data data, uint64_t seed, Element element, int64_t count,
                 void* to, cudaStream_t stream) {
  if (element == Element::kFloat32) {
    FillKernel<<<Blocks(count), kThreads, 0, stream>>>(data, seed, count,
                                                       static_cast<float*>(to));
  } else {
    FillKernel<<<Blocks(count), kThreads, 0, stream>>>(
        data, seed, count, static_cast<__nv_bfloat16*>(to));
  }
  return cudaGetLastError();
}

cudaError_t CountNonFinite(Element element, int64_t count, const void* from,
                           unsigned long long* found, cudaStream_t stream) {
  if (element == Element::kFloat32) {
    CountKernel<<<Blocks(count), kThreads, 0, stream>>>(
        count, static_cast<const float*>(from), found);
  } else {
    CountKernel<<<Blocks(count), kThreads, 0, stream>>>(
        count, static_cast<const __nv_bfloat16*>(from), found);
  }
  return cudaGetLastError();
}

cudaError_t ReadAll(const void* from, int64_t bytes, float* sink,
                    cudaStream_t stream) {
  ReadKernel<<<Blocks(bytes / 16), kThreads, 0, stream>>>(
      static_cast<const float4*>(from), bytes / 16, sink);
  return cudaGetLastError();
}

cudaError_t Copy(const void* from, void* to, int64_t bytes,
                 cudaStream_t stream) {
  CopyKernel<<<Blocks(bytes / 16), kThreads, 0, stream>>>(
      static_cast<const float4*>(from), static_cast<float4*>(to), bytes / 16);
  return cudaGetLastError();
}

cudaError_t RunArithmetic(Arithmetic arithmetic, int multiprocessors,
                          float* sink, double* flops, cudaStream_t stream) {
  const int blocks = kBlocksEach * multiprocessors;
  const double threads = static_cast<double>(blocks) * kThreads;
  switch (arithmetic) {
    case Arithmetic::kFp32:
      FmaKernel<<<blocks, kThreads, 0, stream>>>(sink);
      *flops = threads * kChains * kRounds * 2;
      break;
    case Arithmetic::kTf32Mma:
      MmaKernel<nvcuda::wmma::precision::tf32, 8>
          <<<blocks, kThreads, 0, stream>>>(sink);
      *flops = threads / 32 * kMmaChains * kRounds * 2 * 16 * 16 * 8;
      break;
    case Arithmetic::kBf16Mma:
      MmaKernel<__nv_bfloat16, 16><<<blocks, kThreads, 0, stream>>>(sink);
      *flops = threads / 32 * kMmaChains * kRounds * 2 * 16 * 16 * 16;
      break;
  }
  return cudaGetLastError();
}

}  // namespace modelbatch::benchmarks
