#include "backends/cpu/model_step.h"

#include <algorithm>

#include "backends/cpu/pieces.h"
#include "modelbatch/util/round_up.h"

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

int64_t Bytes(int64_t floats) {
  return floats * static_cast<int64_t>(sizeof(float));
}

// The parameters of an operation lie one behind the other.
Range ParametersOf(const grouped::ModelPlan& model, const GroupedOp& op) {
  const grouped::ParameterPlan& first = model.parameters[op.weight];
  const grouped::ParameterPlan& last =
      model.parameters[op.bias < 0 ? op.weight : op.bias];
  return {first.offset, last.offset + last.size};
}

}  // namespace

int64_t ModelStep::ScratchSize(const grouped::Plan& plan) {
  int64_t size = 0;
  for (const grouped::ModelPlan& model : plan.models) {
    for (const GroupedOp& op : plan.ops) {
      if (op.code != OpCode::kLinear) continue;
      const int64_t in = model.values[op.inputs[0]].cols;
      const int64_t out = model.values[op.output].cols;
      size = std::max(
          {size,
           in * std::min(RoundUp(out, kAlignFloats), ForwardPieceColumns(in)),
           in * std::min(out, MostWeightPieceOutputs(in)) +
               RoundUp(out, kAlignFloats)});
    }
  }
  return size;
}

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

template <typename F>
void ModelStep::ForEachForwardPiece(const GroupedOp& op, F f) const {
  const int64_t out = OutputCols(op);
  // Members share the outputs; where these are few, the rows.
  const bool by_columns = member.CanShare(out, kAlignFloats);
  const Range columns =
      by_columns ? member.Share(out, kAlignFloats) : Range{0, out};
  const Range share = by_columns ? Range{0, rows} : member.Share(rows);
  if (share.size() == 0) return;
  const int64_t step = ForwardPieceColumns(InputCols(op));
  for (int64_t begin = columns.begin; begin < columns.end; begin += step) {
    f(Range{begin, std::min(begin + step, columns.end)}, share);
  }
}

template <typename F>
void ModelStep::ForEachWeightPiece(const GroupedOp& op, F f) const {
  const Range share = member.Share(OutputCols(op));
  const int64_t step = WeightPieceOutputs(InputCols(op), share.size());
  for (int64_t begin = share.begin; begin < share.end; begin += step) {
    f(Range{begin, std::min(begin + step, share.end)});
  }
}

// In the order in which Forward and BackwardWeights call Advance.
void ModelStep::FillQueue() const {
  if (prefetch == nullptr) return;
  prefetch->Clear();
  // Those of a small model have come as `next_params`, and stay.
  const bool params_come = Bytes(model->state_size) > PrefetchQueue::kAhead;
  const auto weight = [&](const GroupedOp& op, const float* block,
                          const Range& outputs) {
    const int64_t in = InputCols(op);
    prefetch->Add(
        block + model->parameters[op.weight].offset + outputs.begin * in,
        outputs.size() * in);
  };
  for (const GroupedOp& op : plan->ops) {
    if (op.code != OpCode::kLinear) continue;
    ForEachForwardPiece(op, [&](const Range& columns, const Range&) {
      prefetch->Begin();
      if (params_come) weight(op, params, columns);
    });
  }
  for (const GroupedOp& op : plan->ops) {
    if (op.code != OpCode::kLinear || states[0] == nullptr) continue;
    ForEachWeightPiece(op, [&](const Range& outputs) {
      prefetch->Begin();
      for (const float* state : states) {
        if (state != nullptr) weight(op, state, outputs);
      }
      if (params_come) weight(op, params, outputs);
    });
  }
  if (next_params == nullptr) return;
  prefetch->Begin();
  prefetch->Add(next_params,
                std::min(next_params_size, PrefetchQueue::kAhead / Bytes(1)));
}

void ModelStep::Forward() const {
  FillQueue();
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
// consecutive outputs.
void ModelStep::ForwardLinear(const GroupedOp& op) const {
  ForEachForwardPiece(op, [&](const Range& columns, const Range& share) {
    ForwardPiece(op, columns, share);
  });
}

void ModelStep::ForwardPiece(const GroupedOp& op, const Range& columns,
                             const Range& share) const {
  Advance();
  const int64_t in = InputCols(op);
  const Matrix transposed = {scratch, RoundUp(columns.size(), kAlignFloats)};
  kernels->transpose(columns.size(), in, Param(op.weight) + columns.begin * in,
                     transposed);
  const ConstMatrix x = From(Input(op.inputs[0]), share.begin);
  const Matrix y = From(Value(op.output), share.begin, columns.begin);
  GemmArgs gemm;
  gemm.m = share.size();
  gemm.n = columns.size();
  gemm.a_row = x.ld;
  gemm.a_col = 1;
  gemm.b_row = transposed.ld;
  gemm.b_padded = true;
  gemm.c = y.data;
  gemm.c_row = y.ld;
  gemm.c_padded = true;
  gemm.tiling = Tilings(op).forward;
  gemm.prefetch = prefetch;
  for (int part = 0; part < product_parts; ++part) {
    const int64_t begin = in * part / product_parts;
    const int64_t end = in * (part + 1) / product_parts;
    const bool last = part + 1 == product_parts;
    gemm.k = end - begin;
    gemm.a = x.data + begin;
    gemm.b = transposed.data + begin * transposed.ld;
    gemm.accumulate = part > 0;
    gemm.bias = last && op.bias >= 0 ? Param(op.bias) + columns.begin : nullptr;
    gemm.relu = last && op.relu_epilogue;
    kernels->gemm(gemm);
  }
}

void ModelStep::BackwardValues(float* grads) const {
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
      if (op.wants_gradient[0]) BackwardInput(op);
      break;
    case OpCode::kRelu:
      if (op.backward_in_epilogue) break;
      [[fallthrough]];
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

bool ModelStep::GradientsMustBeFinite(const float* grads) const {
  // A sum of 2^24 products, the most rows there can be, stays below 2^105 on
  // the way, roundings included, and one of gradients below 2^65.
  constexpr float kBound = 0x1p40f;
  const auto below = [&](ConstMatrix x, int64_t cols) {
    const auto [first, end] = member.Share(rows);
    return kernels->all_below(end - first, cols, kBound, From(x, first));
  };
  for (const GroupedOp& op : plan->ops) {
    if (op.weight < 0) continue;
    if (op.code == OpCode::kLinear) {
      if (!below(Input(op.inputs[0]), InputCols(op)) ||
          !below(Gradient(op.output), OutputCols(op))) {
        return false;
      }
    } else if (member.leads()) {
      const Range own = ParametersOf(*model, op);
      if (!kernels->all_below(1, own.size(), __builtin_inff(),
                              {grads + own.begin, own.size()})) {
        return false;
      }
    }
  }
  return true;
}

void ModelStep::BackwardWeights(float* grads) const {
  for (const GroupedOp& op : plan->ops) {
    if (op.code != OpCode::kLinear) continue;
    ForEachWeightPiece(op, [&](const Range& outputs) {
      Advance();
      WeightGradient(op, outputs,
                     grads + model->parameters[op.weight].offset +
                         outputs.begin * InputCols(op));
    });
    if (op.bias < 0) continue;
    const Range columns = member.Share(OutputCols(op), kAlignFloats);
    BiasGradient(op, columns,
                 grads + model->parameters[op.bias].offset + columns.begin);
  }
  member.Wait();
}

void ModelStep::BackwardWeights(const float* grads, Receive receive) const {
  for (const GroupedOp& op : plan->ops) {
    if (op.weight < 0) continue;
    if (op.code != OpCode::kLinear) {
      const Range own = ParametersOf(*model, op);
      if (member.leads()) receive(own, grads + own.begin);
      continue;
    }
    const int64_t in = InputCols(op), out = OutputCols(op);
    const int64_t weight = model->parameters[op.weight].offset;
    const Range biases =
        op.bias < 0 ? Range{} : member.Share(out, kAlignFloats);
    bool has_bias = biases.size() > 0;
    ForEachWeightPiece(op, [&](const Range& outputs) {
      Advance();
      WeightGradient(op, outputs, scratch);
      Range piece = {weight + outputs.begin * in, weight + outputs.end * in};
      // The bias comes behind the last output's weights.
      if (has_bias && biases.size() == out && outputs.end == out) {
        BiasGradient(op, biases, scratch + piece.size());
        piece.end += out;
        has_bias = false;
      }
      receive(piece, scratch);
    });
    if (!has_bias) continue;
    BiasGradient(op, biases, scratch);
    const int64_t bias = model->parameters[op.bias].offset;
    receive({bias + biases.begin, bias + biases.end}, scratch);
  }
}

// dw = dy^T x, over the rows in order.
void ModelStep::WeightGradient(const GroupedOp& op, const Range& outputs,
                               float* grads) const {
  if (outputs.size() == 0) return;
  const ConstMatrix x = Input(op.inputs[0]);
  const ConstMatrix dy = Gradient(op.output);
  GemmArgs dw;
  dw.m = outputs.size();
  dw.n = InputCols(op);
  dw.k = rows;
  dw.a = dy.data + outputs.begin;
  dw.a_row = 1;
  dw.a_col = dy.ld;
  dw.b = x.data;
  dw.b_row = x.ld;
  dw.b_padded = true;
  dw.c = grads;
  dw.c_row = dw.n;
  dw.tiling = Tilings(op).weight_gradient;
  dw.prefetch = prefetch;
  kernels->gemm(dw);
}

// `outputs` begin at a multiple of kAlignFloats.
void ModelStep::BiasGradient(const GroupedOp& op, const Range& outputs,
                             float* grads) const {
  if (outputs.size() == 0) return;
  kernels->column_sum(rows, outputs.size(),
                      From(ConstMatrix(Gradient(op.output)), 0, outputs.begin),
                      grads);
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
  if (op.relu_backward_epilogue) {
    gemm.relu_output =
        From(Input(op.inputs[0]), share.begin, columns.begin).data;
  }
  gemm.tiling = Tilings(op).input_gradient;
  gemm.prefetch = prefetch;
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
