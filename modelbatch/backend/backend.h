// What a backend is to the core: it compiles a population of models into a
// Session and runs steps on it. The C ABI (modelbatch/plugin/c_api.h) says the
// same to plugins; a plugin written in C++ implements these classes and lets
// modelbatch/plugin/sdk.h export them.
//
// Arrays "of N" have one entry a model, in the order of CompileRequest::models.
#ifndef MODELBATCH_BACKEND_BACKEND_H_
#define MODELBATCH_BACKEND_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/backend/tune_report.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct Capabilities {
  std::vector<std::string> operators;
  std::vector<std::string> losses;
  std::vector<std::string> optimizers;
  std::vector<std::string> precisions;
  std::vector<std::string> features;  // c_api.h lists them
};

// One model of a population.
struct ModelInstance {
  int64_t id = 0;     // stable within the run; slots are internal
  uint64_t seed = 0;  // of everything random in its training
  ModelSpec spec;
};

struct LossSpec {
  std::string kind;  // "cross_entropy"; modelbatch/loss/loss.h has them
  Attributes attributes;
};

struct CompileRequest {
  std::vector<ModelInstance> models;
  LossSpec loss;
  int64_t max_rows = 0;  // most rows of one model in one step
  Attributes options;    // "precision": "fp32"
};

// Which rows of a dataset each model sees, in the order of the batch. With
// `offsets` empty every model sees `rows`; else model i sees
// rows[offsets[i], offsets[i + 1]).
struct RowSet {
  absl::Span<const int32_t> rows;
  absl::Span<const int64_t> offsets;
};

// The rows of the model at index `model`.
inline absl::Span<const int32_t> RowsOf(const RowSet& rows, size_t model) {
  if (rows.offsets.empty()) return rows.rows;
  return rows.rows.subspan(rows.offsets[model],
                           rows.offsets[model + 1] - rows.offsets[model]);
}

// A hyper-parameter, one value a model. Names are those of torch.optim.
struct Column {
  std::string name;
  std::vector<double> values;
};

enum class Outcome : uint8_t {
  kStepped = 0,
  kInactive = 1,
  kEmpty = 2,
  kNonFiniteLoss = 3,
  kNonFiniteGradient = 4,
};

// "stepped", "non-finite loss", ...
const char* OutcomeName(Outcome outcome);

// Owned by whoever made it; must outlive the calls that use it.
class Dataset {
 public:
  virtual ~Dataset() = default;
};

struct StepRequest {
  const Dataset* dataset = nullptr;
  RowSet rows;
  absl::Span<const Column> columns;
  absl::Span<const uint8_t> active;  // empty: all
  bool keep_gradients = false;       // readable as slot "grad" afterwards
  bool update = true;                // false: losses and gradients only
  // Only with keep_gradients and without update: adds to the gradients kept.
  bool accumulate = false;
};

struct StepResult {
  std::vector<float> losses;  // mean over the model's rows, before the update
  std::vector<Outcome> outcomes;
};

// Several steps in one call.
struct StepsRequest {
  const Dataset* dataset = nullptr;
  absl::Span<const RowSet> rows;     // of each step; at least one
  absl::Span<const Column> columns;  // values: [step, model], by step
  absl::Span<const uint8_t> active;  // of every step; empty: all
};

struct StepsResult {
  // Steps made by all models, also where the call failed: entries are there for
  // these.
  int64_t made = 0;
  std::vector<float> losses;      // [step, model], by step
  std::vector<Outcome> outcomes;  // likewise
};

// Whether the model at index `model`, with this outcome in a step of a
// StepsRequest, takes no part in the next.
inline bool EndsSteps(Outcome outcome, const RowSet& rows, size_t model) {
  return outcome != Outcome::kStepped && outcome != Outcome::kInactive &&
         !RowsOf(rows, model).empty();
}

// InvalidArgument unless there are steps, and columns of as many parts.
absl::Status CheckStepColumns(const StepsRequest& request);

struct EvaluateRequest {
  const Dataset* dataset = nullptr;
  RowSet rows;
  absl::Span<const uint8_t> active;  // empty: all
};

struct EvaluateResult {
  std::vector<double> losses;    // mean over the model's rows; 0: none counts
  std::vector<int64_t> correct;  // -1 where targets are no classes; rows that
                                 // the loss ignores never are
};

struct ForwardRequest {
  const Dataset* dataset = nullptr;
  RowSet rows;
  // With the dropout masks of the next step; at most max_rows rows a model.
  bool training = false;
};

struct BackwardRequest {
  const Dataset* dataset = nullptr;
  RowSet rows;
  absl::Span<const uint8_t> active;  // empty: all
  // Of N: the gradient of model i's loss by its outputs, float32 [rows of i,
  // output shape of i]. Those of inactive models are not looked at.
  absl::Span<const Tensor> output_gradients;
};

struct UpdateRequest {
  absl::Span<const Column> columns;
  absl::Span<const uint8_t> active;  // empty: all
};

// One tensor of a model's state.
struct StateTensor {
  std::string slot;       // as in Session::ReadState
  std::string parameter;  // empty: belongs to none
  DType dtype = DType::kFloat32;
  Shape shape;
};

// What one model of a session holds and gives.
struct ModelDescription {
  std::vector<StateTensor> states;  // all but the gradients
  Shape output;                     // of one row, float32
};

struct SessionStats {
  int64_t state_bytes = 0;
  int64_t workspace_bytes = 0;
  std::string plan;
};

// A compiled population with its parameters and optimizer state. One caller at
// a time; sessions may run concurrently. c_api.h has the meaning of each call.
class Session {
 public:
  virtual ~Session() = default;

  // A kind of optim/optimizer_info.h ("sgd", "adam", ...), or "none". State and
  // step counts start at zero.
  virtual absl::Status SetOptimizer(const std::string& optimizer) = 0;

  // A model whose loss or gradient is not finite keeps its state and is
  // reported in `outcomes`; the others are not affected.
  virtual absl::Status TrainStep(const StepRequest& request,
                                 StepResult* result) = 0;
  // As that many calls of TrainStep, one after the other, but for this: a model
  // that has rows in a step and is not updated in it takes no further part in
  // the call, as its caller may want to act; from then on it is kInactive. So a
  // device need not be waited for between the steps (feature "train_steps");
  // without an own way, a session makes these calls. The first error ends it.
  virtual absl::Status TrainSteps(const StepsRequest& request,
                                  StepsResult* result);
  virtual absl::Status Evaluate(const EvaluateRequest& request,
                                EvaluateResult* result) = 0;
  // Fills outputs[i], of shape [rows of i, output shape of i].
  virtual absl::Status Forward(const ForwardRequest& request,
                               std::vector<Tensor>* outputs) = 0;

  // The parts of a training step, for losses of the caller's own and for
  // gradients summed over several batches. Feature "gradients"; Unimplemented
  // without it.
  //
  // Forward in training mode and backward; adds to the gradients kept.
  virtual absl::Status Backward(const BackwardRequest& request,
                                std::vector<Outcome>* outcomes) = 0;
  // One update from the gradients kept.
  virtual absl::Status Update(const UpdateRequest& request,
                              std::vector<Outcome>* outcomes) = 0;
  // Zeroes the gradients kept, or gives their memory back.
  virtual absl::Status ZeroGrad(bool release) = 0;

  // Slots: "param", "grad", the states of the optimizer ("exp_avg", ...) and
  // "step". Without a parameter: "step", int64 [], and states that are one
  // number a model, float32 [].
  virtual absl::StatusOr<Tensor> ReadState(int model, const std::string& slot,
                                           const std::string& parameter) = 0;
  virtual absl::Status WriteState(int model, const std::string& slot,
                                  const std::string& parameter,
                                  const Tensor& value) = 0;

  // Unimplemented unless a session has its own.
  virtual absl::StatusOr<ModelDescription> Describe(int model);
  virtual absl::StatusOr<SessionStats> Stats() = 0;

  // Measures which of several ways to run the session is fastest here, and
  // takes it from now on; results stay the same to the bit where the feature
  // "bitwise_independence" is there. Options: "time_ms" (int64) and "cache"
  // (string), see c_api.h. Unimplemented unless a session has its own.
  virtual absl::StatusOr<TuneReport> Tune(const Attributes& options);
};

// Thread-safe. Outlives its sessions and datasets.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual Capabilities capabilities() const = 0;
  virtual absl::StatusOr<std::unique_ptr<Session>> Compile(
      const CompileRequest& request) = 0;
  // features [rows, ...] float32; targets [rows] int64 or [rows, ...] float32,
  // or empty (shape [0]). Takes both.
  virtual absl::StatusOr<std::unique_ptr<Dataset>> CreateDataset(
      Tensor features, Tensor targets) = 0;
};

}  // namespace modelbatch

#endif  // MODELBATCH_BACKEND_BACKEND_H_
