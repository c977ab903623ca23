#include "backends/libtorch/forward.h"

#include <ATen/ops/add.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include "backends/libtorch/linear.h"

namespace modelbatch::libtorch {
namespace {

using grouped::GroupedOp;
using grouped::OpCode;
using Tensors = std::vector<at::Tensor>;

// One operation for one model; what it reads is in `x`, in order: inputs,
// then parameters or the dropout factors.
at::Tensor RunForOneModel(const GroupedOp& op, double eps, const Tensors& x) {
  switch (op.code) {
    case OpCode::kRelu:
      return at::relu(x[0]);
    case OpCode::kGelu:
      return at::gelu(x[0], "none");
    case OpCode::kGeluTanh:
      return at::gelu(x[0], "tanh");
    case OpCode::kTanh:
      return at::tanh(x[0]);
    case OpCode::kSigmoid:
      return at::sigmoid(x[0]);
    case OpCode::kDropout:
      return at::mul(x[0], x[1]);
    case OpCode::kAdd:
      return at::add(x[0], x[1]);
    case OpCode::kLayerNorm:
      return at::layer_norm(x[0], {x[0].size(-1)}, x[1], x[2], eps);
    case OpCode::kLinear:
    case OpCode::kFlatten:
      break;
  }
  TORCH_CHECK(false, "operation ", static_cast<int>(op.code),
              " has no form for one model");
}

Value RunOp(const ForwardArgs& args, const GroupedOp& op,
            const std::vector<Value>& values) {
  const Value& x = values[op.inputs[0]];
  const auto parameter = [&](int index) {
    return index < 0 ? at::Tensor() : (*args.parameters)[index];
  };
  std::vector<Value> read;
  for (int j = 0; j < op.num_inputs; ++j) {
    read.push_back(values[op.inputs[j]]);
  }
  switch (op.code) {
    case OpCode::kFlatten:
      return x;  // values are [rows, elements] already
    case OpCode::kLinear:
      return {StackedLinear(x, parameter(op.weight), parameter(op.bias)), true};
    case OpCode::kDropout:
      if (args.dropout_factors == nullptr ||
          !(*args.dropout_factors)[op.index].defined()) {
        return x;
      }
      read.push_back({(*args.dropout_factors)[op.index], true});
      break;
    case OpCode::kLayerNorm:
      read.push_back({parameter(op.weight), true});
      read.push_back({parameter(op.bias), true});
      break;
    default:
      break;
  }
  const double eps = args.model->numbers[op.index].eps;
  return Vmap(args.num_models, read,
              [&](const Tensors& x) { return RunForOneModel(op, eps, x); });
}

}  // namespace

at::Tensor RunForward(const ForwardArgs& args) {
  std::vector<Value> values = {args.input};
  for (const GroupedOp& op : args.plan->ops) {
    values.push_back(RunOp(args, op, values));
  }
  const Value& output = values.back();
  if (output.stacked) return output.tensor;
  return output.tensor.unsqueeze(0).expand(
      {args.num_models, output.tensor.size(0), output.tensor.size(1)});
}

}  // namespace modelbatch::libtorch
