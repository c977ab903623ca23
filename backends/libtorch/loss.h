// Losses of stacked models, one number a row.
#ifndef BACKENDS_LIBTORCH_LOSS_H_
#define BACKENDS_LIBTORCH_LOSS_H_

#include <ATen/core/Tensor.h>

#include "backends/libtorch/batch.h"
#include "modelbatch/loss/loss.h"

namespace modelbatch::libtorch {

// output [n, rows, cols]. Returns [n, rows]: a row's term, the weight of its
// class included; on values its mean over the columns. Rows that are not valid
// have terms, and derivatives, of 0. cross_entropy and nll_loss have no rule
// for stacked models whose targets differ: log_softmax and gather do.
at::Tensor RowLosses(const LossSettings& loss, const at::Tensor& output,
                     const Batch& batch);

// [n]: of row losses, each model's own mean.
at::Tensor ModelLosses(const at::Tensor& row_losses, const Batch& batch);

// ModelLosses of the RowLosses, [n], and the derivative of each by its own
// model's output, [n, rows, cols], which may be a permuted view.
struct ModelLossesAndGradient {
  at::Tensor losses, gradient;
};
ModelLossesAndGradient LossesAndGradient(const LossSettings& loss,
                                         const at::Tensor& output,
                                         const Batch& batch);

// The number of valid rows whose largest output, the first of equals, is the
// target's: int64 [n].
at::Tensor CountCorrect(const at::Tensor& output, const Batch& batch);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_LOSS_H_
