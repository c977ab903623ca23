// The plan of a population: what a step does, in which buffers, with which
// numbers for each model. Built once, by host code that knows no device; every
// executor (CPU, CUDA) runs the same plan.
//
// The operations are the same for all models; their sizes are the model's own
// and never depend on the other models.
#ifndef BACKENDS_GROUPED_PLAN_H_
#define BACKENDS_GROUPED_PLAN_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/model/layout.h"

namespace modelbatch::grouped {

enum class OpCode {
  kLinear,
  kRelu,
  kGelu,
  kGeluTanh,
  kTanh,
  kSigmoid,
  kDropout,
  kFlatten,
  kAdd,
  kLayerNorm,
};

// Index of a value: 0 is the model's input, i + 1 the output of operator i.
using ValueId = int;

// One operation of the step, for all models.
struct GroupedOp {
  OpCode code;
  int index = 0;  // of the operator in the ModelSpec
  int num_inputs = 1;
  std::array<ValueId, 2> inputs = {0, 0};
  ValueId output = 0;
  int weight = -1, bias = -1;  // parameter indices, -1: none
  // linear: the relu that follows is applied as results are stored.
  bool relu_epilogue = false;
  // This operation's forward pass is some linear's epilogue.
  bool in_epilogue = false;
  // linear: its input is a relu's output that nobody else reads, whose
  // derivative is applied as the input's gradient is stored; and that relu.
  bool relu_backward_epilogue = false;
  bool backward_in_epilogue = false;
  // The output lies in the input's buffer, the gradients likewise.
  bool in_place = false;
  // Whether the derivative by this input is wanted, and whether it is added to
  // what a later operation has put there.
  std::array<bool, 2> wants_gradient = {false, false};
  std::array<bool, 2> accumulates = {false, false};
};

// A [rows, cols] matrix in a model's workspace, in floats from its start. -1:
// there is none.
struct BufferPlan {
  int64_t cols = 0;
  int64_t ld = 0;
  int64_t value = -1;
  int64_t gradient = -1;
};

struct ParameterPlan {
  std::string name;
  Shape shape;
  int64_t offset = 0;  // from the start of the model's state
  int64_t size = 0;
};

// The numbers of one operation for one model.
struct OpNumbers {
  double p = 0;        // dropout
  double eps = 0;      // layer_norm
  int64_t stats = -1;  // layer_norm: mean[max_rows], then rstd[max_rows]
};

struct ModelPlan {
  int64_t id = 0;
  uint64_t seed = 0;
  std::vector<BufferPlan> values;  // by ValueId
  std::vector<ParameterPlan> parameters;
  std::vector<OpNumbers> numbers;  // by operation
  int64_t state_offset = 0;        // of this model's block in a state arena
  int64_t state_size = 0;          // its parameters, compact
  int64_t workspace_size = 0;      // floats one step of this model needs
  int64_t flops_per_row = 0;       // of a training step: to balance the load
};

struct Plan {
  LossSettings loss;
  std::string precision = "fp32";  // of matrix products
  int64_t max_rows = 0;
  std::vector<GroupedOp> ops;  // forward order; backward runs them in reverse
  std::vector<ModelPlan> models;
  int64_t state_size = 0;          // floats of one arena: all models
  int64_t max_workspace_size = 0;  // of any model
  // Of all models; what a dataset is checked against.
  int64_t input_size = 0;
  int64_t min_output_size = 0, max_output_size = 0;

  ValueId output() const { return static_cast<ValueId>(ops.size()); }
  // One operation a line, for people.
  std::string ToString() const;
};

// What every grouped backend can plan.
std::vector<std::string> PlannedOperators();
std::vector<std::string> PlannedLosses();

// Row stride of a matrix of `cols` columns: a multiple of a cache line, and an
// odd one, so that rows do not fall into the same few cache sets.
int64_t RowStride(int64_t cols);

// InvalidArgument or Unimplemented names the model and the operator, or a
// precision that is none of the executor's.
absl::StatusOr<Plan> BuildPlan(const CompileRequest& request,
                               const std::vector<std::string>& precisions = {
                                   "fp32"});

}  // namespace modelbatch::grouped

#endif  // BACKENDS_GROUPED_PLAN_H_
