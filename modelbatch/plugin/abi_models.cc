#include "modelbatch/plugin/abi_models.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/plugin/header.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

bool HasZeroByte(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

absl::StatusOr<Operator> ToOperator(const MB_Operator& op, size_t index,
                                    const std::string& model) {
  const std::string unnamed = absl::StrCat(model, ".operators[", index, "]");
  if (op.name == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(unnamed, ".name is NULL"));
  }
  const std::string where = absl::StrCat(unnamed, " (\"", op.name, "\")");
  if (op.name[0] == '\0') {
    return absl::InvalidArgumentError(absl::StrCat(unnamed, ".name is empty"));
  }
  if (op.kind == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(where, ".kind is NULL"));
  }
  if (op.inputs == nullptr && op.num_inputs > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ".inputs is NULL, expected ", op.num_inputs, " indices"));
  }
  for (size_t i = 0; i < op.num_inputs; ++i) {
    if (op.inputs[i] < Operator::kModelInput ||
        op.inputs[i] >= static_cast<int64_t>(index)) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ".inputs[", i, "] is ", op.inputs[i],
                       ", expected -1 (the model's input) or the index of an "
                       "earlier operator"));
    }
  }
  Operator result;
  result.name = op.name;
  result.kind = op.kind;
  result.inputs.assign(op.inputs, op.inputs + op.num_inputs);
  MB_ASSIGN_OR_RETURN(result.attributes,
                      ToAttributes(op.attributes, op.num_attributes,
                                   absl::StrCat(where, ".attributes")));
  return result;
}

}  // namespace

absl::Status CheckCStrings(const std::vector<ModelInstance>& models) {
  for (size_t m = 0; m < models.size(); ++m) {
    for (const Operator& op : models[m].spec.operators()) {
      const std::string where =
          absl::StrCat("model ", m, " (id ", models[m].id, "): operator \"",
                       op.name.c_str(), "\"");
      if (HasZeroByte(op.name) || HasZeroByte(op.kind)) {
        return absl::InvalidArgumentError(
            absl::StrCat(where, " has a zero byte in its name or kind"));
      }
      MB_RETURN_IF_ERROR(CheckCStrings(op.attributes, where));
    }
  }
  return absl::OkStatus();
}

AbiModels::AbiModels(const std::vector<ModelInstance>& models) {
  pointers_.reserve(models.size());
  for (const ModelInstance& model : models) Add(model);
}

void AbiModels::Add(const ModelInstance& instance) {
  std::vector<MB_Operator>& operators = operators_.emplace_back();
  operators.reserve(instance.spec.operators().size());
  for (const Operator& op : instance.spec.operators()) {
    const std::vector<int32_t>& inputs =
        inputs_.emplace_back(op.inputs.begin(), op.inputs.end());
    const NamedValues& attributes = attributes_.emplace_back(op.attributes);
    MB_Operator out = {};
    out.name = op.name.c_str();
    out.kind = op.kind.c_str();
    out.inputs = inputs.data();
    out.num_inputs = inputs.size();
    out.attributes = attributes.data();
    out.num_attributes = attributes.size();
    operators.push_back(out);
  }
  MB_Model& model = models_.emplace_back();
  model.header = MakeHeader(MB_SIZE(MB_Model, num_operators));
  model.id = instance.id;
  model.seed = instance.seed;
  model.input_shape = instance.spec.input_shape().data();
  model.input_rank = instance.spec.input_shape().size();
  model.operators = operators.data();
  model.num_operators = operators.size();
  pointers_.push_back(&model);
}

absl::StatusOr<ModelInstance> ToModelInstance(const MB_Model* model,
                                              size_t index) {
  std::string where = absl::StrCat("models[", index, "]");
  MB_RETURN_IF_ERROR(CheckHeader(model == nullptr ? nullptr : &model->header,
                                 MB_SIZE(MB_Model, num_operators),
                                 where.c_str()));
  absl::StrAppend(&where, " (id ", model->id, ")");
  if (model->input_shape == nullptr && model->input_rank > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ".input_shape is NULL, expected ", model->input_rank, " sizes"));
  }
  Shape shape(model->input_shape, model->input_shape + model->input_rank);
  for (int64_t size : shape) {
    if (size < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ".input_shape is ", ShapeToString(shape),
                       ", expected no negative size"));
    }
  }
  if (model->operators == nullptr && model->num_operators > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ".operators is NULL, expected ",
                     model->num_operators, " operators"));
  }
  ModelInstance result{model->id, model->seed, ModelSpec(std::move(shape))};
  for (size_t i = 0; i < model->num_operators; ++i) {
    MB_ASSIGN_OR_RETURN(Operator op, ToOperator(model->operators[i], i, where));
    result.spec.AddOperator(std::move(op));
  }
  return result;
}

}  // namespace modelbatch
