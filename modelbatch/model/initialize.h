// Initial values of a model's parameters: a function of its seed alone, the
// same on every backend.
#ifndef MODELBATCH_MODEL_INITIALIZE_H_
#define MODELBATCH_MODEL_INITIALIZE_H_

#include <cstdint>

#include "modelbatch/model/layout.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// Parameter `index` of `layout`, drawn with Philox (purpose kInitialize, op =
// index, step 0): float32, in PyTorch's default distribution.
Tensor InitialValue(const Layout& layout, int index, uint64_t seed);

}  // namespace modelbatch

#endif  // MODELBATCH_MODEL_INITIALIZE_H_
