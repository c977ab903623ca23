// What a device must do to run a Plan. GroupedSession (session.h) checks what
// callers ask, knows names and slots, and calls this with valid arguments only.
#ifndef BACKENDS_GROUPED_EXECUTOR_H_
#define BACKENDS_GROUPED_EXECUTOR_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/grouped/dataset.h"
#include "backends/grouped/plan.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/backend/tune_report.h"

namespace modelbatch::grouped {

enum class OptimizerKind {
  kNone,
  kSgd,
  kAdam,
  kAdamW,
  kNAdam,
  kRAdam,
  kRmsProp,
  kAdagrad,
  kAdadelta,
  kLion,
};

// Arenas hold one block a model, at ModelPlan::state_offset: the parameters,
// the gradients, and the states of the optimizer that are tensors, in the order
// of OptimizerInfo::state. A state that no model has needed yet is not
// allocated.
enum class Arena {
  kParam = 0,
  kGradient = 1,
  kState0 = 2,
  kState1 = 3,
  kState2 = 4
};
inline constexpr int kNumArenas = 5;
inline constexpr int kMaxStates = 3;

constexpr Arena StateArena(int state) {
  return static_cast<Arena>(static_cast<int>(Arena::kState0) + state);
}

// The columns of a step, in the order of OptimizerInfo::hyper_parameters, the
// optional ones also where the caller left them out.
using HyperColumns = std::array<const double*, 8>;

// The columns of GradientHyperParameters; null: not given.
struct GradientColumns {
  const double* scale = nullptr;
  const double* clip_value = nullptr;
  const double* clip_norm = nullptr;

  bool any() const {
    return scale != nullptr || clip_value != nullptr || clip_norm != nullptr;
  }
};

// How models are updated from their gradients.
struct UpdateRule {
  OptimizerKind optimizer = OptimizerKind::kNone;
  HyperColumns columns = {};
  GradientColumns gradients;
  // One number a model, in and out: the state of nadam that is no tensor.
  float* mu_product = nullptr;
};

struct TrainArgs {
  const HostDataset* dataset = nullptr;
  RowSet rows;
  UpdateRule rule;
  const uint8_t* active = nullptr;  // null: all
  bool keep_gradients = false;      // in Arena::kGradient, which is allocated
  bool accumulate = false;          // to what it holds; with keep_gradients
  bool update = true;
  float* losses = nullptr;
  Outcome* outcomes = nullptr;
};

// Steps with updates, in one call; gradients are not kept.
struct TrainStepsArgs {
  const HostDataset* dataset = nullptr;
  absl::Span<const RowSet> rows;       // of each step
  absl::Span<const UpdateRule> rules;  // likewise, of one kind
  const uint8_t* active = nullptr;     // null: all
  float* losses = nullptr;             // [step, model]
  Outcome* outcomes = nullptr;         // likewise
};

struct ForwardArgs {
  const HostDataset* dataset = nullptr;
  RowSet rows;
  bool training = false;  // then at most max_rows rows a model
  // outputs[i] has room for [rows of i, output size of i].
  absl::Span<float* const> outputs;
};

struct BackwardArgs {
  const HostDataset* dataset = nullptr;
  RowSet rows;
  const uint8_t* active = nullptr;  // null: all
  // Of active models with rows: [rows of i, output size of i], compact.
  absl::Span<const float* const> output_gradients;
  Outcome* outcomes = nullptr;
};

struct UpdateArgs {
  UpdateRule rule;
  // In and out: models that are kStepped are updated, unless their gradient is
  // not finite.
  Outcome* outcomes = nullptr;
};

struct EvaluateArgs {
  const HostDataset* dataset = nullptr;
  RowSet rows;
  const uint8_t* active = nullptr;  // null: all
  double* losses = nullptr;
  int64_t* correct = nullptr;
};

// One caller at a time.
class Executor {
 public:
  virtual ~Executor() = default;

  // Allocates `arena`, zeroed, or zeroes it. ResourceExhausted says how much
  // was asked.
  virtual absl::Status Allocate(Arena arena) = 0;
  virtual void Release(Arena arena) = 0;
  virtual bool IsAllocated(Arena arena) const = 0;

  // `size` floats at `offset` of an allocated arena.
  virtual absl::Status Read(Arena arena, int64_t offset, int64_t size,
                            float* out) = 0;
  virtual absl::Status Write(Arena arena, int64_t offset, int64_t size,
                             const float* values) = 0;
  // Updates made, one count a model.
  virtual absl::Span<int64_t> steps() = 0;

  // Unimplemented names what of this optimizer the device lacks: itself (asked
  // without columns, when it is chosen), or the use of a column.
  virtual absl::Status CheckRule(const UpdateRule& rule) const = 0;

  virtual absl::Status TrainStep(const TrainArgs& args) = 0;
  // Whether it has an own way to make several steps, which is TrainSteps: what
  // Session::TrainSteps says. `made` is set in any case.
  virtual bool has_train_steps() const { return false; }
  virtual absl::Status TrainSteps(const TrainStepsArgs& args, int64_t* made) {
    (void)args;
    *made = 0;
    return absl::UnimplementedError("this backend makes steps one by one");
  }
  virtual absl::Status Evaluate(const EvaluateArgs& args) = 0;
  virtual absl::Status Forward(const ForwardArgs& args) = 0;
  // Forward in training mode, then backward; adds to Arena::kGradient, which is
  // allocated, the gradients that are finite.
  virtual absl::Status Backward(const BackwardArgs& args) = 0;
  // Updates from Arena::kGradient, whose gradients the rule's columns change.
  virtual absl::Status Update(const UpdateArgs& args) = 0;

  // What Session::Tune does.
  virtual absl::StatusOr<TuneReport> Tune(const TuneOptions& options) {
    (void)options;
    return absl::UnimplementedError("this backend has nothing to tune");
  }
  // What was chosen, a line each; empty: nothing was.
  virtual std::string tuning() const { return ""; }

  // Bytes held besides the arenas.
  virtual int64_t workspace_bytes() const = 0;
};

}  // namespace modelbatch::grouped

#endif  // BACKENDS_GROUPED_EXECUTOR_H_
