// Sizes in whole parts.
#ifndef MODELBATCH_UTIL_ROUND_UP_H_
#define MODELBATCH_UTIL_ROUND_UP_H_

#include <cstdint>

namespace modelbatch {

// How many parts of `size` > 0 hold `n` >= 0.
constexpr int64_t PartsOf(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

// The least multiple of `size` that is at least n.
constexpr int64_t RoundUp(int64_t n, int64_t size) {
  return PartsOf(n, size) * size;
}

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_ROUND_UP_H_
