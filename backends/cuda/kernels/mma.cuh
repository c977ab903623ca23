// The tensor cores, one warp at a time: operands as 32-bit words, and what
// multiplies them. A word is one number of tf32, or two of bf16 that follow
// each other along k, the first in the low half.
//
// In words both instructions have the same shape, m16n8 by 8 words of k, and
// the same fragments (PTX ISA, "Matrix Fragments for mma.m16n8k8" and
// "mma.m16n8k16"). With g = lane / 4 and t = lane % 4, a lane has
//   a: (row g, word t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
//   b: (word t, column g), (t + 4, g)
//   d: (row g, column 2 t), (g, 2 t + 1), (g + 8, 2 t), (g + 8, 2 t + 1)
#ifndef BACKENDS_CUDA_KERNELS_MMA_CUH_
#define BACKENDS_CUDA_KERNELS_MMA_CUH_

#include "backends/cuda/kernels/device.cuh"
#include "backends/cuda/kernels/precision.h"

#if !defined(__CUDACC__)
#include "backends/cuda/emulator/mma.h"
#endif

namespace modelbatch::cuda {

// Rows and columns of one instruction, and its depth in words.
inline constexpr int kMmaRows = 16;
inline constexpr int kMmaCols = 8;
inline constexpr int kMmaWords = 8;

template <Precision kPrecision>
inline constexpr int kPerWord = kPrecision == Precision::kBf16 ? 2 : 1;

#if defined(__CUDACC__)

// To the nearest, ties away from zero.
__device__ inline uint32_t ToTf32(float x) {
  uint32_t word;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(x));
  return word;
}

// To the nearest, ties to even.
__device__ inline uint32_t ToBf16(float low, float high) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

// d += a b. All 32 threads of a warp call it together.
template <Precision kPrecision>
__device__ inline void MultiplyAdd(float (&d)[4], const uint32_t (&a)[4],
                                   const uint32_t (&b)[2]) {
  if constexpr (kPrecision == Precision::kTf32) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
}

#else

inline uint32_t ToTf32(float x) { return emulator::ToTf32(x); }
inline uint32_t ToBf16(float low, float high) {
  return emulator::ToBf16(low, high);
}
template <Precision kPrecision>
void MultiplyAdd(float (&d)[4], const uint32_t (&a)[4],
                 const uint32_t (&b)[2]) {
  if constexpr (kPrecision == Precision::kTf32) {
    emulator::MmaTf32(d, a, b);
  } else {
    emulator::MmaBf16(d, a, b);
  }
}

#endif

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_MMA_CUH_
