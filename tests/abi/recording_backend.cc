#include "tests/abi/recording_backend.h"

#include <new>
#include <stdexcept>
#include <utility>

#include "modelbatch/plugin/sdk.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// What every call begins with, under the recorder's lock.
absl::Status Begin(Recorder& recorder) {
  switch (recorder.throws) {
    case Recorder::Throw::kNothing:
      break;
    case Recorder::Throw::kRuntimeError:
      throw std::runtime_error("scripted");
    case Recorder::Throw::kBadAlloc:
      throw std::bad_alloc();
    case Recorder::Throw::kLengthError:
      throw std::length_error("vector::_M_default_append");
    case Recorder::Throw::kInt:
      throw 42;
  }
  return recorder.status;
}

Recorder::Rows Copy(const RowSet& rows) {
  return {{rows.rows.begin(), rows.rows.end()},
          {rows.offsets.begin(), rows.offsets.end()}};
}

class RecordingDataset : public Dataset {
 public:
  RecordingDataset() { ++GlobalRecorder().datasets; }
  ~RecordingDataset() override {
    Recorder& recorder = GlobalRecorder();
    const std::lock_guard<std::mutex> lock(recorder.mutex);
    --recorder.datasets;
  }
};

class RecordingSession : public Session {
 public:
  explicit RecordingSession(size_t num_models) : num_models_(num_models) {
    ++recorder_.sessions;
  }
  ~RecordingSession() override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    --recorder_.sessions;
  }

  absl::Status SetOptimizer(const std::string& optimizer) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    recorder_.optimizer = optimizer;
    return absl::OkStatus();
  }

  absl::Status TrainStep(const StepRequest& request,
                         StepResult* result) override {
    if (recorder_.record) {
      const std::lock_guard<std::mutex> lock(recorder_.mutex);
      MB_RETURN_IF_ERROR(Begin(recorder_));
      Recorder::Step& call = recorder_.step_call;
      call.dataset = request.dataset;
      call.rows = Copy(request.rows);
      call.columns.assign(request.columns.begin(), request.columns.end());
      call.active.assign(request.active.begin(), request.active.end());
      call.keep_gradients = request.keep_gradients;
      call.update = request.update;
      call.accumulate = request.accumulate;
      if (!recorder_.log.empty()) Log(LogSeverity::kWarning, recorder_.log);
      if (!recorder_.step.losses.empty()) {
        *result = recorder_.step;
        return absl::OkStatus();
      }
    }
    result->losses.assign(num_models_, 0.0f);
    result->outcomes.assign(num_models_, Outcome::kStepped);
    for (const Column& column : request.columns) {
      if (column.name != "lr") continue;
      for (size_t i = 0; i < num_models_; ++i) {
        result->losses[i] = static_cast<float>(column.values[i]);
      }
    }
    return absl::OkStatus();
  }

  absl::Status TrainSteps(const StepsRequest& request,
                          StepsResult* result) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    recorder_.steps_call.clear();
    for (const RowSet& rows : request.rows) {
      Recorder::Step call;
      call.dataset = request.dataset;
      call.rows = Copy(rows);
      call.active.assign(request.active.begin(), request.active.end());
      recorder_.steps_call.push_back(std::move(call));
    }
    recorder_.steps_call[0].columns.assign(request.columns.begin(),
                                           request.columns.end());
    *result = recorder_.steps;
    if (recorder_.steps_throw) {
      result->losses.push_back(0);  // of a step that was not finished
      throw std::bad_alloc();
    }
    return recorder_.steps_status;
  }

  absl::Status Evaluate(const EvaluateRequest& request,
                        EvaluateResult* result) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    recorder_.evaluate_call.dataset = request.dataset;
    recorder_.evaluate_call.rows = Copy(request.rows);
    recorder_.evaluate_call.active.assign(request.active.begin(),
                                          request.active.end());
    *result = recorder_.evaluate;
    return absl::OkStatus();
  }

  absl::Status Forward(const ForwardRequest& request,
                       std::vector<Tensor>* outputs) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    recorder_.forward_call.dataset = request.dataset;
    recorder_.forward_call.rows = Copy(request.rows);
    recorder_.forward_call.training = request.training;
    outputs->clear();
    for (const Tensor& output : recorder_.outputs) {
      outputs->push_back(output.Borrow());
    }
    return absl::OkStatus();
  }

  absl::Status Backward(const BackwardRequest& request,
                        std::vector<Outcome>* outcomes) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    Recorder::Step& call = recorder_.backward_call;
    call.dataset = request.dataset;
    call.rows = Copy(request.rows);
    call.active.assign(request.active.begin(), request.active.end());
    call.output_gradients.clear();
    call.output_gradient_data.clear();
    for (const Tensor& gradient : request.output_gradients) {
      call.output_gradients.push_back(gradient.Clone());
      call.output_gradient_data.push_back(gradient.raw());
    }
    *outcomes = recorder_.outcomes;
    return absl::OkStatus();
  }

  absl::Status Update(const UpdateRequest& request,
                      std::vector<Outcome>* outcomes) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    Recorder::Step& call = recorder_.update_call;
    call.columns.assign(request.columns.begin(), request.columns.end());
    call.active.assign(request.active.begin(), request.active.end());
    *outcomes = recorder_.outcomes;
    return absl::OkStatus();
  }

  absl::Status ZeroGrad(bool release) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    ++recorder_.zeroed;
    recorder_.released = release;
    return absl::OkStatus();
  }

  absl::StatusOr<Tensor> ReadState(int model, const std::string& slot,
                                   const std::string& parameter) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    recorder_.state_call = {model, slot, parameter, Tensor()};
    return recorder_.state.Clone();
  }

  absl::Status WriteState(int model, const std::string& slot,
                          const std::string& parameter,
                          const Tensor& value) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    recorder_.state_call = {model, slot, parameter, value.Clone()};
    return absl::OkStatus();
  }

  absl::StatusOr<ModelDescription> Describe(int model) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    recorder_.described = model;
    if (recorder_.description.states.empty()) return Session::Describe(model);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    return recorder_.description;
  }

  absl::StatusOr<TuneReport> Tune(const Attributes& options) override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    recorder_.tune_options = options;
    return recorder_.tune_report;
  }

  absl::StatusOr<SessionStats> Stats() override {
    const std::lock_guard<std::mutex> lock(recorder_.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder_));
    return recorder_.stats;
  }

 private:
  Recorder& recorder_ = GlobalRecorder();
  const size_t num_models_;
};

class RecordingBackend : public Backend {
 public:
  RecordingBackend() { ++GlobalRecorder().backends; }
  ~RecordingBackend() override {
    Recorder& recorder = GlobalRecorder();
    const std::lock_guard<std::mutex> lock(recorder.mutex);
    --recorder.backends;
  }

  Capabilities capabilities() const override {
    Recorder& recorder = GlobalRecorder();
    const std::lock_guard<std::mutex> lock(recorder.mutex);
    return recorder.capabilities;
  }

  absl::StatusOr<std::unique_ptr<Session>> Compile(
      const CompileRequest& request) override {
    Recorder& recorder = GlobalRecorder();
    const std::lock_guard<std::mutex> lock(recorder.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder));
    recorder.compile = request;
    if (recorder.null_results) return std::unique_ptr<Session>();
    return std::make_unique<RecordingSession>(request.models.size());
  }

  absl::StatusOr<std::unique_ptr<Dataset>> CreateDataset(
      Tensor features, Tensor targets) override {
    Recorder& recorder = GlobalRecorder();
    const std::lock_guard<std::mutex> lock(recorder.mutex);
    MB_RETURN_IF_ERROR(Begin(recorder));
    recorder.features = std::move(features);
    recorder.targets = std::move(targets);
    if (recorder.null_results) return std::unique_ptr<Dataset>();
    return std::make_unique<RecordingDataset>();
  }
};

}  // namespace

Recorder& GlobalRecorder() {
  static Recorder* const recorder = new Recorder;
  return *recorder;
}

ProbeResult ProbeRecording() {
  Recorder& recorder = GlobalRecorder();
  const std::lock_guard<std::mutex> lock(recorder.mutex);
  // A probe has no status; what it throws is all that can go wrong.
  Begin(recorder).IgnoreError();
  return recorder.probe;
}

absl::StatusOr<std::unique_ptr<Backend>> CreateRecording(
    const Attributes& options) {
  Recorder& recorder = GlobalRecorder();
  const std::lock_guard<std::mutex> lock(recorder.mutex);
  MB_RETURN_IF_ERROR(Begin(recorder));
  recorder.create_options = options;
  recorder.plugin_path = PluginPath();
  if (recorder.null_results) return std::unique_ptr<Backend>();
  return std::make_unique<RecordingBackend>();
}

}  // namespace modelbatch
