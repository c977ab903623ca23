// exp, log, log1p, tanh, erf and sigmoid on vectors, from IEEE operations only,
// so that every machine computes the same bits. The largest errors that
// math_test.cc finds against libm in double, in ulp: exp 0.99, log 0.82, log1p
// 1.36, erf 1.01, sigmoid 2.30, tanh 2.56.
//
// The polynomials are minimax in relative error (Remez's algorithm in 120-bit
// arithmetic, coefficients then rounded to float).
#ifndef BACKENDS_CPU_MATH_INL_H_
#define BACKENDS_CPU_MATH_INL_H_

#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Horner's rule, highest power first.
MODELBATCH_INLINE V Polynomial(V, V sum) { return sum; }
template <typename... Rest>
MODELBATCH_INLINE V Polynomial(V x, V sum, float next, Rest... rest) {
  return Polynomial(x, Fma(sum, x, Set1(next)), rest...);
}

// x = n ln 2 + r with |r| <= ln(2) / 2; `q` = exp(r) - 1.
struct ExpParts {
  V n, q;
};

// Cody and Waite's reduction in two steps ("Software Manual for the Elementary
// Functions", 1980); 0.693359375 has nine bits, so n times it is exact.
MODELBATCH_INLINE ExpParts ReduceExp(V x) {
  const V n = Round(x * Set1(1.44269504088896341f));
  V r = Fma(n, Set1(-0.693359375f), x);
  r = Fma(n, Set1(2.12194440e-4f), r);
  const V p = Polynomial(r, Set1(0.00138143204f), 0.00836885107f, 0.0416684011f,
                         0.166665195f, 0.499999934f);
  return {n, Fma(r * r, p, r)};
}

// 2^n for integers n in [-126, 127].
MODELBATCH_INLINE V PowerOf2(I n) {
  return FromBits(ShiftLeft(n + SetI(127), 23));
}

// Denormal results are right; above 88.72 it is Inf, below -103.97 it is 0.
MODELBATCH_INLINE V Exp(V x) {
  x = Max(Set1(-104.0f), Min(Set1(89.0f), x));  // keeps NaN
  const ExpParts e = ReduceExp(x);
  // 2^n may be no normal number: multiply by two powers, only the second of
  // which can round.
  const I n = ToInt(e.n);
  const I half = ShiftRightArithmetic(n, 1);
  return (e.q + Set1(1.0f)) * PowerOf2(half) * PowerOf2(n - half);
}

// n ln 2 + log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)): log(1 + f) = f - f^2 /
// 2
// + f^3 p(f); ln 2 in two parts as above.
MODELBATCH_INLINE V LogOfParts(V n, V f) {
  const V p = Polynomial(f, Set1(0.0674659789f), -0.116796532f, 0.118903238f,
                         -0.124051357f, 0.142192244f, -0.166680069f,
                         0.200021336f, -0.250000096f, 0.333333124f);
  const V f2 = f * f;
  V y = Fma(n, Set1(-2.12194440e-4f), f2 * (f * p));
  y = Fma(f2, Set1(-0.5f), y);
  return Fma(n, Set1(0.693359375f), f + y);
}

// log(0) = -Inf, log(x < 0) = NaN; denormals are right.
MODELBATCH_INLINE V Log(V x) {
  const M tiny = Less(x, Set1(0x1p-126f));
  const V scaled = Select(tiny, x * Set1(0x1p25f), x);
  // scaled = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)): 0x3f3504f3 are the
  // bits of sqrt(1/2).
  const I bits = Bits(scaled);
  const I e = ShiftRightArithmetic(bits - SetI(0x3f3504f3), 23);
  const V f = FromBits(bits - ShiftLeft(e, 23)) - Set1(1.0f);
  const V n = ToFloat(e) - ZeroUnless(tiny, Set1(25.0f));
  V y = LogOfParts(n, f);
  const V inf = Set1(__builtin_inff());
  y = Select(LessEqual(inf, x), inf, y);
  y = Select(LessEqual(x, Zero()), Set1(__builtin_nanf("")), y);
  y = Select(And(LessEqual(x, Zero()), LessEqual(Zero(), x)), Zero() - inf, y);
  return Select(IsNan(x), x, y);
}

// log(1 + x) for x in [0, 1]; NaN is kept.
MODELBATCH_INLINE V Log1p(V x) {
  // Above sqrt(2) - 1 it is ln 2 + log(1 + (x - 1) / 2).
  const M low = Less(x, Set1(0.414213562f));
  const V one = Set1(1.0f);
  return LogOfParts(Select(low, Zero(), one),
                    Select(low, x, (x - one) * Set1(0.5f)));
}

// tanh |x| = t / (t + 2) with t = exp(2 |x|) - 1; exact +-1 from 9.02 on.
MODELBATCH_INLINE V Tanh(V x) {
  const ExpParts e = ReduceExp(Min(Set1(20.0f), Abs(x) + Abs(x)));
  const V scale = PowerOf2(ToInt(e.n));
  const V t = Fma(scale, e.q, scale - Set1(1.0f));
  return CopySign(t / (t + Set1(2.0f)), x);
}

// 1 / (1 + exp(-x)), 0 below -88.72.
MODELBATCH_INLINE V Sigmoid(V x) {
  const V one = Set1(1.0f);
  return one / (one + Exp(Zero() - x));
}

// erf(x) = x + x q(x^2) near 0, else 1 - exp(-(t + t q(t))) with t = |x|.
// Exact +-1 from 3.92 on.
MODELBATCH_INLINE V Erf(V x) {
  const V square = x * x;
  const V near = Polynomial(square, Set1(8.30151699e-05f), -0.000812633982f,
                            0.00519957722f, -0.0268588063f, 0.112836847f,
                            -0.37612633f, 0.128379167f);
  const V t = Min(Set1(3.95f), Abs(x));
  const V far =
      Polynomial(t, Set1(1.12312587e-05f), -0.000322803395f, 0.00364245721f,
                 -0.0237620592f, 0.106236874f, 0.635151319f, 0.12864849f);
  const V one = Set1(1.0f);
  const V tail = CopySign(one - Exp(Zero() - Fma(t, far, t)), x);
  return Select(Less(t, Set1(0.93f)), Fma(x, near, x), tail);
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_MATH_INL_H_
