// Functions of libm whose bits differ from one libm to the next, as IEEE
// operations in double written out (+, -, x, /, nothing contracted): equal bits
// on every machine. Errors are below 1e-15 of the result
// (deterministic_math_test.cc). Private to model/.
#ifndef MODELBATCH_MODEL_DETERMINISTIC_MATH_H_
#define MODELBATCH_MODEL_DETERMINISTIC_MATH_H_

#include <cstdint>

namespace modelbatch {

// The natural logarithm of a normal x > 0.
double Log(double x);

// e^x for x in [-700, 0].
double Exp(double x);

// Cosine and sine of 2 pi turn / 2^32.
struct CosSin {
  double cos;
  double sin;
};
CosSin CosSinOfTurn(uint32_t turn);

}  // namespace modelbatch

#endif  // MODELBATCH_MODEL_DETERMINISTIC_MATH_H_
