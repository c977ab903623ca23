// What a step does to the gradients of a stack before its update.
#ifndef BACKENDS_LIBTORCH_CLIP_H_
#define BACKENDS_LIBTORCH_CLIP_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "backends/grouped/executor.h"

namespace modelbatch::libtorch {

// Scales and clips the rows of `gradient`, [n, size], in place, as
// GradientHyperParameters says; row i has the column entry models[i].
void ClipGradients(const grouped::GradientColumns& columns,
                   const std::vector<int>& models, at::Tensor gradient);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_CLIP_H_
