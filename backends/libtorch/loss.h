// Losses of stacked models, one number a row.
#ifndef BACKENDS_LIBTORCH_LOSS_H_
#define BACKENDS_LIBTORCH_LOSS_H_

#include <ATen/core/Tensor.h>

#include "backends/grouped/plan.h"
#include "backends/libtorch/vmap.h"

namespace modelbatch::libtorch {

// output [n, rows, cols]; targets, shared or stacked: int64 [rows] class
// indices for cross entropy, float32 [rows, cols] for mse. Returns [n, rows]:
// -log softmax(output)[target], or the mean over columns of the squared
// difference. nll_loss has no rule under vmap: log_softmax and gather do.
at::Tensor RowLosses(grouped::Loss loss, const at::Tensor& output,
                     const Value& targets);

// Whether the row's largest output, the first of equals, is the target's: bool
// [n, rows].
at::Tensor RowsCorrect(const at::Tensor& output, const Value& targets);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_LOSS_H_
