// A model as data: a graph of named operators, which every backend can run.
//
//   ModelSpec spec({64});
//   spec.Linear(128).Relu().Dropout(0.1).Linear(10);
//
// Built this way operators are named as torch.nn.Sequential names its modules
// ("0", "1", ...), so parameters are "0.weight", "0.bias", "3.weight", ...
// `AddOperator` builds any graph with any names.
#ifndef MODELBATCH_MODEL_MODEL_SPEC_H_
#define MODELBATCH_MODEL_MODEL_SPEC_H_

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

using AttributeValue =
    std::variant<int64_t, double, bool, std::string, std::vector<int64_t>,
                 std::vector<double>, std::vector<uint8_t>>;
using Attributes = std::map<std::string, AttributeValue>;

struct Operator {
  // The model's own input, as an entry of `inputs`.
  static constexpr int kModelInput = -1;

  std::string name;
  std::string kind;         // "linear"; the kinds: docs/operators.md
  std::vector<int> inputs;  // kModelInput, or the index of an earlier operator
  Attributes attributes;
};

class ModelSpec {
 public:
  // The shape of one row of input, without the rows dimension.
  explicit ModelSpec(Shape input_shape)
      : input_shape_(std::move(input_shape)) {}

  // Each appends an operator on the last one's output. Nothing is checked
  // here: `InferLayout` does and names the operator.
  ModelSpec& Linear(int64_t out_features, bool bias = true);
  ModelSpec& Relu();
  // approximate: "none" or "tanh", as torch.nn.GELU.
  ModelSpec& Gelu(const std::string& approximate = "none");
  ModelSpec& Tanh();
  ModelSpec& Sigmoid();
  // Zeroes each element with probability p in training.
  ModelSpec& Dropout(double p);
  ModelSpec& Flatten();
  // Over the last dimension, with weight and bias.
  ModelSpec& LayerNorm(double eps = 1e-5);
  // Residual: the last output plus that of operator `other`.
  ModelSpec& Add(int other);

  // Appends an operator and returns its index. An empty name takes the index.
  int AddOperator(Operator op);

  const Shape& input_shape() const { return input_shape_; }
  const std::vector<Operator>& operators() const { return operators_; }
  // Index of the last operator, kModelInput when there is none.
  int last() const { return static_cast<int>(operators_.size()) - 1; }

 private:
  ModelSpec& Append(std::string kind, Attributes attributes);

  Shape input_shape_;
  std::vector<Operator> operators_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_MODEL_MODEL_SPEC_H_
