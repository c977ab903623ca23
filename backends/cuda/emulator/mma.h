// The tensor cores of the emulator: conversions and mma.sync for the host, from
// the PTX ISA. Included by kernels/mma.cuh, which says what is in a word.
//
// A device rounds the sums within one mma in ways of its own (at least as
// exactly as fp32, says the manual). Here each element is exact and rounded to
// fp32 once.
#ifndef BACKENDS_CUDA_EMULATOR_MMA_H_
#define BACKENDS_CUDA_EMULATOR_MMA_H_

#include <cstdint>

namespace modelbatch::cuda::emulator {

// cvt.rna.tf32.f32: to 10 bits after the first, to the nearest, ties away from
// zero; a NaN becomes the NaN 0x7fffffff.
uint32_t ToTf32(float x);
// cvt.rn.bf16x2.f32: each to 7 bits after the first, to the nearest, ties to
// even; `low` goes to the low half. A NaN becomes the NaN 0x7fff.
uint32_t ToBf16(float low, float high);

// For kernels, within RunBlocks: d += a b, called by all 32 threads of a warp.
// mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32. An operand that is no
// tf32 number ends the run.
void MmaTf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32.
void MmaBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

}  // namespace modelbatch::cuda::emulator

#endif  // BACKENDS_CUDA_EMULATOR_MMA_H_
