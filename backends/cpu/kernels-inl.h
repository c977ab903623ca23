// Everything of one instruction set: included by kernels_avx2.cc and
// kernels_generic.cc, which say which (simd.h).
#ifndef BACKENDS_CPU_KERNELS_INL_H_
#define BACKENDS_CPU_KERNELS_INL_H_

#include "backends/cpu/adam-inl.h"
#include "backends/cpu/clip-inl.h"
#include "backends/cpu/dropout-inl.h"
#include "backends/cpu/elementwise-inl.h"
#include "backends/cpu/gemm-inl.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/loss-inl.h"
#include "backends/cpu/math-inl.h"
#include "backends/cpu/norm-inl.h"
#include "backends/cpu/optimizer-inl.h"
#include "backends/cpu/simd.h"
#include "backends/cpu/targets.h"
#include "backends/cpu/transpose-inl.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

#define MODELBATCH_CPU_STRING_(x) #x
#define MODELBATCH_CPU_STRING(x) MODELBATCH_CPU_STRING_(x)

const Kernels& Table() {
  static const Kernels kTable = {
      MODELBATCH_CPU_STRING(MODELBATCH_CPU_NAMESPACE),
      Gemm,
      Transpose,
      ColumnSum,
      UnaryForward,
      UnaryBackward,
      Add,
      Copy,
      Dropout,
      LayerNormForward,
      LayerNormBackward,
      CrossEntropy,
      WeightedCrossEntropy,
      Nll,
      MeanSquaredError,
      SmoothL1,
      Huber,
      BceWithLogits,
      ArgMax,
      AllBelow,
      Clip,
      Sgd,
      Adam,
      NAdam,
      RAdam,
      RmsProp,
      Adagrad,
      Adadelta,
      Lion,
  };
  return kTable;
}

// f over an array, the last vector partial.
template <V (*kF)(V)>
void Map(int64_t n, const float* x, float* y) {
  for (int64_t e = 0; e < n; e += 8) {
    StoreUpTo(y + e, kF(LoadUpTo(x + e, n - e)), n - e);
  }
}

const MathFunctions& Math() {
  static const MathFunctions kMath = {Map<Exp>,  Map<Log>,     Map<Log1p>,
                                      Map<Tanh>, Map<Sigmoid>, Map<Erf>};
  return kMath;
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_KERNELS_INL_H_
