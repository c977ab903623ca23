// A DropoutKey turned into the numbers that the dropout kernels use. Apart from
// them because they must not call inline functions of other headers (simd.h).
#ifndef BACKENDS_CPU_DROPOUT_PLAN_H_
#define BACKENDS_CPU_DROPOUT_PLAN_H_

#include <cstdint>

#include "backends/cpu/kernels.h"

namespace modelbatch::cpu {

// The key and the upper three words of the counter of modelbatch/util/philox.h.
struct DropoutPlan {
  uint32_t key[2];
  uint32_t counter[3];
  uint64_t threshold;  // an element is kept when its draw is at least this
  float scale;         // of kept elements
};

DropoutPlan PlanDropout(const DropoutKey& key);

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_DROPOUT_PLAN_H_
