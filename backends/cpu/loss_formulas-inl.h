// The losses on values, element by element, with their derivatives by `a`: on
// simd.h's vector, or on one number (simd_lane.h), which is what a CUDA thread
// works on.
#ifndef BACKENDS_CPU_LOSS_FORMULAS_INL_H_
#define BACKENDS_CPU_LOSS_FORMULAS_INL_H_

#include "backends/cpu/math-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Of its derivative, which is 2 (a - b), the 2 is left to the caller.
MODELBATCH_INLINE V SquaredErrorOf(V a, V b, V* derivative) {
  const V d = a - b;
  *derivative = d;
  return d * d;
}

// 1, -1, or x where it is a zero or NaN.
MODELBATCH_INLINE V Sign(V x) {
  return Select(Less(Zero(), x), Set1(1.0f),
                Select(Less(x, Zero()), Set1(-1.0f), x));
}

MODELBATCH_INLINE V SmoothL1Of(V beta, V a, V b, V* derivative) {
  const V half = Set1(0.5f);
  const V d = a - b, size = Abs(d);
  const M inside = Less(size, beta);
  const V ratio = d / beta;
  *derivative = Select(inside, ratio, Sign(d));
  return Select(inside, ratio * (d * half), size - beta * half);
}

MODELBATCH_INLINE V HuberOf(V delta, V a, V b, V* derivative) {
  const V half = Set1(0.5f);
  const V d = a - b, size = Abs(d);
  const M inside = Less(size, delta);
  *derivative = Select(inside, d, Sign(d) * delta);
  return Select(inside, d * half * d, delta * (size - delta * half));
}

// `yes` is the target times the column's pos_weight. With e = exp(-|x|) and a =
// (1 - t) + p t it is a log(1 + e) + (1 - t) x where x > 0, else a log(1 + e) -
// p t x; the derivative is (1 - t) - a e / (1 + e), or a e / (1 + e) - p t:
// nothing overflows, and no two large terms cancel.
MODELBATCH_INLINE V BceWithLogitsOf(V x, V target, V yes, V* derivative) {
  const V one = Set1(1.0f);
  const V no = one - target, weight = no + yes;
  const V e = Exp(Zero() - Abs(x));
  const V tail = weight * (e / (one + e));
  const M positive = Less(Zero(), x);
  *derivative = Select(positive, no - tail, tail - yes);
  return Fma(Select(positive, no, Zero() - yes), x, weight * Log1p(e));
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_LOSS_FORMULAS_INL_H_
