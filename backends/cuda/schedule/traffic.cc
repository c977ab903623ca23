#include "backends/cuda/schedule/traffic.h"

#include <cstdint>
#include <set>
#include <vector>

#include "backends/cuda/schedule/epilogue_updates.h"

namespace modelbatch::cuda {
namespace {

using grouped::GroupedOp;
using grouped::ModelPlan;
using grouped::OpCode;
using grouped::ValueId;

constexpr double kFloat = sizeof(float);

class Counter {
 public:
  Counter(const grouped::Plan& plan, const Schedule& schedule,
          const RowSet& rows, const UpdateTraffic& update)
      : plan_(plan), schedule_(schedule), update_(update) {
    std::set<int32_t> distinct;
    for (size_t m = 0; m < plan.models.size(); ++m) {
      const auto of_model = RowsOf(rows, m);
      rows_.push_back(static_cast<double>(of_model.size()));
      distinct.insert(of_model.begin(), of_model.end());
    }
    distinct_rows_ = static_cast<double>(distinct.size());
    indices_ = static_cast<double>(rows.rows.size()) * sizeof(int32_t);
  }

  Traffic Count() {
    for (const GroupedOp& op : plan_.ops) Forward(op);
    Loss();
    for (auto op = plan_.ops.rbegin(); op != plan_.ops.rend(); ++op) {
      Backward(*op);
    }
    Update();
    return traffic_;
  }

 private:
  // A matrix [rows, cols] of each model, moved once: of the workspace, or of
  // the dataset.
  double Matrix(ValueId value) const {
    double elements = 0;
    for (size_t m = 0; m < plan_.models.size(); ++m) {
      elements +=
          rows_[m] * static_cast<double>(plan_.models[m].values[value].cols);
    }
    return kFloat * elements;
  }
  void ReadValue(ValueId value) {
    if (!schedule_.input[value]) {
      traffic_.activations += Matrix(value);
      return;
    }
    traffic_.data += kFloat * distinct_rows_ *
                     static_cast<double>(plan_.models[0].values[value].cols);
    traffic_.tables += indices_;
  }
  void WriteValue(ValueId value) { traffic_.activations += Matrix(value); }
  void MoveGradient(ValueId value) { traffic_.activations += Matrix(value); }
  // Reads what is added to, then writes.
  void WriteGradient(ValueId value, bool accumulates) {
    traffic_.activations += (accumulates ? 2 : 1) * Matrix(value);
  }
  // mean and rstd of each row.
  void MoveStatistics() {
    for (const double rows : rows_) traffic_.activations += kFloat * 2 * rows;
  }
  // Of the models that have rows: the others do not step.
  double Parameter(int parameter) const {
    double elements = 0;
    for (size_t m = 0; parameter >= 0 && m < plan_.models.size(); ++m) {
      if (rows_[m] == 0) continue;
      elements +=
          static_cast<double>(plan_.models[m].parameters[parameter].size);
    }
    return kFloat * elements;
  }
  void CountTables(const ProductSchedule& product) {
    traffic_.tables +=
        static_cast<double>(product.problems.size() * sizeof(ProductProblem));
    for (const TileList& list : product.lists) {
      traffic_.tables += static_cast<double>(list.tiles.size() * sizeof(Tile));
    }
  }

  void Forward(const GroupedOp& op) {
    const Fusion& fusion = schedule_.fusion[op.index];
    if (fusion.forward_done || op.code == OpCode::kFlatten) return;
    ReadValue(op.inputs[0]);
    traffic_.weights += Parameter(op.weight) + Parameter(op.bias);
    switch (op.code) {
      case OpCode::kLinear: {
        CountTables(schedule_.linear[op.index].forward);
        const int activation = fusion.forward_activation;
        if (activation < 0) return WriteValue(op.output);
        // The sum is kept where the derivative reads it.
        if (!plan_.ops[activation].in_place) WriteValue(op.output);
        return WriteValue(plan_.ops[activation].output);
      }
      case OpCode::kAdd:
        ReadValue(op.inputs[1]);
        return WriteValue(op.output);
      case OpCode::kLayerNorm:
        MoveStatistics();
        return WriteValue(op.output);
      default:
        return WriteValue(op.output);
    }
  }

  void Loss() {
    ReadValue(plan_.output());
    MoveGradient(plan_.output());
    traffic_.tables += indices_;
    double target = sizeof(int64_t);
    if (!plan_.loss.has_classes()) {
      target = kFloat *
               static_cast<double>(plan_.models[0].values[plan_.output()].cols);
    }
    traffic_.data += target * distinct_rows_;
  }

  void Backward(const GroupedOp& op) {
    const Fusion& fusion = schedule_.fusion[op.index];
    const bool wanted = op.wants_gradient[0];
    switch (op.code) {
      case OpCode::kLinear:
        return BackwardLinear(op, fusion);
      case OpCode::kRelu:
      case OpCode::kGelu:
      case OpCode::kGeluTanh:
      case OpCode::kTanh:
      case OpCode::kSigmoid:
        if (!wanted || fusion.backward_done) return;
        ReadValue(ReadByDerivative(op));
        MoveGradient(op.output);
        return WriteGradient(op.inputs[0], op.accumulates[0]);
      case OpCode::kDropout:
        if (!wanted) return;
        MoveGradient(op.output);
        return WriteGradient(op.inputs[0], op.accumulates[0]);
      case OpCode::kFlatten:
      case OpCode::kAdd:
        if (op.in_place) return;
        for (int j = 0; j < op.num_inputs; ++j) {
          if (!op.wants_gradient[j]) continue;
          MoveGradient(op.output);
          WriteGradient(op.inputs[j], op.accumulates[j]);
        }
        return;
      case OpCode::kLayerNorm:
        // Sums over rows, then the rows themselves.
        ReadValue(op.inputs[0]);
        MoveGradient(op.output);
        MoveStatistics();
        traffic_.gradients += Parameter(op.weight) + Parameter(op.bias);
        if (!wanted) return;
        ReadValue(op.inputs[0]);
        MoveGradient(op.output);
        MoveStatistics();
        traffic_.weights += Parameter(op.weight);
        return WriteGradient(op.inputs[0], op.accumulates[0]);
    }
  }

  void BackwardLinear(const GroupedOp& op, const Fusion& fusion) {
    const LinearSchedule& linear = schedule_.linear[op.index];
    CountTables(linear.weight_gradient);
    MoveGradient(op.output);
    ReadValue(op.inputs[0]);
    traffic_.gradients += Parameter(op.bias);
    if (InEpilogue(op)) {
      // The product comes at the end, and what no epilogue has looked at is
      // read by a launch of its own.
      const EpilogueUpdate& update = schedule_.epilogue_updates[op.index];
      if (!update.x_seen) ReadValue(op.inputs[0]);
      if (!update.dy_seen) MoveGradient(op.output);
    } else {
      traffic_.gradients += Parameter(op.weight);
    }
    // On tensor cores a launch of its own sums the bias' gradient.
    if (op.bias >= 0 && plan_.precision != "fp32") MoveGradient(op.output);
    if (!op.wants_gradient[0]) return;
    CountTables(linear.input_gradient);
    MoveGradient(op.output);
    traffic_.weights += Parameter(op.weight);
    if (fusion.backward_activation < 0) {
      return WriteGradient(op.inputs[0], op.accumulates[0]);
    }
    const GroupedOp& before = plan_.ops[fusion.backward_activation];
    ReadValue(ReadByDerivative(before));
    WriteGradient(before.inputs[0], before.accumulates[0]);
  }

  static ValueId ReadByDerivative(const GroupedOp& op) {
    const bool input = op.code == OpCode::kGelu || op.code == OpCode::kGeluTanh;
    return input ? op.inputs[0] : op.output;
  }

  bool InEpilogue(const GroupedOp& op) const {
    return update_.in_epilogues && schedule_.epilogue_updates[op.index].used;
  }

  // Parameters and states are read and written; gradients are read, but for
  // those that epilogues have in registers.
  void Update() {
    double parameters = 0;
    for (size_t m = 0; m < plan_.models.size(); ++m) {
      if (rows_[m] == 0) continue;
      parameters += static_cast<double>(plan_.models[m].state_size);
    }
    double gradients = kFloat * parameters;
    bool epilogues = false;
    for (const GroupedOp& op : plan_.ops) {
      if (!InEpilogue(op)) continue;
      epilogues = true;
      gradients -= Parameter(op.weight);
    }
    traffic_.update += gradients;
    traffic_.update += 2 * kFloat * parameters * (1 + update_.states);
    const auto count = [this](const std::vector<StateTile>& tiles) {
      traffic_.tables += static_cast<double>(tiles.size() * sizeof(StateTile));
    };
    if (!epilogues) return count(schedule_.state_tiles);
    count(schedule_.epilogue_state_tiles);
    count(schedule_.other_state_tiles);
  }

  const grouped::Plan& plan_;
  const Schedule& schedule_;
  const UpdateTraffic update_;
  std::vector<double> rows_;  // by model
  double distinct_rows_ = 0;
  double indices_ = 0;  // bytes
  Traffic traffic_;
};

}  // namespace

Traffic CountTraffic(const grouped::Plan& plan, const Schedule& schedule,
                     const RowSet& rows, const UpdateTraffic& update) {
  return Counter(plan, schedule, rows, update).Count();
}

}  // namespace modelbatch::cuda
