#include "modelbatch/util/deterministic_math.h"

#include <cmath>
#include <limits>

namespace modelbatch {
namespace {

// ln 2 in two parts; the first has zeros at its end, so that products with
// small integers are exact.
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kSqrtHalf = 0x1.6a09e667f3bcdp-1;
constexpr double kTwoPi = 0x1.921fb54442d18p+2;

// An unevaluated sum of two doubles, |low| at most half an ulp of high: about
// 104 bits. Sums and products after Dekker, "A floating-point technique for
// extending the available precision", 1971, with fma for the exact product.
struct Pair {
  double high;
  double low;
};

constexpr Pair kLn2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
// pi / 2 in three parts.
constexpr double kHalfPi[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                              -0x1.f1976b7ed8fbcp-110};

// |a| >= |b|, or a is 0.
Pair QuickSum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

Pair Sum(double a, double b) {
  const double sum = a + b;
  const double part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

Pair Product(double a, double b) {
  const double product = a * b;
  return {product, std::fma(a, b, -product)};
}

Pair operator+(const Pair& a, const Pair& b) {
  const Pair high = Sum(a.high, b.high);
  const Pair low = Sum(a.low, b.low);
  const Pair sum = QuickSum(high.high, high.low + low.high);
  return QuickSum(sum.high, sum.low + low.low);
}

Pair operator-(const Pair& a) { return {-a.high, -a.low}; }

Pair operator*(const Pair& a, const Pair& b) {
  const Pair product = Product(a.high, b.high);
  return QuickSum(product.high,
                  product.low + (a.high * b.low + a.low * b.high));
}

Pair operator/(const Pair& a, const Pair& b) {
  const double first = a.high / b.high;
  const Pair rest = a + -(b * Pair{first, 0});
  const double second = rest.high / b.high;
  const Pair last = rest + -(b * Pair{second, 0});
  return QuickSum(first, second) + Pair{last.high / b.high, 0};
}

// Of a normal x > 0.
Pair PairLog(double x) {
  int exponent;
  double m = std::frexp(x, &exponent);  // exact, in [0.5, 1)
  if (m < kSqrtHalf) {
    m *= 2;
    --exponent;
  }
  // ln m = 2 atanh((m - 1) / (m + 1)), by its series.
  const Pair s = Pair{m - 1, 0} / Sum(m, 1);
  const Pair s2 = s * s;
  Pair sum = {0, 0};
  for (int i = 45; i >= 1; i -= 2) {
    sum = sum * s2 + Pair{1, 0} / Pair{static_cast<double>(i), 0};
  }
  return kLn2 * Pair{static_cast<double>(exponent), 0} + Pair{2, 0} * (s * sum);
}

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

double Cos(double x) {
  const double k = std::floor(x / kHalfPi[0] + 0.5);
  Pair r = {x, 0};
  for (double part : kHalfPi) r = r + -Product(k, part);  // within pi / 4
  const Pair r2 = r * r;
  Pair cos = {1, 0};
  Pair sin = {1, 0};
  for (int i = 28; i >= 2; i -= 2) {
    const double n = i;
    cos = Pair{1, 0} + -(cos * r2 / Pair{n * (n - 1), 0});
    sin = Pair{1, 0} + -(sin * r2 / Pair{n * (n + 1), 0});
  }
  sin = sin * r;
  switch (static_cast<int64_t>(k) & 3) {
    case 1:
      return -sin.high;
    case 2:
      return -cos.high;
    case 3:
      return sin.high;
    default:
      return cos.high;
  }
}

double Pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (x == 0) return y > 0 ? 0 : std::numeric_limits<double>::infinity();
  int scale = 0;  // of a denormal x
  if (x < std::numeric_limits<double>::min()) {
    x *= 0x1p54;
    scale = 54;
  }
  const Pair t =
      (PairLog(x) + -(kLn2 * Pair{static_cast<double>(scale), 0})) * Pair{y, 0};
  // Outside of every double, denormal ones included.
  if (t.high > 710) return std::numeric_limits<double>::infinity();
  if (t.high < -746) return 0;
  const double k = std::floor(t.high / kLn2.high + 0.5);
  const Pair r = t + -(kLn2 * Pair{k, 0});  // within ln 2 / 2
  Pair sum = {1, 0};
  for (int i = 28; i >= 1; --i) {
    sum = Pair{1, 0} + sum * r / Pair{static_cast<double>(i), 0};
  }
  return std::ldexp(sum.high, static_cast<int>(k));
}

}  // namespace modelbatch
