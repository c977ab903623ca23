// A Backend that records what it gets and answers what it is told to. It is
// exported by recording_plugin.cc, so a test sees both sides of the ABI:
//
//   Recorder* recorder = ...;                 // of the loaded library
//   recorder->state = Tensor::FromVector<float>({1}, {1});
//   session->ReadState(2, "param", "0.bias");
//   EXPECT_EQ(recorder->state_call.model, 2);
#ifndef TESTS_ABI_RECORDING_BACKEND_H_
#define TESTS_ABI_RECORDING_BACKEND_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/probe.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct Recorder {
  enum class Throw { kNothing, kRuntimeError, kBadAlloc, kLengthError, kInt };

  // ---- What arrived.
  struct Rows {
    std::vector<int32_t> rows;
    std::vector<int64_t> offsets;
  };
  struct Step {
    const Dataset* dataset = nullptr;
    Rows rows;
    std::vector<Column> columns;
    std::vector<uint8_t> active;
    bool keep_gradients = false;
    bool update = true;
    bool accumulate = false;
    bool training = false;
    std::vector<Tensor> output_gradients;
    std::vector<const void*> output_gradient_data;  // where they were
  };
  struct State {
    int model = -1;
    std::string slot;
    std::string parameter;
    Tensor value;  // written
  };
  Attributes create_options;
  CompileRequest compile;
  std::string optimizer;
  Step step_call;
  std::vector<Step> steps_call;  // each step's rows; columns are the first's
  Step evaluate_call;            // dataset, rows, active
  Step forward_call;             // dataset, rows, training
  Step backward_call;            // dataset, rows, active, output_gradients
  Step update_call;              // columns, active
  int zeroed = 0;                // calls of ZeroGrad
  bool released = false;
  State state_call;
  Tensor features;
  Tensor targets;
  std::string plugin_path;  // as the SDK tells it
  int backends = 0;         // alive now
  int sessions = 0;
  int datasets = 0;

  // ---- What to answer. Every call first looks at these two.
  absl::Status status;
  Throw throws = Throw::kNothing;
  bool null_results = false;  // null backends, sessions, datasets
  ProbeResult probe;
  Capabilities capabilities;
  StepResult step;  // no losses: column "lr", or 0, and kStepped
  StepsResult steps;
  absl::Status steps_status;  // after `steps` is answered
  bool steps_throw = false;   // bad_alloc in its place
  EvaluateResult evaluate;
  std::vector<Tensor> outputs;
  std::vector<Outcome> outcomes;  // of Backward and Update
  Tensor state;
  SessionStats stats;
  int described = -1;
  ModelDescription description;  // without states: none
  Attributes tune_options;
  TuneReport tune_report;
  std::string log;  // logged as a warning by each TrainStep, unless empty

  // False: TrainStep stores nothing, so it allocates nothing.
  std::atomic<bool> record{true};
  std::mutex mutex;

  // As if new, but for the objects alive.
  void Reset();
};

// The library's one.
Recorder& GlobalRecorder();

ProbeResult ProbeRecording();
absl::StatusOr<std::unique_ptr<Backend>> CreateRecording(
    const Attributes& options);

// In the header, for the test to link no second recorder.
inline void Recorder::Reset() {
  const std::lock_guard<std::mutex> lock(mutex);
  create_options.clear();
  compile = {};
  optimizer.clear();
  step_call = {};
  steps_call.clear();
  evaluate_call = {};
  forward_call = {};
  backward_call = {};
  update_call = {};
  zeroed = 0;
  released = false;
  state_call = {};
  features = Tensor();
  targets = Tensor();
  status = absl::OkStatus();
  throws = Throw::kNothing;
  null_results = false;
  probe = {};
  capabilities = {};
  step = {};
  steps = {};
  steps_status = absl::OkStatus();
  steps_throw = false;
  evaluate = {};
  outputs.clear();
  outcomes.clear();
  state = Tensor();
  stats = {};
  described = -1;
  description = {};
  tune_options.clear();
  tune_report = {};
  log.clear();
  record = true;
}

}  // namespace modelbatch

#endif  // TESTS_ABI_RECORDING_BACKEND_H_
