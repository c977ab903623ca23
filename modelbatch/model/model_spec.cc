#include "modelbatch/model/model_spec.h"

#include <utility>

namespace modelbatch {

int ModelSpec::AddOperator(Operator op) {
  if (op.name.empty()) op.name = std::to_string(operators_.size());
  operators_.push_back(std::move(op));
  return last();
}

ModelSpec& ModelSpec::Append(std::string kind, Attributes attributes) {
  AddOperator({"", std::move(kind), {last()}, std::move(attributes)});
  return *this;
}

ModelSpec& ModelSpec::Linear(int64_t out_features, bool bias) {
  return Append("linear", {{"out_features", out_features}, {"bias", bias}});
}

ModelSpec& ModelSpec::Relu() { return Append("relu", {}); }

ModelSpec& ModelSpec::Gelu(const std::string& approximate) {
  return Append("gelu", {{"approximate", approximate}});
}

ModelSpec& ModelSpec::Tanh() { return Append("tanh", {}); }

ModelSpec& ModelSpec::Sigmoid() { return Append("sigmoid", {}); }

ModelSpec& ModelSpec::Dropout(double p) {
  return Append("dropout", {{"p", p}});
}

ModelSpec& ModelSpec::Flatten() { return Append("flatten", {}); }

ModelSpec& ModelSpec::LayerNorm(double eps) {
  return Append("layer_norm", {{"eps", eps}});
}

ModelSpec& ModelSpec::Add(int other) {
  AddOperator({"", "add", {last(), other}, {}});
  return *this;
}

}  // namespace modelbatch
