#include "backends/grouped/plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/util/round_up.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::grouped {
namespace {

constexpr int64_t kCacheLineFloats = 16;
// More rows than any step has, and few enough that no size overflows.
constexpr int64_t kMaxRows = int64_t{1} << 24;

struct CodeName {
  const char* kind;
  OpCode code;
};
constexpr CodeName kCodes[] = {
    {"linear", OpCode::kLinear},
    {"relu", OpCode::kRelu},
    {"gelu", OpCode::kGelu},
    {"tanh", OpCode::kTanh},
    {"sigmoid", OpCode::kSigmoid},
    {"dropout", OpCode::kDropout},
    {"flatten", OpCode::kFlatten},
    {"add", OpCode::kAdd},
    {"layer_norm", OpCode::kLayerNorm},
};

absl::StatusOr<OpCode> CodeOf(const Operator& op) {
  for (const CodeName& name : kCodes) {
    if (op.kind != name.kind) continue;
    if (name.code == OpCode::kGelu) {
      AttributeReader reader(op.name, op.attributes);
      MB_ASSIGN_OR_RETURN(const std::string approximate,
                          reader.String("approximate", "none"));
      if (approximate == "tanh") return OpCode::kGeluTanh;
    }
    return name.code;
  }
  return absl::UnimplementedError(absl::StrCat(
      "operator \"", op.name, "\" (", op.kind, ") is not in this backend"));
}

bool IsUnary(OpCode code) {
  switch (code) {
    case OpCode::kRelu:
    case OpCode::kGelu:
    case OpCode::kGeluTanh:
    case OpCode::kTanh:
    case OpCode::kSigmoid:
      return true;
    default:
      return false;
  }
}

// Whether the backward pass of `code` reads the operation's output.
bool BackwardReadsOutput(OpCode code) {
  return code == OpCode::kRelu || code == OpCode::kTanh ||
         code == OpCode::kSigmoid;
}

// Whether the backward pass of `code` reads the operation's input.
bool BackwardReadsInput(OpCode code) {
  return code == OpCode::kLinear || code == OpCode::kGelu ||
         code == OpCode::kGeluTanh || code == OpCode::kLayerNorm;
}

// The operations, shared by all models: from any one spec and its layout.
absl::StatusOr<std::vector<GroupedOp>> PlanOps(const ModelSpec& spec,
                                               const Layout& layout) {
  std::vector<GroupedOp> ops;
  std::vector<int> consumers(spec.operators().size() + 1, 0);
  for (int i = 0; i <= spec.last(); ++i) {
    const Operator& op = spec.operators()[i];
    GroupedOp planned;
    MB_ASSIGN_OR_RETURN(planned.code, CodeOf(op));
    planned.index = i;
    planned.num_inputs = static_cast<int>(op.inputs.size());
    for (int j = 0; j < planned.num_inputs; ++j) {
      planned.inputs[j] = op.inputs[j] + 1;
      ++consumers[planned.inputs[j]];
    }
    planned.output = i + 1;
    ops.push_back(planned);
  }
  for (size_t p = 0; p < layout.parameters.size(); ++p) {
    GroupedOp& op = ops[layout.parameters[p].op];
    (op.weight < 0 ? op.weight : op.bias) = static_cast<int>(p);
  }

  // A value's gradient is wanted when a parameter lies before it.
  std::vector<bool> wanted(ops.size() + 1, false);
  for (GroupedOp& op : ops) {
    bool any = op.weight >= 0;
    for (int j = 0; j < op.num_inputs; ++j) {
      op.wants_gradient[j] = wanted[op.inputs[j]];
      any = any || wanted[op.inputs[j]];
    }
    wanted[op.output] = any;
  }

  for (GroupedOp& op : ops) {
    const ValueId in = op.inputs[0];
    if (op.code == OpCode::kFlatten) {
      // Values are stored as [rows, elements]: nothing to do. The gradients
      // can share only where nobody else adds to the input's.
      op.in_place = true;
      continue;
    }
    if (in == 0 || consumers[in] != 1) continue;
    GroupedOp& producer = ops[in - 1];
    const bool overwrites = (IsUnary(op.code) || op.code == OpCode::kDropout) &&
                            !BackwardReadsInput(op.code) &&
                            !BackwardReadsOutput(producer.code) &&
                            producer.code != OpCode::kFlatten;
    if (!overwrites) continue;
    op.in_place = true;
    if (op.code == OpCode::kRelu && producer.code == OpCode::kLinear) {
      producer.relu_epilogue = true;
      op.in_epilogue = true;
    }
  }

  for (GroupedOp& op : ops) {
    const ValueId in = op.inputs[0];
    if (op.code != OpCode::kLinear || in == 0 || consumers[in] != 1) continue;
    GroupedOp& producer = ops[in - 1];
    if (producer.code != OpCode::kRelu || !producer.in_place) continue;
    op.relu_backward_epilogue = producer.backward_in_epilogue = true;
  }

  // Backward runs in reverse: the first to write a gradient stores, the others
  // add.
  std::vector<bool> written(ops.size() + 1, false);
  for (auto op = ops.rbegin(); op != ops.rend(); ++op) {
    for (int j = 0; j < op->num_inputs; ++j) {
      if (!op->wants_gradient[j]) continue;
      op->accumulates[j] = written[op->inputs[j]];
      written[op->inputs[j]] = true;
    }
  }
  // A flatten whose input feeds others too needs a gradient of its own.
  for (GroupedOp& op : ops) {
    if (op.code == OpCode::kFlatten && consumers[op.inputs[0]] != 1) {
      op.in_place = false;
    }
  }
  return ops;
}

// Hands out 64-byte aligned pieces of a workspace.
class WorkspacePlanner {
 public:
  int64_t Take(int64_t floats) {
    const int64_t offset = size_;
    size_ += RoundUp(floats, kCacheLineFloats);
    return offset;
  }
  int64_t size() const { return size_; }

 private:
  int64_t size_ = 0;
};

absl::Status PlanNumbers(const Operator& op, OpCode code, OpNumbers* numbers) {
  AttributeReader reader(op.name, op.attributes);
  if (code == OpCode::kDropout) {
    MB_ASSIGN_OR_RETURN(numbers->p, reader.Float("p", 0.5));
  } else if (code == OpCode::kLayerNorm) {
    MB_ASSIGN_OR_RETURN(numbers->eps, reader.Float("eps", 1e-5));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelPlan> PlanModel(const ModelInstance& model,
                                    const Layout& layout,
                                    const std::vector<GroupedOp>& ops,
                                    int64_t max_rows) {
  ModelPlan plan;
  plan.id = model.id;
  plan.seed = model.seed;
  for (const Parameter& parameter : layout.parameters) {
    const int64_t size = NumElements(parameter.shape);
    plan.parameters.push_back(
        {parameter.name, parameter.shape, plan.state_size, size});
    plan.state_size += size;
  }

  WorkspacePlanner workspace;
  plan.values.resize(ops.size() + 1);
  BufferPlan& input = plan.values[0];
  input.cols = NumElements(model.spec.input_shape());
  input.ld = RowStride(input.cols);
  input.value = workspace.Take(max_rows * input.ld);
  for (const GroupedOp& op : ops) {
    const BufferPlan& in = plan.values[op.inputs[0]];
    BufferPlan& out = plan.values[op.output];
    OpNumbers numbers;
    MB_RETURN_IF_ERROR(
        PlanNumbers(model.spec.operators()[op.index], op.code, &numbers));
    out.cols = NumElements(layout.outputs[op.index]);
    out.ld = RowStride(out.cols);
    if (op.in_place) {
      out.value = in.value;
      // The input itself has no gradient; a flatten of it that is the model's
      // output needs room for the loss's.
      out.gradient =
          in.gradient >= 0 ? in.gradient : workspace.Take(max_rows * out.ld);
    } else {
      // A flatten that cannot share gradients still shares the value.
      out.value = op.code == OpCode::kFlatten
                      ? in.value
                      : workspace.Take(max_rows * out.ld);
      out.gradient = workspace.Take(max_rows * out.ld);
    }
    if (op.code == OpCode::kLinear) {
      plan.flops_per_row += (op.wants_gradient[0] ? 6 : 4) * in.cols * out.cols;
    } else if (op.code == OpCode::kLayerNorm) {
      numbers.stats = workspace.Take(2 * max_rows);
    }
    plan.numbers.push_back(numbers);
  }
  plan.workspace_size = workspace.size();
  return plan;
}

absl::Status ReadOptions(const CompileRequest& request,
                         const std::vector<std::string>& precisions,
                         Plan* plan) {
  AttributeReader reader("compile options", request.options);
  MB_ASSIGN_OR_RETURN(plan->precision,
                      reader.String("precision", plan->precision));
  MB_RETURN_IF_ERROR(reader.Finish());
  if (std::find(precisions.begin(), precisions.end(), plan->precision) ==
      precisions.end()) {
    return absl::UnimplementedError(absl::StrCat(
        "precision \"", plan->precision, "\" is not in this backend; it has: ",
        absl::StrJoin(precisions, ", ")));
  }
  if (request.models.empty()) {
    return absl::InvalidArgumentError("no models, expected at least one");
  }
  if (request.max_rows < 1 || request.max_rows > kMaxRows) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_rows is ", request.max_rows, ", expected 1 to ", kMaxRows));
  }
  return absl::OkStatus();
}

const char* OpCodeName(OpCode code) {
  if (code == OpCode::kGeluTanh) return "gelu (tanh)";
  for (const CodeName& name : kCodes) {
    if (name.code == code) return name.kind;
  }
  return "unknown";
}

}  // namespace

std::vector<std::string> PlannedOperators() {
  std::vector<std::string> kinds;
  for (const CodeName& name : kCodes) kinds.push_back(name.kind);
  return kinds;
}

std::vector<std::string> PlannedLosses() {
  std::vector<std::string> kinds;
  for (const LossInfo& info : Losses()) kinds.push_back(info.kind);
  return kinds;
}

int64_t RowStride(int64_t cols) {
  const int64_t lines = PartsOf(cols, kCacheLineFloats);
  return (lines % 2 == 0 ? lines + 1 : lines) * kCacheLineFloats;
}

absl::StatusOr<Plan> BuildPlan(const CompileRequest& request,
                               const std::vector<std::string>& precisions) {
  Plan plan;
  MB_RETURN_IF_ERROR(ReadOptions(request, precisions, &plan));
  MB_ASSIGN_OR_RETURN(plan.loss, ReadLoss(request.loss));
  plan.max_rows = request.max_rows;
  const auto name = [](const ModelInstance& model) {
    return absl::StrCat("model ", model.id);
  };
  const ModelInstance& first = request.models[0];
  for (const ModelInstance& model : request.models) {
    const auto in_model = [&](const absl::Status& status) {
      return absl::Status(status.code(),
                          absl::StrCat(name(model), ": ", status.message()));
    };
    absl::StatusOr<Layout> layout = InferLayout(model.spec);
    if (!layout.ok()) return in_model(layout.status());
    MB_RETURN_IF_ERROR(
        CheckSameGraph(first.spec, name(first), model.spec, name(model)));
    if (model.spec.input_shape() != first.spec.input_shape()) {
      return in_model(absl::InvalidArgumentError(
          absl::StrCat("input shape ", ShapeToString(model.spec.input_shape()),
                       ", expected that of ", name(first), ", ",
                       ShapeToString(first.spec.input_shape()),
                       ": all models read one dataset")));
    }
    if (layout->output().size() != 1) {
      return in_model(absl::InvalidArgumentError(
          absl::StrCat("the output has shape ", ShapeToString(layout->output()),
                       " a row, expected one dimension")));
    }
    if (plan.ops.empty()) {
      MB_ASSIGN_OR_RETURN(plan.ops, PlanOps(model.spec, *layout));
    }
    MB_ASSIGN_OR_RETURN(ModelPlan planned,
                        PlanModel(model, *layout, plan.ops, request.max_rows));
    planned.state_offset = plan.state_size;
    plan.state_size += RoundUp(planned.state_size, kCacheLineFloats);
    plan.max_workspace_size =
        std::max(plan.max_workspace_size, planned.workspace_size);
    const int64_t output_size = NumElements(layout->output());
    const absl::Status fits = CheckLossOutputs(plan.loss, output_size);
    if (!fits.ok()) return in_model(fits);
    plan.min_output_size = plan.models.empty()
                               ? output_size
                               : std::min(plan.min_output_size, output_size);
    plan.max_output_size = std::max(plan.max_output_size, output_size);
    plan.models.push_back(std::move(planned));
  }
  plan.input_size = NumElements(first.spec.input_shape());
  return plan;
}

std::string Plan::ToString() const {
  // How many models have which width in an operation's output.
  std::string text =
      absl::StrFormat("%d models, at most %d rows a step, %d parameters",
                      models.size(), max_rows, state_size);
  if (precision != "fp32") absl::StrAppend(&text, ", products in ", precision);
  text.push_back('\n');
  for (size_t i = 0; i < ops.size(); ++i) {
    const GroupedOp& op = ops[i];
    std::map<int64_t, int> widths;
    for (const ModelPlan& model : models) {
      ++widths[model.values[op.output].cols];
    }
    absl::StrAppend(
        &text, "  ", OpCodeName(op.code), " -> ",
        absl::StrJoin(widths, ", ",
                      [](std::string* out, const auto& entry) {
                        absl::StrAppend(
                            out, entry.first, " (", entry.second,
                            entry.second == 1 ? " model)" : " models)");
                      }),
        op.relu_epilogue ? ", relu fused" : "",
        op.in_epilogue ? ", fused above"
        : op.in_place  ? ", in place"
                       : "",
        "\n");
  }
  return text;
}

}  // namespace modelbatch::grouped
