// One step of one model on one thread: walks the plan's operations with the
// kernels of this CPU. A small model's whole step stays in one core's cache.
#ifndef BACKENDS_CPU_MODEL_STEP_H_
#define BACKENDS_CPU_MODEL_STEP_H_

#include <array>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/prefetch_queue.h"
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
  float* scratch = nullptr;  // ScratchSize() floats of this thread alone

  // What products fetch on their way; null: nothing.
  PrefetchQueue* prefetch = nullptr;
  // The optimizer's blocks of this model, where BackwardWeights is going to
  // update them piece by piece; and the parameters of the model that follows.
  std::array<const float*, 3> states = {};
  const float* next_params = nullptr;
  int64_t next_params_size = 0;

  static int64_t ScratchSize(const grouped::Plan& plan);

  // Fills the values of all operations; the output is `Output()`. All members
  // see it when it returns.
  void Forward() const;

  // From the gradient in `OutputGradient()`, which all members see, fills the
  // gradients of the values and, in grads[state_size], those of all parameters
  // but linear ones. All members see them when it returns.
  void BackwardValues(float* grads) const;
  // After BackwardValues: whether this member's share of the operands is so
  // small that no gradient of a linear's parameters can overflow on the way,
  // and the other gradients are finite. False: some may be infinite or not.
  bool GradientsMustBeFinite(const float* grads) const;
  // After BackwardValues: fills the gradients of linear parameters, too.
  void BackwardWeights(float* grads) const;
  // The same in pieces that stay in the cache: `receive` gets each piece of
  // this member's parameters, and their gradients, once.
  using Receive =
      absl::FunctionRef<void(const Range& parameters, const float* grads)>;
  void BackwardWeights(const float* grads, Receive receive) const;

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

  void FillQueue() const;
  void Advance() const {
    if (prefetch != nullptr) prefetch->Advance();
  }

  void ForwardOp(const grouped::GroupedOp& op) const;
  void ForwardLinear(const grouped::GroupedOp& op) const;
  void ForwardPiece(const grouped::GroupedOp& op, const Range& columns,
                    const Range& share) const;
  void BackwardOp(const grouped::GroupedOp& op, float* grads) const;
  void BackwardInput(const grouped::GroupedOp& op) const;
  void BackwardAdd(const grouped::GroupedOp& op) const;
  // dw of some outputs: [outputs.size(), in].
  void WeightGradient(const grouped::GroupedOp& op, const Range& outputs,
                      float* grads) const;
  void BiasGradient(const grouped::GroupedOp& op, const Range& outputs,
                    float* grads) const;

  // Calls f(columns, rows) for the pieces of this member's forward product.
  template <typename F>
  void ForEachForwardPiece(const grouped::GroupedOp& op, F f) const;
  // Calls f(outputs) for the pieces of this member's weight gradient.
  template <typename F>
  void ForEachWeightPiece(const grouped::GroupedOp& op, F f) const;
  int64_t InputCols(const grouped::GroupedOp& op) const {
    return model->values[op.inputs[0]].cols;
  }
  int64_t OutputCols(const grouped::GroupedOp& op) const {
    return model->values[op.output].cols;
  }
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_MODEL_STEP_H_
