// torch.nn.Linear for a stack of models, with its derivative.
//
// vmap turns addmm into mul + bmm + add and expands a shared input; an expert
// writes one baddbmm, or one wide GEMM where all models see the same input and
// each has few outputs.
// The derivative by the weight comes out in the weight's own layout.
#ifndef BACKENDS_LIBTORCH_LINEAR_H_
#define BACKENDS_LIBTORCH_LINEAR_H_

#include <ATen/core/Tensor.h>

#include "backends/libtorch/vmap.h"

namespace modelbatch::libtorch {

// x [rows, in], or stacked [n, rows, in]; weight [n, out, in]; bias [n, out] or
// undefined. Returns [n, rows, out], which may be a permuted view. No gradient
// goes to a shared x.
at::Tensor StackedLinear(const Value& x, const at::Tensor& weight,
                         const at::Tensor& bias);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_LINEAR_H_
