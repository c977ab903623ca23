#include "backends/libtorch/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>

namespace modelbatch::libtorch {
namespace {

// A view: every product reads the same x.
at::Tensor Each(const Value& x, int64_t models) {
  return x.stacked
             ? x.tensor
             : x.tensor.expand({models, x.tensor.size(0), x.tensor.size(1)});
}

// out = a b for each model. (One model's is a product of its own, which
// LibTorch gives to all of its threads; a batch of one goes to one.)
void Multiply(at::Tensor out, const at::Tensor& a, const at::Tensor& b) {
  if (out.size(0) != 1) {
    at::bmm_out(out, a, b);
    return;
  }
  at::Tensor only = out.select(0, 0);
  at::mm_out(only, a.select(0, 0), b.select(0, 0));
}

// out = bias + a b for each model.
void MultiplyAndAdd(at::Tensor out, const at::Tensor& bias, const at::Tensor& a,
                    const at::Tensor& b) {
  if (out.size(0) != 1) {
    at::baddbmm_out(out, bias, a, b);
    return;
  }
  at::Tensor only = out.select(0, 0);
  at::addmm_out(only, bias.select(0, 0), a.select(0, 0), b.select(0, 0));
}

}  // namespace

void LinearForward(const Value& x, const at::Tensor& weight,
                   const at::Tensor& bias, at::Tensor y) {
  const at::Tensor each = Each(x, weight.size(0));
  if (!y.is_contiguous()) {
    const at::Tensor columns = y.transpose(1, 2);
    const at::Tensor x_columns = each.transpose(1, 2);
    if (bias.defined()) {
      MultiplyAndAdd(columns, bias.unsqueeze(2), weight, x_columns);
    } else {
      Multiply(columns, weight, x_columns);
    }
    return;
  }
  const at::Tensor transposed = weight.transpose(1, 2);
  if (bias.defined()) {
    MultiplyAndAdd(y, bias.unsqueeze(1), each, transposed);
  } else {
    Multiply(y, each, transposed);
  }
}

void LinearWeightGradient(const Value& x, const at::Tensor& dy,
                          at::Tensor dweight) {
  Multiply(dweight, dy.transpose(1, 2), Each(x, dy.size(0)));
}

void LinearBiasGradient(const at::Tensor& dy, at::Tensor dbias) {
  at::sum_out(dbias, dy, {1});
}

void LinearInputGradient(const at::Tensor& weight, const at::Tensor& dy,
                         at::Tensor dx) {
  Multiply(dx, dy, weight);
}

}  // namespace modelbatch::libtorch
