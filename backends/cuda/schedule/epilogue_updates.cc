#include "backends/cuda/schedule/epilogue_updates.h"

#include <cstdint>

namespace modelbatch::cuda {
namespace {

using grouped::GroupedOp;
using grouped::OpCode;
using grouped::ValueId;

// What a device moves in about the microsecond that a launch costs.
constexpr int64_t kLaunchBytes = int64_t{4} << 20;

// The linear layer in the epilogue of whose forward product `value` is made;
// -1: it is made elsewhere.
int MakerOf(const grouped::Plan& plan, const std::vector<Fusion>& fusion,
            ValueId value) {
  if (value == 0) return -1;
  const GroupedOp& op = plan.ops[value - 1];
  if (op.code == OpCode::kLinear) {
    // With an activation, that is what the epilogue has last.
    return fusion[op.index].forward_activation < 0 ? op.index : -1;
  }
  if (!fusion[op.index].forward_done) return -1;
  return op.inputs[0] - 1;
}

// The same of the gradient by `value` and of input gradients. Where several
// operations read the value, their gradients are added up elsewhere.
int GradientMakerOf(const grouped::Plan& plan,
                    const std::vector<Fusion>& fusion, ValueId value) {
  int readers = 0, maker = -1;
  for (const GroupedOp& op : plan.ops) {
    for (int j = 0; j < op.num_inputs; ++j) {
      if (op.inputs[j] != value) continue;
      ++readers;
      if (op.code == OpCode::kLinear && !op.accumulates[0] &&
          fusion[op.index].backward_activation < 0) {
        maker = op.index;
      }
    }
    const int before = fusion[op.index].backward_activation;
    if (before >= 0 && plan.ops[before].inputs[0] == value &&
        !plan.ops[before].accumulates[0]) {
      maker = op.index;
    }
  }
  return readers == 1 ? maker : -1;
}

// In bytes of a step: docs/cuda.md, "Bytes of an update".
int64_t GainOf(const grouped::Plan& plan, const GroupedOp& op,
               const EpilogueUpdate& update) {
  const int64_t looks = (update.x_seen ? 0 : 1) + (update.dy_seen ? 0 : 1);
  int64_t gain = -looks * kLaunchBytes;
  for (const grouped::ModelPlan& model : plan.models) {
    const int64_t in = model.values[op.inputs[0]].cols;
    const int64_t out = model.values[op.output].cols;
    gain += 8 * in * out;
    gain -= 4 * plan.max_rows *
            ((update.x_seen ? 1 : 2) * in + (update.dy_seen ? 1 : 2) * out);
  }
  return gain;
}

}  // namespace

std::vector<EpilogueUpdate> PlanEpilogueUpdates(
    const grouped::Plan& plan, const std::vector<Fusion>& fusion,
    EpilogueUpdates choice) {
  std::vector<EpilogueUpdate> updates(plan.ops.size());
  int64_t gain = -kLaunchBytes;  // of all: one more launch for what they leave
  int linear = 0;
  for (const GroupedOp& op : plan.ops) {
    if (op.code != OpCode::kLinear) continue;
    EpilogueUpdate& update = updates[op.index];
    update.x_seen = MakerOf(plan, fusion, op.inputs[0]) >= 0;
    update.dy_seen = GradientMakerOf(plan, fusion, op.output) >= 0;
    const int64_t own = GainOf(plan, op, update);
    update.used = choice == EpilogueUpdates::kAlways ||
                  (choice == EpilogueUpdates::kSome && linear % 2 == 0) ||
                  (choice == EpilogueUpdates::kWhereTheyPay && own > 0);
    if (update.used) gain += own;
    ++linear;
  }
  const bool pays = choice != EpilogueUpdates::kWhereTheyPay || gain > 0;
  for (const GroupedOp& op : plan.ops) {
    EpilogueUpdate& update = updates[op.index];
    update.used = update.used && pays;
    if (!update.used) continue;
    const int of_x = MakerOf(plan, fusion, op.inputs[0]);
    const int of_dy = GradientMakerOf(plan, fusion, op.output);
    if (of_x >= 0) updates[of_x].looks_at_y = true;
    if (of_dy >= 0) updates[of_dy].looks_at_dx = true;
  }
  return updates;
}

}  // namespace modelbatch::cuda
