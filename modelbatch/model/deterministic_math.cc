#include "modelbatch/model/deterministic_math.h"

#include <cmath>

namespace modelbatch {
namespace {

// ln 2 in two parts; the first has zeros at its end, so that products with
// small integers are exact.
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kSqrtHalf = 0x1.6a09e667f3bcdp-1;
constexpr double kTwoPi = 0x1.921fb54442d18p+2;

}  // namespace

double Log(double x) {
  int exponent;
  double m = std::frexp(x, &exponent);  // exact, in [0.5, 1)
  if (m < kSqrtHalf) {
    m *= 2;
    --exponent;
  }
  // ln m = 2 atanh((m - 1) / (m + 1)), by its series.
  const double s = (m - 1) / (m + 1);
  const double s2 = s * s;
  double sum = 0;
  for (int i = 23; i >= 3; i -= 2) sum = (sum + 1.0 / i) * s2;
  return exponent * kLn2High + (exponent * kLn2Low + (2 * s + 2 * s * sum));
}

double Exp(double x) {
  const double k = std::floor(x / (kLn2High + kLn2Low) + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;  // within ln 2 / 2
  double sum = 1;
  for (int i = 14; i >= 1; --i) sum = 1 + sum * r / i;
  return std::ldexp(sum, static_cast<int>(k));
}

CosSin CosSinOfTurn(uint32_t turn) {
  const uint32_t quarter = (turn + (1u << 29)) >> 30;  // the nearest; 4 is 0
  const double x =
      static_cast<double>(static_cast<int32_t>(turn - (quarter << 30))) *
      (kTwoPi * 0x1p-32);  // within pi / 4
  const double x2 = x * x;
  double cos = 1;
  double sin = 1;
  for (int i = 18; i >= 2; i -= 2) {
    cos = 1 - cos * x2 / (i * (i - 1));
    sin = 1 - sin * x2 / (i * (i + 1));
  }
  sin *= x;
  switch (quarter & 3) {
    case 1:
      return {-sin, cos};
    case 2:
      return {-cos, -sin};
    case 3:
      return {sin, -cos};
    default:
      return {cos, sin};
  }
}

}  // namespace modelbatch
