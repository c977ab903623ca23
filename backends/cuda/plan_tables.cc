#include "backends/cuda/plan_tables.h"

#include <cstddef>
#include <utility>

#include "modelbatch/util/philox.h"

namespace modelbatch::cuda {
namespace {

using grouped::GroupedOp;
using grouped::ModelPlan;
using grouped::OpCode;

DropoutMask MaskOf(const ModelPlan& model, const GroupedOp& op) {
  const double p = model.numbers[op.index].p;
  DropoutMask mask;
  mask.key[0] = static_cast<uint32_t>(model.seed);
  mask.key[1] = static_cast<uint32_t>(model.seed >> 32);
  mask.op = static_cast<uint32_t>(RandomPurpose::kDropout) << 24 |
            static_cast<uint32_t>(op.index);
  mask.scale = static_cast<float>(1 / (1 - p));
  mask.threshold = DropoutThreshold(p);
  return mask;
}

}  // namespace

ProductTables PlanTables::AddProduct(const ProductSchedule& schedule) {
  ProductTables tables;
  tables.problems = Add(schedule.problems);
  for (const TileList& list : schedule.lists) {
    tables.tiles.push_back(Add(list.tiles));
  }
  return tables;
}

void PlanTables::AddOp(const grouped::Plan& plan, const Schedule& schedule,
                       const GroupedOp& op) {
  const LinearSchedule& linear = schedule.linear[op.index];
  OpTables tables;
  tables.forward = AddProduct(linear.forward);
  tables.input_gradient = AddProduct(linear.input_gradient);
  tables.weight_gradient = AddProduct(linear.weight_gradient);
  tables.groups = Add(linear.wide.groups);
  tables.wide = Add(linear.wide.tiles);
  std::vector<int64_t> weight, bias, stats;
  std::vector<float> eps;
  std::vector<DropoutMask> masks;
  for (size_t m = 0; m < plan.models.size(); ++m) {
    const ModelPlan& model = plan.models[m];
    const auto offset = [&model](int parameter) {
      return parameter < 0
                 ? -1
                 : model.state_offset + model.parameters[parameter].offset;
    };
    weight.push_back(offset(op.weight));
    bias.push_back(offset(op.bias));
    stats.push_back(schedule.layouts[m].stats[op.index]);
    eps.push_back(static_cast<float>(model.numbers[op.index].eps));
    masks.push_back(MaskOf(model, op));
  }
  tables.weight = Add(weight);
  tables.bias = Add(bias);
  if (op.code == OpCode::kLayerNorm) {
    tables.stats = Add(stats);
    tables.eps = Add(eps);
  }
  if (op.code == OpCode::kDropout) tables.masks = Add(masks);
  ops.push_back(std::move(tables));
}

void PlanTables::Build(const grouped::Plan& plan, const Schedule& schedule) {
  for (size_t v = 0; v <= plan.ops.size(); ++v) {
    std::vector<MatrixPlace> of_value, of_gradient;
    for (const ModelLayout& layout : schedule.layouts) {
      of_value.push_back(layout.values[v]);
      of_gradient.push_back(layout.gradients[v]);
    }
    values.push_back(Add(of_value));
    gradients.push_back(Add(of_gradient));
  }
  for (const GroupedOp& op : plan.ops) AddOp(plan, schedule, op);
  state_tiles = Add(schedule.state_tiles);
  epilogue_state_tiles = Add(schedule.epilogue_state_tiles);
  other_state_tiles = Add(schedule.other_state_tiles);
  std::vector<int64_t> offsets, sizes;
  for (const ModelPlan& model : plan.models) {
    offsets.push_back(model.state_offset);
    sizes.push_back(model.state_size);
    packed_offsets.push_back(packed_size);
    packed_size += plan.max_rows * model.values[plan.output()].cols;
  }
  state_offsets = Add(offsets);
  state_sizes = Add(sizes);
  packed = Add(packed_offsets);
  const std::vector<double>& weights =
      plan.loss.has_classes() ? plan.loss.weight : plan.loss.pos_weight;
  loss_weights = Add(std::vector<float>(weights.begin(), weights.end()));
}

}  // namespace modelbatch::cuda
