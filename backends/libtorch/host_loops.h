// Loops over one model's numbers in host memory, in one pass where LibTorch's
// operations make several.
#ifndef BACKENDS_LIBTORCH_HOST_LOOPS_H_
#define BACKENDS_LIBTORCH_HOST_LOOPS_H_

#include <cstdint>

#include "backends/grouped/executor.h"

namespace modelbatch::libtorch {

// Whether no value is infinite or NaN.
bool AllFinite(const float* values, int64_t size);

// Of one model; what its optimizer does not need is null.
struct HostRow {
  const float* gradient = nullptr;
  float* parameter = nullptr;
  float* states[grouped::kMaxStates] = {};
};

// Whether UpdateOnHost can follow `rule`.
bool HasHostUpdate(const grouped::UpdateRule& rule);

// As optimizer.h's Update of one row: Adam and AdamW, in the order of
// torch.optim's operations, every one rounded. `model` is its entry in the
// columns, `steps` the number of updates it has made.
void UpdateOnHost(const grouped::UpdateRule& rule, int model, int64_t steps,
                  int64_t size, const HostRow& row);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_HOST_LOOPS_H_
