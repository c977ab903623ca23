// Losses on the host, in double: for outputs that a program has, and what the
// backends' are held to.
//
//   MB_ASSIGN_OR_RETURN(LossValue value,
//                       ComputeLoss(loss, outputs, targets,
//                                   /*with_gradient=*/true));
#ifndef MODELBATCH_LOSS_COMPUTE_LOSS_H_
#define MODELBATCH_LOSS_COMPUTE_LOSS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct LossValue {
  // sum(row_losses) / weight: torch's reduction="mean". 0 when `weight` is 0,
  // where PyTorch gives NaN.
  double loss = 0;
  // What the rows weigh together. Losses on classes: the sum of the weights of
  // their classes, without the ignored; on values: the number of rows.
  double weight = 0;
  // A row's term of the sum: torch's reduction="none", on values its mean over
  // the outputs.
  std::vector<double> row_losses;
  // Of `loss` by the outputs: float32, their shape; zeros when `weight` is 0
  // and for ignored rows. Empty (shape [0]) if not asked for.
  Tensor gradient;
};

// One model's loss. On classes: outputs float32 [rows, classes], targets int64
// [rows]. On values: outputs float32 [rows, ...] with at least one value a row,
// targets of the same dtype and shape. InvalidArgument names what does not fit
// and what was expected; a class out of range, or a target of bce_with_logits
// outside of [0, 1], with its row. Outputs that are not finite are no error:
// they spread as IEEE says.
absl::StatusOr<LossValue> ComputeLoss(const LossSettings& loss,
                                      const Tensor& outputs,
                                      const Tensor& targets,
                                      bool with_gradient = false);

}  // namespace modelbatch

#endif  // MODELBATCH_LOSS_COMPUTE_LOSS_H_
