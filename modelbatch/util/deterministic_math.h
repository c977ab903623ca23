// Functions of libm whose bits differ from one libm to the next, as IEEE
// operations in double written out (+, -, x, /, fma where it says so, nothing
// contracted): equal bits on every machine. Errors are below 1e-15 of the
// result (deterministic_math_test.cc).
#ifndef MODELBATCH_UTIL_DETERMINISTIC_MATH_H_
#define MODELBATCH_UTIL_DETERMINISTIC_MATH_H_

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

// The double nearest to the cosine of x, in all but about one of 2^40 cases.
// |x| up to 2^40.
double Cos(double x);

// The same of x^y. x finite and not negative, y finite; 0^0 is 1.
double Pow(double x, double y);

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_DETERMINISTIC_MATH_H_
