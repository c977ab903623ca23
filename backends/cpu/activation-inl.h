// The activations and their derivatives, element by element: on simd.h's
// vector, or on one number (simd_lane.h), which is what a CUDA thread works on.
#ifndef BACKENDS_CPU_ACTIVATION_INL_H_
#define BACKENDS_CPU_ACTIVATION_INL_H_

#include "backends/cpu/math-inl.h"
#include "backends/cpu/simd.h"

namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE {

// Hendrycks and Gimpel, "Gaussian Error Linear Units", in torch.nn.GELU's two
// forms: x Phi(x), and its approximation by tanh.
MODELBATCH_INLINE V Gelu(V x) {
  const V erf = Erf(x * Set1(0.707106781186547524f));
  return x * Set1(0.5f) * (Set1(1.0f) + erf);
}
// Phi(x) + x phi(x).
MODELBATCH_INLINE V GeluDerivative(V x) {
  const V erf = Erf(x * Set1(0.707106781186547524f));
  const V cdf = Set1(0.5f) * (Set1(1.0f) + erf);
  const V pdf = Exp(x * x * Set1(-0.5f)) * Set1(0.398942280401432678f);
  return Fma(x, pdf, cdf);
}
inline constexpr float kSqrt2OverPi = 0.797884560802865356f;
inline constexpr float kGeluCubic = 0.044715f;
MODELBATCH_INLINE V GeluTanhInner(V x) {
  const V cube = x * x * x;
  return Set1(kSqrt2OverPi) * Fma(cube, Set1(kGeluCubic), x);
}
MODELBATCH_INLINE V GeluTanh(V x) {
  return x * Set1(0.5f) * (Set1(1.0f) + Tanh(GeluTanhInner(x)));
}
MODELBATCH_INLINE V GeluTanhDerivative(V x) {
  const V one = Set1(1.0f), half = Set1(0.5f);
  const V t = Tanh(GeluTanhInner(x));
  const V slope = Set1(kSqrt2OverPi) * Fma(x * x, Set1(3.0f * kGeluCubic), one);
  const V left = half * (one + t);
  const V right = half * x * (one - t * t) * slope;
  return left + right;
}

MODELBATCH_INLINE V Relu(V x) { return Max(Zero(), x); }  // keeps NaN

// `d` times the derivative. relu, tanh and sigmoid read the output `y`, gelu
// the input `x`.
MODELBATCH_INLINE V ReluBackward(V y, V d) {
  return Select(LessEqual(y, Zero()), Zero(), d);
}
MODELBATCH_INLINE V GeluBackward(V x, V d) { return d * GeluDerivative(x); }
MODELBATCH_INLINE V GeluTanhBackward(V x, V d) {
  return d * GeluTanhDerivative(x);
}
MODELBATCH_INLINE V TanhBackward(V y, V d) { return d * (Set1(1.0f) - y * y); }
MODELBATCH_INLINE V SigmoidBackward(V y, V d) {
  return d * (Set1(1.0f) - y) * y;
}

}  // namespace modelbatch::cpu::MODELBATCH_CPU_NAMESPACE

#endif  // BACKENDS_CPU_ACTIVATION_INL_H_
