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

Matrix From(const Matrix& matrix, int64_t row, int64_t col = 0) {
  return {matrix.data + row * matrix.ld + col, matrix.ld};
}
ConstMatrix From(const ConstMatrix& matrix, int64_t row, int64_t col = 0) {
  return {matrix.data + row * matrix.ld + col, matrix.ld};
}

// Nothing is computed: the output is the input's memory, or some product's
// epilogue has done it.
bool IsFree(const GroupedOp& op) {
  return op.code == OpCode::kFlatten || op.in_epilogue;
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

DropoutKey ModelStep::Key(const GroupedOp& op, int64_t first_row) const {
  return {model->seed, step, static_cast<uint32_t>(op.index),
          model->numbers[op.index].p, first_row};
}

void ModelStep::Forward() const {
  for (const GroupedOp& op : plan->ops) {
    if (IsFree(op)) continue;
    ForwardOp(op);
    member.Wait();
  }
}

void ModelStep::ForwardOp(const GroupedOp& op) const {
  if (op.code == OpCode::kLinear) return ForwardLinear(op);
  const int64_t cols = model->values[op.output].cols;
  const auto [first, end] = member.Share(this->rows);
  const int64_t rows = end - first;
  const ConstMatrix x = From(Input(op.inputs[0]), first);
  const Matrix y = From(Value(op.output), first);
  switch (op.code) {
    case OpCode::kLinear:
    case OpCode::kFlatten:
      break;  // above, and IsFree
    case OpCode::kRelu:
    case OpCode::kGelu:
    case OpCode::kGeluTanh:
    case OpCode::kTanh:
    case OpCode::kSigmoid:
      kernels->unary_forward(UnaryOf(op.code), rows, cols, x, y);
      break;
    case OpCode::kDropout:
      if (training) {
        kernels->dropout(rows, cols, x, y, Key(op, first),
                         /*accumulate=*/false);
      } else if (!op.in_place) {
        kernels->copy(rows, cols, x, y);
      }
      break;
    case OpCode::kAdd:
      kernels->add(rows, cols, x, From(Input(op.inputs[1]), first), y);
      break;
    case OpCode::kLayerNorm: {
      const OpNumbers& numbers = model->numbers[op.index];
      float* mean = workspace + numbers.stats + first;
      kernels->layer_norm_forward(rows, cols, numbers.eps, x, Param(op.weight),
                                  Param(op.bias), y, mean,
                                  mean + plan->max_rows);
      break;
    }
  }
}

// y = x w^T + b. The weight is [out, in]; its transpose lets the kernel read
// consecutive outputs. Members share the outputs, each transposing its own;
// where these are few, the rows.
void ModelStep::ForwardLinear(const GroupedOp& op) const {
  const OpNumbers& numbers = model->numbers[op.index];
  const int64_t in = model->values[op.inputs[0]].cols;
  const int64_t out = model->values[op.output].cols;
  const bool by_columns = member.CanShare(out, kAlignFloats);
  const Range columns =
      by_columns ? member.Share(out, kAlignFloats) : Range{0, out};
  const Range share = by_columns ? Range{0, rows} : member.Share(rows);
  const Matrix packed = {workspace + numbers.packed + columns.begin,
                         numbers.packed_ld};
  if (by_columns || member.leads()) {
    kernels->transpose(columns.size(), in,
                       Param(op.weight) + columns.begin * in, packed);
  }
  if (!by_columns) member.Wait();
  if (share.size() == 0) return;
  const ConstMatrix x = From(Input(op.inputs[0]), share.begin);
  const Matrix y = From(Value(op.output), share.begin, columns.begin);
  GemmArgs gemm;
  gemm.m = share.size();
  gemm.n = columns.size();
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
    gemm.bias = last && op.bias >= 0 ? Param(op.bias) + columns.begin : nullptr;
    gemm.relu = last && op.relu_epilogue;
    kernels->gemm(gemm);
  }
}

void ModelStep::Backward(float* grads) const {
  for (auto op = plan->ops.rbegin(); op != plan->ops.rend(); ++op) {
    BackwardOp(*op, grads);
    member.Wait();
  }
}

void ModelStep::BackwardOp(const GroupedOp& op, float* grads) const {
  const int64_t cols = model->values[op.output].cols;
  const ValueId in = op.inputs[0];
  const auto [first, end] = member.Share(this->rows);
  const int64_t rows = end - first;
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
      kernels->unary_backward(
          UnaryOf(op.code), rows, cols, From(Input(in), first),
          From(Value(op.output), first), From(Gradient(op.output), first),
          From(Gradient(in), first), op.accumulates[0]);
      break;
    case OpCode::kDropout:
      if (!op.wants_gradient[0]) break;
      kernels->dropout(rows, cols, From(Gradient(op.output), first),
                       From(Gradient(in), first), Key(op, first),
                       op.accumulates[0]);
      break;
    case OpCode::kFlatten:
    case OpCode::kAdd:
      BackwardAdd(op);
      break;
    case OpCode::kLayerNorm: {
      if (!member.leads()) break;  // its sums run over the rows
      const OpNumbers& numbers = model->numbers[op.index];
      const float* mean = workspace + numbers.stats;
      const Matrix dx = op.wants_gradient[0] ? Gradient(in) : Matrix{};
      kernels->layer_norm_backward(
          this->rows, cols, Input(in), Param(op.weight), mean,
          mean + plan->max_rows, Gradient(op.output), dx, op.accumulates[0],
          grads + model->parameters[op.weight].offset,
          grads + model->parameters[op.bias].offset);
      break;
    }
  }
}

void ModelStep::BackwardLinear(const GroupedOp& op, float* grads) const {
  BackwardWeight(op, grads);
  if (op.wants_gradient[0]) BackwardInput(op);
}

// dw = dy^T x, over the rows in order, and the bias's column sums. Members
// share the outputs.
void ModelStep::BackwardWeight(const GroupedOp& op, float* grads) const {
  const int64_t in = model->values[op.inputs[0]].cols;
  const int64_t out = model->values[op.output].cols;
  const ConstMatrix x = Input(op.inputs[0]);
  const ConstMatrix dy = Gradient(op.output);
  const Range share = member.Share(out);
  GemmArgs dw;
  dw.m = share.size();
  dw.n = in;
  dw.k = rows;
  dw.a = dy.data + share.begin;
  dw.a_row = 1;
  dw.a_col = dy.ld;
  dw.b = x.data;
  dw.b_row = x.ld;
  dw.b_padded = true;
  dw.c = grads + model->parameters[op.weight].offset + share.begin * in;
  dw.c_row = in;
  dw.tiling = Tilings(op).weight_gradient;
  if (dw.m > 0) kernels->gemm(dw);
  if (op.bias < 0) return;
  const Range columns = member.Share(out, kAlignFloats);
  if (columns.size() == 0) return;
  kernels->column_sum(
      rows, columns.size(), From(dy, 0, columns.begin),
      grads + model->parameters[op.bias].offset + columns.begin);
}

// dx = dy w. Members share the inputs, or the rows where these are few.
void ModelStep::BackwardInput(const GroupedOp& op) const {
  const int64_t in = model->values[op.inputs[0]].cols;
  const int64_t out = model->values[op.output].cols;
  const bool by_columns = member.CanShare(in, kAlignFloats);
  const Range columns =
      by_columns ? member.Share(in, kAlignFloats) : Range{0, in};
  const Range share = by_columns ? Range{0, rows} : member.Share(rows);
  if (share.size() == 0) return;
  const ConstMatrix dy = From(ConstMatrix(Gradient(op.output)), share.begin);
  const Matrix dx = From(Gradient(op.inputs[0]), share.begin, columns.begin);
  GemmArgs gemm;
  gemm.m = share.size();
  gemm.n = columns.size();
  gemm.k = out;
  gemm.a = dy.data;
  gemm.a_row = dy.ld;
  gemm.a_col = 1;
  gemm.b = Param(op.weight) + columns.begin;
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
  const auto [first, end] = member.Share(this->rows);
  const int64_t rows = end - first;
  const ConstMatrix dy = From(ConstMatrix(Gradient(op.output)), first);
  for (int j = 0; j < op.num_inputs; ++j) {
    if (!op.wants_gradient[j]) continue;
    const Matrix dx = From(Gradient(op.inputs[j]), first);
    if (op.accumulates[j]) {
      kernels->add(rows, cols, dx, dy, dx);
    } else {
      kernels->copy(rows, cols, dy, dx);
    }
  }
}

}  // namespace modelbatch::cpu
