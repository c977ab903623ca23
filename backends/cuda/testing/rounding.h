// The operands of products as a precision has them, by a formula in double: for
// tests of what computes them with integers or on a device.
#ifndef BACKENDS_CUDA_TESTING_ROUNDING_H_
#define BACKENDS_CUDA_TESTING_ROUNDING_H_

#include <cmath>

#include "backends/cuda/kernels/precision.h"

namespace modelbatch::cuda::testing {

// Bits of a mantissa, the first included; the error of rounding to them is at
// most 2^-bits of the number.
inline int BitsOf(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      break;
    case Precision::kTf32:
      return 11;
    case Precision::kBf16:
      return 8;
  }
  return 24;
}

// To the nearest: tf32 with ties away from zero, the others to even. Exact for
// what is neither tiny nor huge.
inline double RoundedTo(Precision precision, double x) {
  if (x == 0) return x;
  const int bits = BitsOf(precision);
  int exponent;
  const double mantissa = std::ldexp(std::frexp(x, &exponent), bits);
  return std::ldexp(precision == Precision::kTf32 ? std::round(mantissa)
                                                  : std::nearbyint(mantissa),
                    exponent - bits);
}

}  // namespace modelbatch::cuda::testing

#endif  // BACKENDS_CUDA_TESTING_ROUNDING_H_
