// The forward pass of a plan's operations on stacked models. Linear layers have
// a form of their own (linear.h); every other operation is written for one
// model and runs under vmap.
#ifndef BACKENDS_LIBTORCH_FORWARD_H_
#define BACKENDS_LIBTORCH_FORWARD_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "backends/grouped/plan.h"
#include "backends/libtorch/vmap.h"

namespace modelbatch::libtorch {

struct ForwardArgs {
  const grouped::Plan* plan = nullptr;
  const grouped::ModelPlan* model = nullptr;  // any of those stacked
  int64_t num_models = 0;
  Value input;  // [rows, input size], or stacked
  // Stacked, by parameter: [n, ...].
  const std::vector<at::Tensor>* parameters = nullptr;
  // By operation: a factor for each element, [n, rows, cols], or undefined:
  // dropout keeps everything. Null: evaluation.
  const std::vector<at::Tensor>* dropout_factors = nullptr;
};

// The output, [n, rows, output size].
at::Tensor RunForward(const ForwardArgs& args);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_FORWARD_H_
