#include "backends/libtorch/loss.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>

namespace modelbatch::libtorch {

at::Tensor RowLosses(grouped::Loss loss, const at::Tensor& output,
                     const Value& targets) {
  if (loss == grouped::Loss::kMse) {
    return output.sub(targets.tensor).square().mean(-1);
  }
  const at::Tensor classes =
      targets.stacked ? targets.tensor
                      : targets.tensor.expand({output.size(0), output.size(1)});
  return at::gather(at::log_softmax(output, -1), -1, classes.unsqueeze(-1))
      .squeeze(-1)
      .neg();
}

at::Tensor RowsCorrect(const at::Tensor& output, const Value& targets) {
  return at::argmax(output, -1).eq(targets.tensor);
}

}  // namespace modelbatch::libtorch
