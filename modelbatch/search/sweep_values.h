// The values that a sweep takes.
#ifndef MODELBATCH_SEARCH_SWEEP_VALUES_H_
#define MODELBATCH_SEARCH_SWEEP_VALUES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "modelbatch/config/experiment_config.h"

namespace modelbatch {

// All values of a grid, in order. A range gives `count` values from min to max,
// evenly on its scale:
//   linear  min + (max - min) k / (count - 1)
//   log     min (max / min)^(k / (count - 1))
// with both ends exact; integers are rounded to the nearest.
std::vector<double> GridValues(const Sweep& sweep);

// The value drawn for model `index`. A range is drawn evenly on its scale, from
// the values each with equal probability.
double RandomValue(const Sweep& sweep, uint64_t seed, const std::string& path,
                   uint64_t index);

}  // namespace modelbatch

#endif  // MODELBATCH_SEARCH_SWEEP_VALUES_H_
