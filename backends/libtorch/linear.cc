#include "backends/libtorch/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace modelbatch::libtorch {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A wide GEMM copies the weights into one matrix first, and its result has its
// models side by side. On a CPU that pays where each model's own product is
// narrow; measured for 8 to 64 models, 12 to 784 inputs, 24 to 256 outputs.
constexpr int64_t kNarrowOutputs = 64;

class BatchedLinear : public torch::autograd::Function<BatchedLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["has_bias"] = bias.has_value();
    const at::Tensor transposed = weight.transpose(1, 2);
    return bias.has_value() ? at::baddbmm(bias->unsqueeze(1), x, transposed)
                            : at::bmm(x, transposed);
  }

  static variable_list backward(AutogradContext* context,
                                const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& dy = gradients[0];
    variable_list result(3);
    if (context->needs_input_grad(0)) result[0] = at::bmm(dy, saved[1]);
    if (context->needs_input_grad(1)) {
      result[1] = at::bmm(dy.transpose(1, 2), saved[0]);
    }
    if (context->saved_data["has_bias"].toBool()) result[2] = dy.sum(1);
    return result;
  }
};

class WideLinear : public torch::autograd::Function<WideLinear> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x});
    context->saved_data["has_bias"] = bias.has_value();
    const int64_t models = weight.size(0), out = weight.size(1);
    const at::Tensor wide = weight.reshape({models * out, weight.size(2)}).t();
    const at::Tensor y = bias.has_value()
                             ? at::addmm(bias->reshape({-1}), x, wide)
                             : at::mm(x, wide);
    return y.view({x.size(0), models, out}).transpose(0, 1);
  }

  static variable_list backward(AutogradContext* context,
                                const variable_list& gradients) {
    const at::Tensor x = context->get_saved_variables()[0];
    const at::Tensor& dy = gradients[0];
    const int64_t models = dy.size(0), out = dy.size(2);
    variable_list result(3);
    if (context->needs_input_grad(1)) {
      const at::Tensor rows_first = dy.transpose(0, 1);
      if (rows_first.is_contiguous()) {
        result[1] = at::mm(rows_first.view({x.size(0), models * out}).t(), x)
                        .view({models, out, x.size(1)});
      } else {
        result[1] = at::bmm(dy.transpose(1, 2),
                            x.expand({models, x.size(0), x.size(1)}));
      }
    }
    if (context->saved_data["has_bias"].toBool()) result[2] = dy.sum(1);
    return result;
  }
};

}  // namespace

at::Tensor StackedLinear(const Value& x, const at::Tensor& weight,
                         const at::Tensor& bias) {
  const std::optional<at::Tensor> given =
      bias.defined() ? std::make_optional(bias) : std::nullopt;
  if (x.stacked) return BatchedLinear::apply(x.tensor, weight, given);
  if (weight.size(1) < kNarrowOutputs || !weight.is_cpu()) {
    return WideLinear::apply(x.tensor, weight, given);
  }
  // A view: every product reads the same x.
  const at::Tensor each =
      x.tensor.expand({weight.size(0), x.tensor.size(0), x.tensor.size(1)});
  return BatchedLinear::apply(each, weight, given);
}

}  // namespace modelbatch::libtorch
