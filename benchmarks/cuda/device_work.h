// Small kernels of the benchmarks' own: data, what is not finite, and the
// limits that others are held to. All launch on a stream and return at once.
#ifndef BENCHMARKS_CUDA_DEVICE_WORK_H_
#define BENCHMARKS_CUDA_DEVICE_WORK_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "benchmarks/cuda/precision.h"

namespace modelbatch::benchmarks {

// exact_data.h's values: ExactUnits / 128, or RandomValue, by index.
enum class Data { kExact, kRandom };
cudaError_t Fill(Data data, uint64_t seed, Element element, int64_t count,
                 void* to, cudaStream_t stream);

// Adds to *found how many elements are not finite.
cudaError_t CountNonFinite(Element element, int64_t count, const void* from,
                           unsigned long long* found, cudaStream_t stream);

// Reads `bytes`, a multiple of 16, and keeps nothing: what was in the L2 cache
// is not there any more, and nothing is left to be written back.
cudaError_t ReadAll(const void* from, int64_t bytes, float* sink,
                    cudaStream_t stream);

// Reads `bytes`, a multiple of 16, and writes as many.
cudaError_t Copy(const void* from, void* to, int64_t bytes,
                 cudaStream_t stream);

// Chains of multiply-adds in registers on all multiprocessors: fp32, or
// warp-wide products of tensor cores (mma.sync, which on sm_90 is less than
// what wgmma reaches) in tf32 or bf16. Returns by `flops` how many operations.
enum class Arithmetic { kFp32, kTf32Mma, kBf16Mma };
cudaError_t RunArithmetic(Arithmetic arithmetic, int multiprocessors,
                          float* sink, double* flops, cudaStream_t stream);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_DEVICE_WORK_H_
