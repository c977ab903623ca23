// One model's update: what its kernel is called with.
#ifndef BACKENDS_CPU_MODEL_UPDATE_H_
#define BACKENDS_CPU_MODEL_UPDATE_H_

#include <cstdint>

#include "backends/cpu/kernels.h"
#include "backends/grouped/executor.h"

namespace modelbatch::cpu {

// A model's compact blocks of `count` floats, or a part of them.
struct ModelBlocks {
  int64_t count = 0;
  float* param = nullptr;
  const float* grad = nullptr;
  // In the order of the arenas; null: not allocated, and not needed.
  float* states[grouped::kMaxStates] = {};
  float* mu_product = nullptr;  // the model's number; of nadam only
};

// Changes parameters and states as the rule says for the model at index
// `model`. `step` counts from 1: the update about to be made.
void UpdateModel(const Kernels& kernels, const grouped::UpdateRule& rule,
                 int model, int64_t step, const ModelBlocks& blocks);

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_MODEL_UPDATE_H_
