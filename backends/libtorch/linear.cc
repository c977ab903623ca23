#include "backends/libtorch/linear.h"

#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/sum.h>

namespace modelbatch::libtorch {
namespace {

// A view: every product reads the same x.
at::Tensor Each(const Value& x, int64_t models) {
  return x.stacked
             ? x.tensor
             : x.tensor.expand({models, x.tensor.size(0), x.tensor.size(1)});
}

}  // namespace

void LinearForward(const Value& x, const at::Tensor& weight,
                   const at::Tensor& bias, at::Tensor y) {
  const at::Tensor each = Each(x, weight.size(0));
  if (!y.is_contiguous()) {
    at::Tensor columns = y.transpose(1, 2);
    const at::Tensor x_columns = each.transpose(1, 2);
    if (bias.defined()) {
      at::baddbmm_out(columns, bias.unsqueeze(2), weight, x_columns);
    } else {
      at::bmm_out(columns, weight, x_columns);
    }
    return;
  }
  const at::Tensor transposed = weight.transpose(1, 2);
  if (bias.defined()) {
    at::baddbmm_out(y, bias.unsqueeze(1), each, transposed);
  } else {
    at::bmm_out(y, each, transposed);
  }
}

void LinearWeightGradient(const Value& x, const at::Tensor& dy,
                          at::Tensor dweight) {
  at::bmm_out(dweight, dy.transpose(1, 2), Each(x, dy.size(0)));
}

void LinearBiasGradient(const at::Tensor& dy, at::Tensor dbias) {
  at::sum_out(dbias, dy, {1});
}

void LinearInputGradient(const at::Tensor& weight, const at::Tensor& dy,
                         at::Tensor dx) {
  at::bmm_out(dx, dy, weight);
}

}  // namespace modelbatch::libtorch
