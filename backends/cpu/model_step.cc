#include "backends/cpu/model_step.h"

namespace modelbatch::cpu {
namespace {

using grouped::BufferPlan;
using grouped::GroupedOp;
using grouped::OpCode;
using grouped::OpNumbers;
using grouped::ValueId;

Unary UnaryOf(OpCode code) {
  switch (code) {
    case OpCode::kGelu:
      return Unary::kGelu;
    case OpCode::kGeluTanh:
      return Unary::kGeluTanh;
    case OpCode::kTanh:
      return Unary::kTanh;
    case OpCode::kSigmoid:
      return Unary::kSigmoid;
    default:
      return Unary::kRelu;
  }
}

}  // namespace

Matrix ModelStep::Value(ValueId value) const {
  const BufferPlan& buffer = model->values[value];
  return {workspace + buffer.value, buffer.ld};
}

ConstMatrix ModelStep::Input(ValueId value) const {
  // The input may be shared by all models, outside of this workspace; a
  // flatten's output is the same memory.
  return model->values[value].value == model->values[0].value ? input
                                                              : Value(value);
}

Matrix ModelStep::Gradient(ValueId value) const {
  const BufferPlan& buffer = model->values[value];
  return {workspace + buffer.gradient, buffer.ld};
}

const float* ModelStep::Param(int index) const {
  return index < 0 ? nullptr : params + model->parameters[index].offset;
}

DropoutKey ModelStep::Key(const GroupedOp& op) const {
  return {model->seed, step, static_cast<uint32_t>(op.index),
          model->numbers[op.index].p};
}

void ModelStep::Forward() const {
  for (const GroupedOp& op : plan->ops) ForwardOp(op);
}

void ModelStep::ForwardOp(const GroupedOp& op) const {
  const int64_t cols = model->values[op.output].cols;
  const ConstMatrix x = Input(op.inputs[0]);
  const Matrix y = Value(op.output);
  switch (op.code) {
    case OpCode::kLinear:
      ForwardLinear(op);
      break;
    case OpCode::kRelu:
    case OpCode::kGelu:
    case OpCode::kGeluTanh:
    case OpCode::kTanh:
    case OpCode::kSigmoid:
      if (op.in_epilogue) break;
      kernels->unary_forward(UnaryOf(op.code), rows, cols, x, y);
      break;
    case OpCode::kDropout:
      if (training) {
        kernels->dropout(rows, cols, x, y, Key(op), /*accumulate=*/false);
      } else if (!op.in_place) {
        kernels->copy(rows, cols, x, y);
      }
      break;
    case OpCode::kFlatten:
      break;  // the same memory
    case OpCode::kAdd:
      kernels->add(rows, cols, x, Input(op.inputs[1]), y);
      break;
    case OpCode::kLayerNorm: {
      const OpNumbers& numbers = model->numbers[op.index];
      float* mean = workspace + numbers.stats;
      kernels->layer_norm_forward(rows, cols, numbers.eps, x, Param(op.weight),
                                  Param(op.bias), y, mean,
                                  mean + plan->max_rows);
      break;
    }
  }
}

// y = x w^T + b. The weight is [out, in]; its transpose lets the kernel read
// consecutive outputs.
void ModelStep::ForwardLinear(const GroupedOp& op) const {
  const OpNumbers& numbers = model->numbers[op.index];
  const int64_t in = model->values[op.inputs[0]].cols;
  const int64_t out = model->values[op.output].cols;
  const Matrix packed = {workspace + numbers.packed, numbers.packed_ld};
  kernels->transpose(out, in, Param(op.weight), packed);
  const ConstMatrix x = Input(op.inputs[0]);
  const Matrix y = Value(op.output);
  GemmArgs gemm;
  gemm.m = rows;
  gemm.n = out;
  gemm.a_row = x.ld;
  gemm.a_col = 1;
  gemm.b_row = packed.ld;
  gemm.b_padded = true;
  gemm.c = y.data;
  gemm.c_row = y.ld;
  gemm.c_padded = true;
  gemm.tiling = Tilings(op).forward;
  for (int part = 0; part < product_parts; ++part) {
    const int64_t begin = in * part / product_parts;
    const int64_t end = in * (part + 1) / product_parts;
    const bool last = part + 1 == product_parts;
    gemm.k = end - begin;
    gemm.a = x.data + begin;
    gemm.b = packed.data + begin * packed.ld;
    gemm.accumulate = part > 0;
    gemm.bias = last ? Param(op.bias) : nullptr;
    gemm.relu = last && op.relu_epilogue;
    kernels->gemm(gemm);
  }
}

void ModelStep::Backward(float* grads) const {
  for (auto op = plan->ops.rbegin(); op != plan->ops.rend(); ++op) {
    BackwardOp(*op, grads);
  }
}

void ModelStep::BackwardOp(const GroupedOp& op, float* grads) const {
  const int64_t cols = model->values[op.output].cols;
  const ValueId in = op.inputs[0];
  switch (op.code) {
    case OpCode::kLinear:
      BackwardLinear(op, grads);
      break;
    case OpCode::kRelu:
    case OpCode::kGelu:
    case OpCode::kGeluTanh:
    case OpCode::kTanh:
    case OpCode::kSigmoid:
      if (!op.wants_gradient[0]) break;
      kernels->unary_backward(UnaryOf(op.code), rows, cols, Input(in),
                              Value(op.output), Gradient(op.output),
                              Gradient(in), op.accumulates[0]);
      break;
    case OpCode::kDropout:
      if (!op.wants_gradient[0]) break;
      kernels->dropout(rows, cols, Gradient(op.output), Gradient(in), Key(op),
                       op.accumulates[0]);
      break;
    case OpCode::kFlatten:
    case OpCode::kAdd:
      BackwardAdd(op);
      break;
    case OpCode::kLayerNorm: {
      const OpNumbers& numbers = model->numbers[op.index];
      const float* mean = workspace + numbers.stats;
      const Matrix dx = op.wants_gradient[0] ? Gradient(in) : Matrix{};
      kernels->layer_norm_backward(rows, cols, Input(in), Param(op.weight),
                                   mean, mean + plan->max_rows,
                                   Gradient(op.output), dx, op.accumulates[0],
                                   grads + model->parameters[op.weight].offset,
                                   grads + model->parameters[op.bias].offset);
      break;
    }
  }
}

void ModelStep::BackwardLinear(const GroupedOp& op, float* grads) const {
  const int64_t in = model->values[op.inputs[0]].cols;
  const int64_t out = model->values[op.output].cols;
  const ConstMatrix x = Input(op.inputs[0]);
  const ConstMatrix dy = Gradient(op.output);
  GemmArgs dw;  // dw = dy^T x, over the rows in order
  dw.m = out;
  dw.n = in;
  dw.k = rows;
  dw.a = dy.data;
  dw.a_row = 1;
  dw.a_col = dy.ld;
  dw.b = x.data;
  dw.b_row = x.ld;
  dw.b_padded = true;
  dw.c = grads + model->parameters[op.weight].offset;
  dw.c_row = in;
  dw.tiling = Tilings(op).weight_gradient;
  kernels->gemm(dw);
  if (op.bias >= 0) {
    kernels->column_sum(rows, out, dy,
                        grads + model->parameters[op.bias].offset);
  }
  if (!op.wants_gradient[0]) return;
  const Matrix dx = Gradient(op.inputs[0]);
  GemmArgs gemm;  // dx = dy w
  gemm.m = rows;
  gemm.n = in;
  gemm.k = out;
  gemm.a = dy.data;
  gemm.a_row = dy.ld;
  gemm.a_col = 1;
  gemm.b = Param(op.weight);
  gemm.b_row = in;
  gemm.c = dx.data;
  gemm.c_row = dx.ld;
  gemm.c_padded = true;
  gemm.accumulate = op.accumulates[0];
  gemm.tiling = Tilings(op).input_gradient;
  kernels->gemm(gemm);
}

// The gradient goes to every input as it is.
void ModelStep::BackwardAdd(const GroupedOp& op) const {
  if (op.in_place) return;  // a flatten
  const int64_t cols = model->values[op.output].cols;
  const ConstMatrix dy = Gradient(op.output);
  for (int j = 0; j < op.num_inputs; ++j) {
    if (!op.wants_gradient[j]) continue;
    const Matrix dx = Gradient(op.inputs[j]);
    if (op.accumulates[j]) {
      kernels->add(rows, cols, dx, dy, dx);
    } else {
      kernels->copy(rows, cols, dy, dx);
    }
  }
}

}  // namespace modelbatch::cpu
