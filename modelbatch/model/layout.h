// Shapes and parameters of a ModelSpec: what a backend compiles and what a
// checkpoint holds. `InferLayout` is the one place that knows the operators'
// attributes, shapes and parameters.
#ifndef MODELBATCH_MODEL_LAYOUT_H_
#define MODELBATCH_MODEL_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/model/initializer.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct Parameter {
  std::string name;  // "0.weight", as in PyTorch's state_dict
  Shape shape;       // PyTorch's: linear weight [out_features, in_features]
  Initializer init;  // PyTorch's default for the module, or as the spec says
  int op = 0;        // index of the operator it belongs to
};

struct Layout {
  std::vector<Shape> outputs;  // of each operator, without the rows dimension
  std::vector<Parameter> parameters;  // in the operators' order

  const Shape& output() const { return outputs.back(); }
  int64_t num_parameters() const;  // elements
};

// The kinds of operators that InferLayout knows.
std::vector<std::string> OperatorKinds();

// Infers the layout of `spec`. InvalidArgument names the operator and what was
// expected; Unimplemented names an operator kind that is known but not there.
absl::StatusOr<Layout> InferLayout(const ModelSpec& spec);

// OK when models of both specs can share a batch: the same operators with the
// same names, kinds and edges; sizes, rates, other numbers and initialisers may
// differ.
// `a` and `b` name the models in the message.
absl::Status CheckSameGraph(const ModelSpec& spec_a, const std::string& a,
                            const ModelSpec& spec_b, const std::string& b);

}  // namespace modelbatch

#endif  // MODELBATCH_MODEL_LAYOUT_H_
