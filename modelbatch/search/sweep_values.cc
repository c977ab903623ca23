#include "modelbatch/search/sweep_values.h"

#include <algorithm>
#include <cmath>

#include "modelbatch/util/fnv1a.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {
namespace {

// Names a field's stream of draws. Stored runs depend on it.
uint64_t HashPath(const std::string& path) {
  Fnv1a hash;
  hash.Add(path.data(), path.size());
  return hash.value();
}

// [0, 1) on a grid of 2^-53.
double UniformDouble(uint64_t seed, uint64_t stream, uint64_t index) {
  const auto draw = [&](uint64_t element) {
    return uint64_t{
        PhiloxDraw(seed, RandomPurpose::kSweep, 0, stream, element)};
  };
  const uint64_t bits = draw(2 * index) << 32 | draw(2 * index + 1);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

// The point of the range at `t` of [0, 1].
double At(const Sweep& sweep, double t) {
  if (t <= 0) return sweep.min;
  if (t >= 1) return sweep.max;
  const double value =
      sweep.log ? sweep.min * std::exp(t * std::log(sweep.max / sweep.min))
                : sweep.min + (sweep.max - sweep.min) * t;
  return std::clamp(value, sweep.min, sweep.max);
}

}  // namespace

std::vector<double> GridValues(const Sweep& sweep) {
  if (sweep.kind != Sweep::Kind::kRange) return sweep.values;
  std::vector<double> values;
  for (int64_t k = 0; k < sweep.count; ++k) {
    const double t =
        sweep.count == 1
            ? 0
            : static_cast<double>(k) / static_cast<double>(sweep.count - 1);
    const double value = At(sweep, t);
    values.push_back(sweep.integer ? std::round(value) : value);
  }
  return values;
}

double RandomValue(const Sweep& sweep, uint64_t seed, const std::string& path,
                   uint64_t index) {
  if (sweep.kind == Sweep::Kind::kFixed) return sweep.values[0];
  const double u = UniformDouble(seed, HashPath(path), index);
  if (sweep.kind == Sweep::Kind::kValues) {
    const double n = static_cast<double>(sweep.values.size());
    return sweep.values[static_cast<size_t>(u * n)];
  }
  if (!sweep.integer) return At(sweep, u);
  // Every whole number of the range gets its share, the two ends as well.
  Sweep widened = sweep;
  widened.min -= 0.5;
  widened.max += 0.5;
  return std::clamp(std::round(At(widened, u)), sweep.min, sweep.max);
}

}  // namespace modelbatch
