#include "backends/cuda/schedule/schedule.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace modelbatch::cuda {
namespace {

using grouped::GroupedOp;
using grouped::ModelPlan;
using grouped::OpCode;

// Columns and rows are counted in 32 bits on the device, elements of one matrix
// too.
absl::Status CheckSizes(const grouped::Plan& plan) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  for (const ModelPlan& model : plan.models) {
    for (const grouped::BufferPlan& value : model.values) {
      if (value.cols <= kMost / plan.max_rows - kRowAlign) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "model ", model.id, ": a layer of ", value.cols, " values and ",
          plan.max_rows, " rows a step, expected at most 2^31 - 1 elements"));
    }
  }
  return absl::OkStatus();
}

LinearSchedule ScheduleLinear(const grouped::Plan& plan, const Schedule& s,
                              const GroupedOp& op, int multiprocessors) {
  const Fusion& fusion = s.fusion[op.index];
  LinearSchedule linear;
  for (size_t m = 0; m < plan.models.size(); ++m) {
    const ModelPlan& model = plan.models[m];
    const ModelLayout& layout = s.layouts[m];
    const MatrixPlace& x = layout.values[op.inputs[0]];
    const MatrixPlace& dy = layout.gradients[op.output];
    const auto in = static_cast<int32_t>(model.values[op.inputs[0]].cols);
    const auto out = static_cast<int32_t>(model.values[op.output].cols);
    const auto param = [&](int index) {
      return model.state_offset + model.parameters[index].offset;
    };

    ProductProblem forward;
    forward.model = static_cast<int32_t>(m);
    forward.n = out;
    forward.k = in;
    forward.a = x.offset;
    forward.lda = x.ld;
    forward.b = param(op.weight);
    forward.ldb = in;
    MatrixPlace y = layout.values[op.output];
    if (fusion.forward_activation >= 0) {
      const MatrixPlace& z = y;
      const GroupedOp& activation = plan.ops[fusion.forward_activation];
      if (!activation.in_place) {
        forward.saved = z.offset;
        forward.ld_saved = z.ld;
      }
      y = layout.values[activation.output];
    }
    forward.c = y.offset;
    forward.ldc = y.ld;
    if (op.bias >= 0) forward.bias = param(op.bias);
    linear.forward.problems.push_back(forward);

    ProductProblem weight;
    weight.model = forward.model;
    weight.m = out;
    weight.n = in;
    weight.a = dy.offset;
    weight.lda = dy.ld;
    weight.b = x.offset;
    weight.ldb = x.ld;
    weight.c = param(op.weight);
    weight.ldc = in;
    if (op.bias >= 0) weight.bias = param(op.bias);
    linear.weight_gradient.problems.push_back(weight);

    if (!op.wants_gradient[0]) continue;
    ProductProblem input;
    input.model = forward.model;
    input.n = in;
    input.k = out;
    input.a = dy.offset;
    input.lda = dy.ld;
    input.b = param(op.weight);
    input.ldb = in;
    MatrixPlace dx = layout.gradients[op.inputs[0]];
    if (fusion.backward_activation >= 0) {
      const GroupedOp& before = plan.ops[fusion.backward_activation];
      const bool reads_input =
          before.code == OpCode::kGelu || before.code == OpCode::kGeluTanh;
      const MatrixPlace& saved =
          layout.values[reads_input ? before.inputs[0] : before.output];
      input.saved = saved.offset;
      input.ld_saved = saved.ld;
      dx = layout.gradients[before.inputs[0]];
    }
    input.c = dx.offset;
    input.ldc = dx.ld;
    linear.input_gradient.problems.push_back(input);
  }
  const auto cut = [&plan](Product product, ProductSchedule& schedule) {
    schedule.lists = CutIntoTiles(product, schedule.problems, plan.max_rows);
  };
  cut(Product::kForward, linear.forward);
  if (s.input[op.inputs[0]]) {
    linear.wide =
        CutWide(linear.forward.problems, plan.max_rows, multiprocessors);
  }
  cut(Product::kWeightGradient, linear.weight_gradient);
  cut(Product::kInputGradient, linear.input_gradient);
  return linear;
}

// Where epilogues update, and the rest. Tiles of the former are for the rare
// models that the epilogues leave: as blocks without work are the rule, they
// are large, so that they are few.
void CutUpdates(const grouped::Plan& plan, Schedule* schedule) {
  constexpr int32_t kLarge = 16 * kStateTile;
  std::vector<StateBlock> epilogues, others;
  for (size_t m = 0; m < plan.models.size(); ++m) {
    const auto index = static_cast<int32_t>(m);
    const ModelPlan& model = plan.models[m];
    std::vector<bool> in_epilogue(model.parameters.size(), false);
    for (const GroupedOp& op : plan.ops) {
      if (schedule->epilogue_updates[op.index].used) {
        in_epilogue[op.weight] = true;
      }
    }
    int64_t begin = 0;  // of what is left
    const auto leave = [&](int64_t end) {
      others.push_back({index, model.state_offset + begin, end - begin});
    };
    for (size_t p = 0; p < model.parameters.size(); ++p) {
      if (!in_epilogue[p]) continue;
      const grouped::ParameterPlan& parameter = model.parameters[p];
      leave(parameter.offset);
      epilogues.push_back(
          {index, model.state_offset + parameter.offset, parameter.size});
      begin = parameter.offset + parameter.size;
    }
    leave(model.state_size);
  }
  schedule->epilogue_state_tiles = CutState(epilogues, kLarge);
  schedule->other_state_tiles = CutState(others);
}

}  // namespace

absl::StatusOr<Schedule> BuildSchedule(const grouped::Plan& plan,
                                       int multiprocessors,
                                       EpilogueUpdates choice) {
  if (absl::Status status = CheckSizes(plan); !status.ok()) return status;
  Schedule schedule;
  schedule.fusion = Fuse(plan);
  schedule.input = FindInputs(plan);
  schedule.epilogue_updates =
      PlanEpilogueUpdates(plan, schedule.fusion, choice);
  std::vector<bool> updated_late;
  for (const EpilogueUpdate& update : schedule.epilogue_updates) {
    updated_late.push_back(update.used);
  }
  const BufferLifetimes lifetimes =
      FindLifetimes(plan, schedule.fusion, updated_late);
  BufferLifetimes unshared = lifetimes;
  for (Lifetime& lifetime : unshared.buffers) {
    if (lifetime.used()) lifetime = {0, 0};
  }
  std::vector<StateBlock> blocks;
  for (const ModelPlan& model : plan.models) {
    schedule.layouts.push_back(
        LayOut(plan, model, lifetimes, schedule.workspace_size));
    schedule.workspace_size = schedule.layouts.back().end;
    schedule.workspace_size_unshared += LayOut(plan, model, unshared, 0).end;
    blocks.push_back({static_cast<int32_t>(blocks.size()), model.state_offset,
                      model.state_size});
  }
  schedule.state_tiles = CutState(blocks);
  CutUpdates(plan, &schedule);
  schedule.linear.resize(plan.ops.size());
  for (size_t i = 0; i < plan.ops.size(); ++i) {
    if (plan.ops[i].code != OpCode::kLinear) continue;
    schedule.linear[i] =
        ScheduleLinear(plan, schedule, plan.ops[i], multiprocessors);
  }
  return schedule;
}

}  // namespace modelbatch::cuda
