#include "backends/libtorch/network.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/threshold_backward.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <utility>

#include "backends/libtorch/linear.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::libtorch {
namespace {

using grouped::GroupedOp;
using grouped::OpCode;

constexpr int64_t kAlignFloats = 16;  // a cache line

at::Tensor Transposed(const at::Tensor& place) {
  return place.defined() ? place.transpose(1, 2) : place;
}

const char* Approximation(const GroupedOp& op) {
  return op.code == OpCode::kGeluTanh ? "tanh" : "none";
}

// An operator that is written for one model.
at::Tensor RunForOneModel(const GroupedOp& op, const at::Tensor& x) {
  switch (op.code) {
    case OpCode::kTanh:
      return at::tanh(x);
    case OpCode::kSigmoid:
      return at::sigmoid(x);
    default:
      TORCH_CHECK(false, "operation ", static_cast<int>(op.code),
                  " has no form for one model");
  }
}

}  // namespace

void Network::Prepare(int64_t models, int64_t rows) {
  if (models == models_ && rows == rows_) return;
  models_ = 0;  // until all is there
  int64_t used = 0;
  const auto take = [&](const Shape& shape) {
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    const int64_t offset = used;
    used += RoundUp(size, kAlignFloats);
    return memory_.defined() && memory_.numel() >= used
               ? memory_.narrow(0, offset, size).view(shape)
               : at::Tensor();
  };
  const auto lay_out = [&] {
    used = 0;
    value_places_.assign(plan_->ops.size() + 1, at::Tensor());
    gradient_places_ = value_places_;
    for (const GroupedOp& op : plan_->ops) {
      const Shape shape = {models, rows, model_->values[op.output].cols};
      at::Tensor& gradient = gradient_places_[op.output];
      if (op.in_place) gradient = gradient_places_[op.inputs[0]];
      if (!gradient.defined()) gradient = take(shape);
      if (op.in_place || op.code == OpCode::kFlatten) continue;
      if (outputs_first_ && op.output == plan_->output() &&
          op.code == OpCode::kLinear) {
        value_places_[op.output] =
            Transposed(take({shape[0], shape[2], shape[1]}));
      } else {
        value_places_[op.output] = take(shape);
      }
    }
    parameter_gradients_.clear();
    for (const grouped::ParameterPlan& parameter : model_->parameters) {
      Shape shape = {models};
      shape.insert(shape.end(), parameter.shape.begin(), parameter.shape.end());
      parameter_gradients_.push_back(take(shape));
    }
  };
  lay_out();
  if (!memory_.defined() || memory_.numel() < used) {
    value_places_.clear();
    gradient_places_.clear();
    parameter_gradients_.clear();
    memory_ = at::Tensor();
    memory_ = at::empty({used}, at::TensorOptions(at::kFloat).device(device_));
    lay_out();
  }
  models_ = models;
  rows_ = rows;
}

at::Tensor Network::Out(const GroupedOp& op, bool stacked) const {
  const Value& x = values_[op.inputs[0]];
  if (op.in_place && x.stacked == stacked) return x.tensor;
  if (stacked && value_places_[op.output].defined()) {
    return value_places_[op.output];
  }
  const int64_t cols = model_->values[op.output].cols;
  const at::TensorOptions options = x.tensor.options();
  return stacked ? at::empty({models_, rows_, cols}, options)
                 : at::empty({rows_, cols}, options);
}

at::Tensor Network::Forward(NetworkArgs args, bool differentiable) {
  args_ = std::move(args);
  const Value& input = args_.input;
  Prepare(args_.num_models, input.tensor.size(input.stacked ? 1 : 0));
  kept_.assign(plan_->ops.size(), {});
  values_.assign(1, input);
  for (const GroupedOp& op : plan_->ops) {
    values_.push_back(RunForward(op, differentiable));
  }
  const Value& output = values_.back();
  return output.stacked ? output.tensor
                        : output.tensor.expand({models_, rows_, -1});
}

Value Network::RunForward(const GroupedOp& op, bool differentiable) {
  if (op.code == OpCode::kTanh || op.code == OpCode::kSigmoid) {
    return RunUnderVmap(op, differentiable);
  }
  const at::AutoDispatchBelowADInplaceOrView without_autograd;
  const Value& x = values_[op.inputs[0]];
  switch (op.code) {
    case OpCode::kFlatten:
      return x;  // values are [rows, elements] already
    case OpCode::kLinear: {
      const at::Tensor y = Out(op, true);
      LinearForward(x, Parameter(op.weight), Parameter(op.bias), y);
      return {y, true};
    }
    case OpCode::kRelu: {
      at::Tensor y = Out(op, x.stacked);
      at::relu_out(y, x.tensor);
      return {y, x.stacked};
    }
    case OpCode::kGelu:
    case OpCode::kGeluTanh: {
      at::Tensor y = Out(op, x.stacked);
      at::gelu_out(y, x.tensor, Approximation(op));
      return {y, x.stacked};
    }
    case OpCode::kDropout: {
      const at::Tensor factors = Factors(op);
      if (!factors.defined() && op.in_place) return x;
      const bool stacked = x.stacked || factors.defined();
      at::Tensor y = Out(op, stacked);
      // A copy, where nothing is dropped: who reads it may overwrite it.
      factors.defined() ? at::mul_out(y, x.tensor, factors) : y.copy_(x.tensor);
      return {y, stacked};
    }
    case OpCode::kAdd: {
      const Value& other = values_[op.inputs[1]];
      const bool stacked = x.stacked || other.stacked;
      at::Tensor y = Out(op, stacked);
      at::add_out(y, x.tensor, other.tensor);
      return {y, stacked};
    }
    case OpCode::kLayerNorm:
      return RunLayerNorm(op);
    case OpCode::kTanh:
    case OpCode::kSigmoid:
      break;
  }
  TORCH_CHECK(false, "operation ", static_cast<int>(op.code), " is unknown");
}

Value Network::RunLayerNorm(const GroupedOp& op) {
  const at::Tensor& x = values_[op.inputs[0]].tensor;
  Kept& kept = kept_[op.index];
  std::tie(kept.normalized, kept.mean, kept.rstd) = at::native_layer_norm(
      x, {x.size(-1)}, {}, {}, model_->numbers[op.index].eps);
  at::Tensor y = Out(op, true);
  at::addcmul_out(y, Parameter(op.bias).unsqueeze(1), kept.normalized,
                  Parameter(op.weight).unsqueeze(1));
  return {y, true};
}

Value Network::RunUnderVmap(const GroupedOp& op, bool differentiable) {
  const Value& x = values_[op.inputs[0]];
  const auto run = [&](const Value& input) {
    return Vmap(models_, {input},
                [&](const Tensors& one) { return RunForOneModel(op, one[0]); });
  };
  if (!differentiable || !op.wants_gradient[0]) return run(x);
  const at::AutoGradMode with_gradients(true);
  Kept& kept = kept_[op.index];
  kept.input = x.tensor.detach().requires_grad_();
  kept.output = run({kept.input, x.stacked}).tensor;
  return {kept.output.detach(), x.stacked};
}

const std::vector<at::Tensor>& Network::Backward(
    const at::Tensor& output_gradient) {
  const at::AutoGradMode without_gradients(false);
  gradients_.assign(values_.size(), at::Tensor());
  gradients_.back() = output_gradient;
  for (auto op = plan_->ops.rbegin(); op != plan_->ops.rend(); ++op) {
    if (gradients_[op->output].defined()) {
      RunBackward(*op);
      continue;
    }
    // Nobody reads the output.
    if (op->weight >= 0) parameter_gradients_[op->weight].zero_();
    if (op->bias >= 0) parameter_gradients_[op->bias].zero_();
  }
  gradients_.clear();
  for (Kept& kept : kept_) kept = {};
  return parameter_gradients_;
}

template <typename Write>
void Network::PutGradient(const GroupedOp& op, int j, const Write& write) {
  if (!op.wants_gradient[j]) return;
  const grouped::ValueId in = op.inputs[j];
  at::Tensor& gradient = gradients_[in];
  if (gradient.defined()) {
    at::Tensor more = at::empty_like(gradient);
    write(more);
    gradient.add_(more);
    return;
  }
  gradient = gradient_places_[in];
  write(gradient);
}

void Network::RunBackward(const GroupedOp& op) {
  const at::AutoDispatchBelowADInplaceOrView without_autograd;
  const at::Tensor dy = gradients_[op.output];
  const Value& x = values_[op.inputs[0]];
  const at::Tensor& y = values_[op.output].tensor;
  switch (op.code) {
    case OpCode::kLinear:
      LinearWeightGradient(x, dy, parameter_gradients_[op.weight]);
      if (op.bias >= 0) LinearBiasGradient(dy, parameter_gradients_[op.bias]);
      PutGradient(op, 0, [&](at::Tensor dx) {
        LinearInputGradient(Parameter(op.weight), dy, dx);
      });
      return;
    case OpCode::kRelu:
      PutGradient(op, 0, [&](at::Tensor dx) {
        at::threshold_backward_out(dx, dy, y, 0);
      });
      return;
    case OpCode::kGelu:
    case OpCode::kGeluTanh:
      PutGradient(op, 0, [&](at::Tensor dx) {
        at::gelu_backward_out(dx, dy, x.tensor, Approximation(op));
      });
      return;
    case OpCode::kDropout: {
      const at::Tensor factors = Factors(op);
      PutGradient(op, 0, [&](at::Tensor dx) {
        if (factors.defined()) {
          at::mul_out(dx, dy, factors);
        } else if (!dx.is_same(dy)) {
          dx.copy_(dy);
        }
      });
      return;
    }
    case OpCode::kFlatten:
    case OpCode::kAdd:
      for (int j = 0; j < op.num_inputs; ++j) {
        PutGradient(op, j, [&](at::Tensor dx) {
          if (!dx.is_same(dy)) dx.copy_(dy);
        });
      }
      return;
    case OpCode::kLayerNorm:
      RunLayerNormBackward(op, dy);
      return;
    case OpCode::kTanh:
    case OpCode::kSigmoid:
      PutGradient(op, 0, [&](at::Tensor dx) {
        const Kept& kept = kept_[op.index];
        dx.copy_(torch::autograd::grad({kept.output}, {kept.input}, {dy})[0]);
      });
      return;
  }
}

void Network::RunLayerNormBackward(const GroupedOp& op, const at::Tensor& dy) {
  const at::Tensor& x = values_[op.inputs[0]].tensor;
  const Kept& kept = kept_[op.index];
  at::sum_out(parameter_gradients_[op.weight], dy.mul(kept.normalized), {1});
  at::sum_out(parameter_gradients_[op.bias], dy, {1});
  PutGradient(op, 0, [&](at::Tensor dx) {
    dx.copy_(std::get<0>(at::native_layer_norm_backward(
        dy.mul(Parameter(op.weight).unsqueeze(1)), x, {x.size(-1)}, kept.mean,
        kept.rstd, {}, {}, {true, false, false})));
  });
}

}  // namespace modelbatch::libtorch
