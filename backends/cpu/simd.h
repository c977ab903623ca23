// A vector of eight floats, for the -inl.h files that hold the kernels. They
// are compiled once per instruction set: kernels_avx2.cc defines
// MODELBATCH_CPU_AVX2 before it includes them, kernels_avx512.cc
// MODELBATCH_CPU_AVX512, kernels_generic.cc nothing.
// (Those that work element by element serve CUDA's kernels too, which define
// MODELBATCH_CPU_ONE_LANE: there V is one float.)
// Everything lives in a namespace named after the instruction set, so that the
// linker never merges a function compiled for AVX2 with a portable one; for the
// same reason those files call no inline function or template of std::.
//
// Each operation is one IEEE operation per lane and gives the same bits in
// every implementation (which NaN a NaN is, is left open):
//
//   V  8 floats      I  8 int32_t      M  8 truth values
//   W  4 uint64_t whose low halves count (a round of Philox needs 32 x 32 bits)
//
//   kVectorised                  whether an operation is one instruction
//   Set1, Zero, Load, Store      unaligned
//   LoadPartial(p, n)            lanes >= n are +0 and not read; n in [0, 8]
//   StorePartial(p, a, n)        lanes >= n are not written
//   FirstN(n)                    lanes < n are true; n in [0, 8]
//   LoadMasked(p, m)             false lanes are +0 and not read
//   + - * / Fma Sqrt             rounded to nearest, even
//   Max(a, b) = a > b ? a : b    so the second when either is NaN or both are
//   Min(a, b) = a < b ? a : b    zeros
//   Round                        to nearest integer, even
//   Less, LessEqual              false for NaN
//   Select(m, yes, no), ZeroUnless(m, a)
//   ToInt                        to nearest, even; out of range: INT32_MIN
//   Bits, FromBits               reinterpret
//   Max of I                     signed
//   AtLeastUnsigned(p, bound)    p[lane] >= bound
//   JoinLanes(low, high)         the 16 virtual lanes of kernels.h, by halving
//   MaxOfLanes                   Max by halving
//   Transpose8                   of an 8 x 8 block
//   CountUp(first)               first, first + 1, ... modulo 2^32
//   MulWide, HighHalf            low half * low half; upper half moved down
//   StoreBlocks(w0..w3, out)     low halves, lane by lane: w0 w1 w2 w3
#ifndef BACKENDS_CPU_SIMD_H_
#define BACKENDS_CPU_SIMD_H_

#include "backends/cpu/host_device.h"

#if defined(MODELBATCH_CPU_AVX512)
#define MODELBATCH_CPU_NAMESPACE avx512
#include "backends/cpu/simd_avx2.h"
#elif defined(MODELBATCH_CPU_AVX2)
#define MODELBATCH_CPU_NAMESPACE avx2
#include "backends/cpu/simd_avx2.h"
#elif defined(MODELBATCH_CPU_ONE_LANE)
#include "backends/cpu/simd_lane.h"
#define MODELBATCH_CPU_NAMESPACE lane
#else
#include "backends/cpu/simd_generic.h"
#define MODELBATCH_CPU_NAMESPACE generic
#endif

#endif  // BACKENDS_CPU_SIMD_H_
