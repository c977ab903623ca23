// What each instruction set's translation unit gives to kernels.cc and to the
// tests.
#ifndef BACKENDS_CPU_TARGETS_H_
#define BACKENDS_CPU_TARGETS_H_

#include <cstdint>

#include "backends/cpu/kernels.h"

namespace modelbatch::cpu {

// The functions of math-inl.h over arrays: y[e] = f(x[e]) for e in [0, n).
struct MathFunctions {
  using Function = void (*)(int64_t n, const float* x, float* y);
  Function exp, log, log1p, tanh, sigmoid, erf;
};

namespace avx512 {
const Kernels& Table();
const MathFunctions& Math();
}  // namespace avx512

namespace avx2 {
const Kernels& Table();
const MathFunctions& Math();
}  // namespace avx2

namespace generic {
const Kernels& Table();
const MathFunctions& Math();
}  // namespace generic

// Whether this CPU can run the avx2 functions, or the avx512 ones.
bool CpuHasAvx2();
bool CpuHasAvx512();

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_TARGETS_H_
