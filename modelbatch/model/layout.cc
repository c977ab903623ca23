#include "modelbatch/model/layout.h"

#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/model/initializer.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Bounds every size product far below overflow and refuses typing errors.
constexpr int64_t kMaxWidth = int64_t{1} << 24;
constexpr int64_t kMaxElements = int64_t{1} << 31;

struct OpContext {
  const Operator& op;
  int index;
  std::vector<const Shape*> inputs;
  AttributeReader attributes;
  Layout* layout;

  void AddParameter(const char* name, Shape shape, Initializer init) {
    layout->parameters.push_back(
        {absl::StrCat(op.name, ".", name), std::move(shape), init, index});
  }
};

absl::StatusOr<Shape> InferLinear(OpContext& c) {
  const Shape& in = *c.inputs[0];
  MB_ASSIGN_OR_RETURN(const int64_t out_features,
                      c.attributes.Int("out_features"));
  MB_ASSIGN_OR_RETURN(const bool bias, c.attributes.Bool("bias", true));
  if (in.size() != 1) {
    return c.attributes.Error(absl::StrCat(
        "input has shape ", ShapeToString(in),
        " a row, expected one dimension; put a flatten before it"));
  }
  if (out_features < 1 || out_features > kMaxWidth) {
    return c.attributes.Error(absl::StrCat("out_features is ", out_features,
                                           ", expected 1 to ", kMaxWidth));
  }
  if (out_features * in[0] > kMaxElements) {
    return c.attributes.Error(absl::StrCat("a weight of shape [", out_features,
                                           ", ", in[0], "] has more than ",
                                           kMaxElements, " elements"));
  }
  // torch.nn.Linear.reset_parameters: kaiming_uniform_(a = sqrt(5)) comes to
  // U(-1/sqrt(in_features), 1/sqrt(in_features)), and so does the bias.
  Initializer init;
  init.kind = Initializer::Kind::kUniform;
  init.bound = 1.0 / std::sqrt(static_cast<double>(in[0]));
  c.AddParameter("weight", {out_features, in[0]}, init);
  if (bias) c.AddParameter("bias", {out_features}, init);
  return Shape{out_features};
}

absl::StatusOr<Shape> InferSame(OpContext& c) { return *c.inputs[0]; }

absl::StatusOr<Shape> InferGelu(OpContext& c) {
  MB_ASSIGN_OR_RETURN(const std::string approximate,
                      c.attributes.String("approximate", "none"));
  if (approximate != "none" && approximate != "tanh") {
    return c.attributes.Error(absl::StrCat(
        "approximate is \"", approximate, "\", expected \"none\" or \"tanh\""));
  }
  return *c.inputs[0];
}

absl::StatusOr<Shape> InferDropout(OpContext& c) {
  MB_ASSIGN_OR_RETURN(const double p, c.attributes.Float("p", 0.5));
  if (!(p >= 0 && p <= 1)) {
    return c.attributes.Error(
        absl::StrCat("p is ", p, ", expected a number in [0, 1]"));
  }
  return *c.inputs[0];
}

absl::StatusOr<Shape> InferFlatten(OpContext& c) {
  return Shape{NumElements(*c.inputs[0])};
}

absl::StatusOr<Shape> InferAdd(OpContext& c) {
  if (*c.inputs[0] != *c.inputs[1]) {
    return c.attributes.Error(absl::StrCat(
        "inputs have shapes ", ShapeToString(*c.inputs[0]), " and ",
        ShapeToString(*c.inputs[1]), " a row, expected equal shapes"));
  }
  return *c.inputs[0];
}

absl::StatusOr<Shape> InferLayerNorm(OpContext& c) {
  const Shape& in = *c.inputs[0];
  MB_ASSIGN_OR_RETURN(const double eps, c.attributes.Float("eps", 1e-5));
  if (!(eps >= 0 && std::isfinite(eps))) {
    return c.attributes.Error(
        absl::StrCat("eps is ", eps, ", expected a finite number, at least 0"));
  }
  if (in.size() != 1) {
    return c.attributes.Error(absl::StrCat("input has shape ",
                                           ShapeToString(in),
                                           " a row, expected one dimension"));
  }
  Initializer one;
  one.value = 1;
  c.AddParameter("weight", in, one);
  c.AddParameter("bias", in, Initializer());
  return in;
}

struct OpKind {
  const char* name;
  size_t num_inputs;
  absl::StatusOr<Shape> (*infer)(OpContext&);
};

constexpr OpKind kKinds[] = {
    {"linear", 1, InferLinear},
    {"relu", 1, InferSame},
    {"gelu", 1, InferGelu},
    {"tanh", 1, InferSame},
    {"sigmoid", 1, InferSame},
    {"dropout", 1, InferDropout},
    {"flatten", 1, InferFlatten},
    {"add", 2, InferAdd},
    {"layer_norm", 1, InferLayerNorm},
};

// Operators of torch.nn that are planned: named so that a message can tell
// them from a typing error.
constexpr const char* kPlanned[] = {"avg_pool2d",
                                    "batch_norm1d",
                                    "batch_norm2d",
                                    "conv1d",
                                    "conv2d",
                                    "embedding",
                                    "gru",
                                    "leaky_relu",
                                    "lstm",
                                    "max_pool2d",
                                    "multihead_attention",
                                    "prelu",
                                    "rnn",
                                    "silu",
                                    "softmax"};

absl::StatusOr<const OpKind*> FindKind(const std::string& owner,
                                       const std::string& kind) {
  for (const OpKind& k : kKinds) {
    if (k.name == kind) return &k;
  }
  for (const char* planned : kPlanned) {
    if (planned == kind) {
      return absl::UnimplementedError(
          absl::StrCat(owner, ": operator ", kind, " is not implemented yet"));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(owner, ": unknown operator kind; there are: ",
                   absl::StrJoin(OperatorKinds(), ", ")));
}

std::string OpOwner(const Operator& op) {
  return absl::StrCat("operator \"", op.name, "\" (", op.kind, ")");
}

absl::Status InferOperator(const ModelSpec& spec, int index, Layout* layout) {
  const Operator& op = spec.operators()[index];
  const std::string owner = OpOwner(op);
  MB_ASSIGN_OR_RETURN(const OpKind* kind, FindKind(owner, op.kind));
  OpContext context{
      op, index, {}, AttributeReader(owner, op.attributes), layout};
  if (op.inputs.size() != kind->num_inputs) {
    return context.attributes.Error(absl::StrCat(
        "has ", op.inputs.size(), " inputs, expected ", kind->num_inputs));
  }
  for (int input : op.inputs) {
    if (input < Operator::kModelInput || input >= index) {
      return context.attributes.Error(absl::StrCat(
          "input ", input, " is not the model's input (", Operator::kModelInput,
          ") or an earlier operator (0 to ", index - 1, ")"));
    }
    context.inputs.push_back(input == Operator::kModelInput
                                 ? &spec.input_shape()
                                 : &layout->outputs[input]);
  }
  const size_t first_parameter = layout->parameters.size();
  MB_ASSIGN_OR_RETURN(Shape output, kind->infer(context));
  for (size_t p = first_parameter; p < layout->parameters.size(); ++p) {
    Parameter& parameter = layout->parameters[p];
    MB_RETURN_IF_ERROR(ReadInitializer(
        &context.attributes, parameter.name.substr(op.name.size() + 1),
        parameter.shape, &parameter.init));
  }
  MB_RETURN_IF_ERROR(context.attributes.Finish());
  layout->outputs.push_back(std::move(output));
  return absl::OkStatus();
}

absl::Status CheckInputShape(const Shape& shape) {
  int64_t elements = 1;
  bool valid = !shape.empty();
  for (int64_t size : shape) {
    valid = valid && size >= 1 && size <= kMaxWidth;
    if (!valid) break;
    elements *= size;
    valid = elements <= kMaxWidth;
  }
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "input shape is ", ShapeToString(shape),
      ", expected at least one dimension, each at least 1, and at most ",
      kMaxWidth, " elements"));
}

}  // namespace

int64_t Layout::num_parameters() const {
  int64_t count = 0;
  for (const Parameter& parameter : parameters) {
    count += NumElements(parameter.shape);
  }
  return count;
}

std::vector<std::string> OperatorKinds() {
  std::vector<std::string> kinds;
  for (const OpKind& kind : kKinds) kinds.push_back(kind.name);
  return kinds;
}

absl::StatusOr<Layout> InferLayout(const ModelSpec& spec) {
  MB_RETURN_IF_ERROR(CheckInputShape(spec.input_shape()));
  if (spec.operators().empty()) {
    return absl::InvalidArgumentError("the model has no operators");
  }
  if (spec.operators().size() > kMaxPhiloxOp) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has ", spec.operators().size(),
                     " operators, expected at most ", kMaxPhiloxOp));
  }
  Layout layout;
  std::set<std::string> names;
  std::set<int> used;
  for (int i = 0; i <= spec.last(); ++i) {
    const Operator& op = spec.operators()[i];
    if (op.name.empty() || !names.insert(op.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(OpOwner(op), ": the name of operator ", i,
                       " is empty or taken, expected a unique one"));
    }
    MB_RETURN_IF_ERROR(InferOperator(spec, i, &layout));
    used.insert(op.inputs.begin(), op.inputs.end());
  }
  for (int i = 0; i < spec.last(); ++i) {
    if (used.count(i) == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          OpOwner(spec.operators()[i]), ": nothing uses its output"));
    }
  }
  // "a.b" + ".weight" and "a" + ".b.weight" would be one name in a state_dict.
  std::set<std::string> parameter_names;
  for (const Parameter& parameter : layout.parameters) {
    if (!parameter_names.insert(parameter.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two parameters are named \"", parameter.name,
                       "\"; rename an operator"));
    }
  }
  return layout;
}

absl::Status CheckSameGraph(const ModelSpec& spec_a, const std::string& a,
                            const ModelSpec& spec_b, const std::string& b) {
  const auto differ = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(
        b, " has another graph than ", a, ": ", what,
        "; models in one batch share operators and edges, only numbers may "
        "differ"));
  };
  if (spec_a.input_shape().size() != spec_b.input_shape().size()) {
    return differ(absl::StrCat("input shape ",
                               ShapeToString(spec_b.input_shape()), " and ",
                               ShapeToString(spec_a.input_shape())));
  }
  if (spec_a.operators().size() != spec_b.operators().size()) {
    return differ(absl::StrCat(spec_b.operators().size(), " operators and ",
                               spec_a.operators().size()));
  }
  for (size_t i = 0; i < spec_a.operators().size(); ++i) {
    const Operator& op_a = spec_a.operators()[i];
    const Operator& op_b = spec_b.operators()[i];
    if (op_a.kind != op_b.kind || op_a.name != op_b.name) {
      return differ(
          absl::StrCat(OpOwner(op_b), " in place of ", OpOwner(op_a)));
    }
    if (op_a.inputs != op_b.inputs) {
      return differ(absl::StrCat(OpOwner(op_b), " has other inputs"));
    }
    const auto structural = [](const Operator& op) {
      Attributes out;
      for (const auto& [name, value] : op.attributes) {
        if (!std::holds_alternative<int64_t>(value) &&
            !std::holds_alternative<double>(value) &&
            !IsInitializerAttribute(name)) {
          out.insert({name, value});
        }
      }
      return out;
    };
    if (structural(op_a) != structural(op_b)) {
      return differ(absl::StrCat(OpOwner(op_b), " has other options"));
    }
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
