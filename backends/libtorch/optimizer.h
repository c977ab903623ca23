// torch.optim's updates for a stack of models, each with hyper-parameters of
// its own: a few operations on [models, parameters] matrices, whatever the
// number of models and tensors.
#ifndef BACKENDS_LIBTORCH_OPTIMIZER_H_
#define BACKENDS_LIBTORCH_OPTIMIZER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "backends/grouped/executor.h"

namespace modelbatch::libtorch {

// Matrices [n, size]: row i is all of a model's parameters. `gradient` is
// scratch: it is overwritten. States that nobody needs are undefined.
struct UpdateTensors {
  at::Tensor parameter, gradient, states[grouped::kMaxStates];
};

// Updates all rows in place, and their numbers in the rule. `models` and
// `steps`: of each row its entry in the columns and the number of updates it
// has made.
void Update(const grouped::UpdateRule& rule, const std::vector<int>& models,
            const std::vector<int64_t>& steps, const UpdateTensors& tensors);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_OPTIMIZER_H_
