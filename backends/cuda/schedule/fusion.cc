#include "backends/cuda/schedule/fusion.h"

#include <algorithm>

namespace modelbatch::cuda {

using grouped::GroupedOp;
using grouped::OpCode;
using grouped::ValueId;

Activation ActivationOf(OpCode code) {
  switch (code) {
    case OpCode::kRelu:
      return Activation::kRelu;
    case OpCode::kGelu:
      return Activation::kGelu;
    case OpCode::kGeluTanh:
      return Activation::kGeluTanh;
    case OpCode::kTanh:
      return Activation::kTanh;
    case OpCode::kSigmoid:
      return Activation::kSigmoid;
    default:
      return Activation::kNone;
  }
}

namespace {

std::vector<int> CountConsumers(const grouped::Plan& plan) {
  std::vector<int> consumers(plan.ops.size() + 1, 0);
  for (const GroupedOp& op : plan.ops) {
    for (int j = 0; j < op.num_inputs; ++j) ++consumers[op.inputs[j]];
  }
  return consumers;
}

bool BackwardReadsInput(OpCode code) {
  return code == OpCode::kLinear || code == OpCode::kGelu ||
         code == OpCode::kGeluTanh || code == OpCode::kLayerNorm;
}
bool BackwardReadsOutput(OpCode code) {
  return code == OpCode::kRelu || code == OpCode::kTanh ||
         code == OpCode::kSigmoid;
}

}  // namespace

std::vector<bool> FindInputs(const grouped::Plan& plan) {
  std::vector<bool> input(plan.ops.size() + 1, false);
  input[0] = true;
  for (const GroupedOp& op : plan.ops) {
    input[op.output] = op.code == OpCode::kFlatten && input[op.inputs[0]];
  }
  return input;
}

std::vector<Fusion> Fuse(const grouped::Plan& plan) {
  const std::vector<GroupedOp>& ops = plan.ops;
  const std::vector<int> consumers = CountConsumers(plan);
  std::vector<Fusion> fusion(ops.size());
  for (size_t i = 0; i < ops.size(); ++i) {
    const GroupedOp& op = ops[i];
    if (ActivationOf(op.code) == Activation::kNone) continue;
    // The linear layer stores the activation's output beside its own, or, where
    // the plan lets both lie in one buffer, instead of it.
    if (op.inputs[0] > 0) {
      Fusion& producer = fusion[op.inputs[0] - 1];
      if (ops[op.inputs[0] - 1].code == OpCode::kLinear &&
          producer.forward_activation < 0) {
        producer.forward_activation = static_cast<int>(i);
        fusion[i].forward_done = true;
      }
    }
  }
  for (size_t i = 0; i < ops.size(); ++i) {
    const GroupedOp& op = ops[i];
    if (op.code != OpCode::kLinear || !op.wants_gradient[0] ||
        op.accumulates[0] || op.inputs[0] == 0) {
      continue;
    }
    // Nobody else may add to the gradient that the derivative is taken of, nor
    // to the one that it goes to: the order of those sums is the plan's.
    const int before = op.inputs[0] - 1;
    if (ActivationOf(ops[before].code) == Activation::kNone ||
        consumers[op.inputs[0]] != 1 || !ops[before].wants_gradient[0] ||
        consumers[ops[before].inputs[0]] != 1) {
      continue;
    }
    fusion[i].backward_activation = before;
    fusion[before].backward_done = true;
  }
  return fusion;
}

BufferLifetimes FindLifetimes(const grouped::Plan& plan,
                              const std::vector<Fusion>& fusion,
                              const std::vector<bool>& updated_late) {
  const std::vector<GroupedOp>& ops = plan.ops;
  const int n = static_cast<int>(ops.size());
  const auto backward = [n](int op) { return 2 * n - op; };
  const std::vector<bool> input = FindInputs(plan);
  BufferLifetimes found;
  found.value_buffer.assign(n + 1, -1);
  found.gradient_buffer.assign(n + 1, -1);
  found.stats_buffer.assign(n, -1);
  const auto make = [&found] {
    found.buffers.emplace_back();
    return static_cast<int>(found.buffers.size()) - 1;
  };
  for (int i = 0; i < n; ++i) {
    const GroupedOp& op = ops[i];
    const ValueId in = op.inputs[0], out = op.output;
    const bool same_value = op.in_place || op.code == OpCode::kFlatten;
    found.value_buffer[out] = same_value ? found.value_buffer[in] : make();
    if (input[out]) found.value_buffer[out] = -1;
    found.gradient_buffer[out] = op.in_place && found.gradient_buffer[in] >= 0
                                     ? found.gradient_buffer[in]
                                     : make();
    if (op.code == OpCode::kLayerNorm) found.stats_buffer[i] = make();
  }

  const auto touch = [&found](int buffer, int time) {
    if (buffer >= 0) found.buffers[buffer].Touch(time);
  };
  const auto value = [&](ValueId v, int t) { touch(found.value_buffer[v], t); };
  const auto gradient = [&](ValueId v, int t) {
    touch(found.gradient_buffer[v], t);
  };
  for (int i = 0; i < n; ++i) {
    const GroupedOp& op = ops[i];
    const int forward =
        fusion[i].forward_done ? op.inputs[0] - 1 : i;  // when it is computed
    value(op.output, forward);
    for (int j = 0; j < op.num_inputs; ++j) value(op.inputs[j], forward);
    const bool wanted = op.wants_gradient[0] || op.wants_gradient[1];
    if (!wanted && op.weight < 0) continue;  // no backward pass

    if (updated_late[i]) {
      value(op.inputs[0], 2 * n + 1);
      gradient(op.output, 2 * n + 1);
    }
    touch(found.stats_buffer[i], i);
    touch(found.stats_buffer[i], backward(i));
    if (BackwardReadsInput(op.code)) value(op.inputs[0], backward(i));
    if (BackwardReadsOutput(op.code)) value(op.output, backward(i));
    if (fusion[i].backward_done) continue;  // see below
    gradient(op.output, backward(i));
    for (int j = 0; j < op.num_inputs; ++j) {
      if (op.wants_gradient[j] && fusion[i].backward_activation < 0) {
        gradient(op.inputs[j], backward(i));
      }
    }
    if (fusion[i].backward_activation >= 0) {
      const GroupedOp& before = ops[fusion[i].backward_activation];
      gradient(before.inputs[0], backward(i));
      value(before.inputs[0], backward(i));
      value(before.output, backward(i));
    }
  }
  for (int i = 0; i < n; ++i) {  // statistics are written in evaluation too
    touch(found.stats_buffer[i], i);
  }
  value(plan.output(), n);
  gradient(plan.output(), n);
  return found;
}

}  // namespace modelbatch::cuda
