// torch.nn.Linear for a stack of models, and its derivatives.
//
// vmap turns addmm into mul + bmm + add and expands a shared input; an expert
// writes one baddbmm.
#ifndef BACKENDS_LIBTORCH_LINEAR_H_
#define BACKENDS_LIBTORCH_LINEAR_H_

#include <ATen/core/Tensor.h>

#include "backends/libtorch/vmap.h"

namespace modelbatch::libtorch {

// x [rows, in], or stacked [n, rows, in]; weight [n, out, in]; bias [n, out] or
// undefined; y [n, rows, out].
void LinearForward(const Value& x, const at::Tensor& weight,
                   const at::Tensor& bias, at::Tensor y);

// By the weight and by the bias, from that by y. Contiguous results.
void LinearWeightGradient(const Value& x, const at::Tensor& dy,
                          at::Tensor dweight);
void LinearBiasGradient(const at::Tensor& dy, at::Tensor dbias);
// By x, which is stacked.
void LinearInputGradient(const at::Tensor& weight, const at::Tensor& dy,
                         at::Tensor dx);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_LINEAR_H_
