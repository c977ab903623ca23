// One step of one model on one thread: walks the plan's operations with the
// kernels of this CPU. A small model's whole step stays in one core's cache.
#ifndef BACKENDS_CPU_MODEL_STEP_H_
#define BACKENDS_CPU_MODEL_STEP_H_

#include <cstdint>

#include "backends/cpu/kernels.h"
#include "backends/cpu/team.h"
#include "backends/grouped/plan.h"

namespace modelbatch::cpu {

// How the products of a linear operation are cut up.
struct LinearTilings {
  GemmTiling forward, weight_gradient, input_gradient;
};

// What a pass works on. All memory belongs to the executor. The members of a
// team have a ModelStep each, equal but for `member`, and make the same calls.
struct ModelStep {
  const Kernels* kernels = nullptr;
  const grouped::Plan* plan = nullptr;
  const grouped::ModelPlan* model = nullptr;
  float* workspace = nullptr;     // model->workspace_size floats
  const float* params = nullptr;  // model->state_size floats, compact
  ConstMatrix input;              // [rows, input size]
  int64_t rows = 0;
  TeamMember member;
  bool training = false;
  uint64_t step = 0;  // updates made: counts the dropout masks
  const LinearTilings* tilings = nullptr;  // by operation; null: defaults
  // Parts in which the forward products are summed: 1, or the arithmetic
  // contract is broken. Tests break it to see that `verify` notices.
  int product_parts = 1;

  // Fills the values of all operations; the output is `Output()`. All members
  // see it when it returns.
  void Forward() const;
  // From the gradient in `OutputGradient()`, which all members see, fills
  // grads[state_size].
  void Backward(float* grads) const;

  Matrix Output() const { return Value(plan->output()); }
  Matrix OutputGradient() const { return Gradient(plan->output()); }
  int64_t output_cols() const { return model->values[plan->output()].cols; }

 private:
  Matrix Value(grouped::ValueId value) const;
  ConstMatrix Input(grouped::ValueId value) const;
  Matrix Gradient(grouped::ValueId value) const;
  const float* Param(int index) const;
  DropoutKey Key(const grouped::GroupedOp& op, int64_t first_row) const;
  LinearTilings Tilings(const grouped::GroupedOp& op) const {
    return tilings == nullptr ? LinearTilings() : tilings[op.index];
  }

  void ForwardOp(const grouped::GroupedOp& op) const;
  void ForwardLinear(const grouped::GroupedOp& op) const;
  void BackwardOp(const grouped::GroupedOp& op, float* grads) const;
  void BackwardLinear(const grouped::GroupedOp& op, float* grads) const;
  void BackwardWeight(const grouped::GroupedOp& op, float* grads) const;
  void BackwardInput(const grouped::GroupedOp& op) const;
  void BackwardAdd(const grouped::GroupedOp& op) const;
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_MODEL_STEP_H_
