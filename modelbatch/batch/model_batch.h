// A population of models that trains at once.
//
//   MB_ASSIGN_OR_RETURN(auto batch,
//                       ModelBatch::Create(backend, models,
//                                          {"cross_entropy", {}}, 64));
//   MB_ASSIGN_OR_RETURN(auto optimizer,
//                       OptimizerFactory("adam").CreateOptimizer(batch.get(),
//                                                                configs));
//   MB_RETURN_IF_ERROR(batch->TrainStep(*dataset, {rows, {}}, optimizer));
//
// A step may also be made of its parts, with any loss:
//
//   auto outputs = batch->Forward(inputs);          // [num_models, batch, ...]
//   auto loss = batch->ComputeLoss(*outputs, targets);
//   batch->Backward(*loss);                         // or gradients of your own
//   batch->Step(optimizer);
//   batch->ZeroGrad();
//
// Model i ends with the weights it would have had alone (docs/arithmetic.md).
// Models are numbered from 0 for the life of the batch, also when others are
// removed. One caller at a time.
#ifndef MODELBATCH_BATCH_MODEL_BATCH_H_
#define MODELBATCH_BATCH_MODEL_BATCH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/backend/tune_report.h"
#include "modelbatch/batch/slot_map.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// Everything that training has changed in one model: enough to continue with
// the same bits.
struct ModelState {
  // slot -> parameter -> value; slots as in Session::ReadState, without "grad"
  // and "step". A state that is one number a model has the parameter "". One
  // that only some hyper-parameters need, and that is all zeros, is left out.
  std::map<std::string, std::map<std::string, Tensor>> slots;
  int64_t step = 0;  // updates made
};

// How ComputeLoss joins the models' losses. Gradients are those of each model's
// own loss with any of them: they never carry 1 / num_models.
enum class Reduction { kMean, kSum, kNone };

// Whose targets a tensor holds. Unsaid, the number of dimensions tells: [batch,
// ...] is for all models, [num_models, batch, ...] has each model's own, also
// where batch and num_models are the same number.
enum class TargetsOf { kUnsaid, kShared, kPerModel };

struct BatchLoss {
  Tensor value;  // float64, [] for a mean or sum, [num_models] for none
  // Of each model's own loss by its outputs: float32, the outputs' shape.
  Tensor output_gradients;
};

// One of several steps that are made in one call.
struct BatchStep {
  RowSet rows;
  const Optimizer* optimizer = nullptr;
};

class ModelBatch {
 public:
  // Checks the models, compiles them on `backend` (which must outlive the
  // batch) and gives every parameter its initial value from the model's seed.
  // `max_rows` is the most rows one model sees in one training step.
  static absl::StatusOr<std::unique_ptr<ModelBatch>> Create(
      Backend* backend, std::vector<ModelInstance> models, LossSpec loss,
      int64_t max_rows, Attributes options = {});

  int num_models() const { return static_cast<int>(models_.size()); }
  // i in [0, num_models()).
  const ModelInstance& model(int i) const { return models_[i]; }
  const Layout& layout(int i) const { return layouts_[i]; }
  const LossSpec& loss() const { return loss_; }
  Session& session() { return *session_; }

  // Measures which way of running the models' operations is the fastest on this
  // machine and takes it from now on, also for models that come later (Replace,
  // Copy, Compact); what the process has measured is not measured again. Bits
  // stay the same. May be called between any two steps. Unimplemented, by name,
  // on a backend without the feature "tuning"; an error changes nothing. A file
  // `cache` that is no tuning file is an error; one of another machine is
  // ignored, which the report says, as does the session's plan what was chosen.
  absl::StatusOr<TuneReport> EnableCompile(const TuneOptions& options = {});

  // Zeroes the optimizer's state and the step counts.
  absl::Status SetOptimizer(const std::string& kind);

  // Inactive models are not touched: active[i] == 0. All start active.
  absl::Span<const uint8_t> active() const { return active_; }
  // FailedPrecondition: a removed model stays inactive.
  absl::Status SetActive(int model, bool active);

  // ---- Whole steps

  // One step of every active model. Losses and outcomes: `last_step`.
  absl::Status TrainStep(const Dataset& dataset, const RowSet& rows,
                         const Optimizer& optimizer);
  const StepResult& last_step() const { return last_step_; }
  // Those steps, one after the other, in one call: a device goes from one to
  // the next without the host (feature "train_steps"; others make them one by
  // one). A model that has rows in a step and is not updated in it, as its loss
  // or gradient is not finite, takes no further part in the call. Optimizers
  // may be the same one; else they differ in values only. Losses and outcomes:
  // `last_steps`, also of the steps before an error; of the last one
  // `last_step`.
  absl::Status TrainSteps(const Dataset& dataset,
                          absl::Span<const BatchStep> steps);
  const StepsResult& last_steps() const { return last_steps_; }

  // Active models only; the others' entries are 0 and -1.
  absl::Status Evaluate(const Dataset& dataset, const RowSet& rows,
                        EvaluateResult* result);

  // Outputs in evaluation mode, of any number of rows. outputs[i]: [rows of i,
  // output shape of i]; of a removed model, shape [0].
  absl::Status Predict(const Dataset& dataset, const RowSet& rows,
                       std::vector<Tensor>* outputs);

  // "loss_model_<i>" -> the model's loss in the last TrainStep, Accumulate or
  // ComputeLoss; models that took no part are not there.
  std::map<std::string, double> Metrics() const;

  // ---- Parts of a step. Unimplemented on a backend without the feature
  // "gradients".

  // Whether Forward runs in training mode, with the dropout masks of the next
  // step; at first it does.
  void Train(bool training = true) { training_ = training; }
  void Eval() { training_ = false; }
  bool training() const { return training_; }

  // inputs: float32 [batch, input shape], which all models see, or
  // [num_models, batch, input shape]. Returns [num_models, batch, output
  // shape]. InvalidArgument when the models' outputs differ in shape (use the
  // other Forward) or a model was removed. In training mode at most max_rows
  // rows.
  absl::StatusOr<Tensor> Forward(const Tensor& inputs);
  // On rows of a dataset, which must outlive Backward: outputs as Predict's.
  absl::Status Forward(const Dataset& dataset, const RowSet& rows,
                       std::vector<Tensor>* outputs);

  // Losses of outputs as Forward gives them, [num_models, batch, ...], by the
  // batch's own loss or any other (loss/loss.h), computed on the host in
  // double. targets: int64 [batch] class indices or float32 [batch, ...]
  // values, or each model's own. InvalidArgument names the model, row and
  // value.
  absl::StatusOr<BatchLoss> ComputeLoss(const Tensor& outputs,
                                        const Tensor& targets);
  absl::StatusOr<BatchLoss> ComputeLoss(const Tensor& outputs,
                                        const Tensor& targets,
                                        const LossSpec& loss,
                                        Reduction reduction = Reduction::kMean,
                                        TargetsOf whose = TargetsOf::kUnsaid);

  // Adds to the gradients those of the last Forward, from the gradients of each
  // model's loss by its outputs: as Forward gave them, [num_models, batch,
  // output shape] or one tensor a model. The forward pass is run again, so that
  // nothing is held for it in between; masks are the same. Outcomes:
  // `last_step`. FailedPrecondition unless a Forward in training mode came
  // after the last update.
  absl::Status Backward(const BatchLoss& loss);
  absl::Status Backward(const Tensor& output_gradients);
  absl::Status Backward(absl::Span<const Tensor> output_gradients);

  // Forward, the batch's own loss and Backward in one call: adds the gradients
  // of the mean over these rows. Losses and outcomes: `last_step`.
  absl::Status Accumulate(const Dataset& dataset, const RowSet& rows);

  // One update of every active model from its gradients, which stay. A model
  // whose gradients got nothing since ZeroGrad is not updated, nor is one for
  // which a loss or gradient was not finite. Outcomes: `last_step`.
  absl::Status Step(const Optimizer& optimizer);

  // Zeroes the gradients, or (set_to_none) gives their memory back.
  absl::Status ZeroGrad(bool set_to_none = true);
  // float32, the parameter's shape. FailedPrecondition when there are none.
  absl::StatusOr<Tensor> Gradient(int model, const std::string& parameter);

  // ---- State

  // float32, the parameter's shape.
  absl::StatusOr<Tensor> GetParameter(int model, const std::string& parameter);
  // Of one model. A state that lacks a tensor, has one of another shape, or one
  // that neither the model nor the optimizer has, is an error that names it,
  // and nothing is changed.
  absl::StatusOr<ModelState> GetModelState(int model);
  absl::Status LoadModelState(int model, const ModelState& state);
  // Of all, in order; removed models have an empty state. Loading checks
  // everything before it changes anything.
  absl::StatusOr<std::vector<ModelState>> GetModelStates();
  absl::Status LoadModelStates(absl::Span<const ModelState> states);

  // path/model_<i>.pt for every model that was not removed: its weights, as
  // torch.load(file, weights_only=True) reads them into a state_dict. Makes the
  // folder. Files are replaced one by one, each at once.
  absl::Status SaveAll(const std::string& path);
  // Reads what SaveAll, or PyTorch, wrote. Checks every file before it changes
  // anything. Optimizer state and step counts stay.
  absl::Status LoadAll(const std::string& path);

  // ---- Models that come and go, between any two steps. The others end with
  // the bits they would have had. FailedPrecondition while gradients are kept.

  // Back to the initial values of its seed, without optimizer state, active.
  absl::Status Reset(int model);
  // Another model in its place, which may have been removed: any sizes, the
  // same operators. It starts as a new one. Compiles the batch again.
  absl::Status Replace(int model, ModelInstance instance);
  // Several, by their numbers, compiled once.
  absl::Status Replace(std::map<int, ModelInstance> instances);
  // `model` becomes a copy of `from` (sizes, weights, optimizer state, step
  // count) with an id and a seed of its own. Compiles the batch again.
  absl::Status Copy(int from, int model, int64_t id, uint64_t seed);
  // The model takes no further part; its number stays. Its memory is given
  // back by Compact.
  absl::Status Remove(int model);
  bool removed(int model) const { return removed_[model] != 0; }
  // Compiles the batch again without the removed models.
  absl::Status Compact();

 private:
  // What Backward continues from.
  struct ForwardPass {
    std::unique_ptr<Dataset> inputs;  // of Forward(inputs)
    const Dataset* dataset = nullptr;
    std::vector<int32_t> rows;
    std::vector<int64_t> offsets;
    std::vector<Shape> outputs;  // by model

    RowSet row_set() const { return {rows, offsets}; }
  };

  ModelBatch() = default;
  // In range and not removed; in range.
  absl::Status CheckModel(int model) const;
  absl::Status CheckNumber(int model) const;
  absl::Status CheckOptimizer(const Optimizer& optimizer) const;
  absl::StatusOr<bool> TargetsAreShared(const Tensor& outputs,
                                        const Tensor& targets, bool classes,
                                        TargetsOf whose) const;
  // Sizes that SlotMap relies on.
  absl::Status CheckRows(const RowSet& rows) const;
  absl::Status CheckNoGradients(const char* call) const;
  struct StateSlot {
    std::string name;
    std::vector<Parameter> tensors;  // their names and shapes
    bool optional = false;           // left out where it is all zeros
  };
  // "param" and the optimizer's state.
  std::vector<StateSlot> StateSlots(const Layout& layout) const;
  // After a step that a backend has made: the states that it then has.
  void NoteStates(const Optimizer& optimizer);
  absl::Status CheckState(int model, const ModelState& state) const;
  absl::Status WriteModelState(Session& session, int slot, const Layout& layout,
                               const ModelState& state) const;
  absl::StatusOr<std::unique_ptr<Session>> CompileSession(
      const std::vector<ModelInstance>& models, const SlotMap& slots) const;
  // Compiles the models that are not removed, with those in `replaced` new or
  // in `state`, and moves the others' state over. On an error nothing has
  // changed.
  absl::Status Rebuild(std::map<int, ModelInstance> replaced,
                       const ModelState* state = nullptr);
  // What a session's steps have become, by model; the last is the last step's.
  void KeepSteps();
  // What step_ has, by model, becomes the last step's.
  void KeepLosses();
  void KeepOutcomes();
  // Outputs of a session, by model.
  absl::Status RunForward(const Dataset& dataset, const RowSet& rows,
                          bool training, std::vector<Tensor>* outputs);
  // After a change of the weights: the last Forward is no longer theirs.
  void WeightsChanged() { forward_ = ForwardPass(); }

  Backend* backend_ = nullptr;
  LossSpec loss_;
  int64_t max_rows_ = 0;
  Attributes options_;
  std::vector<ModelInstance> models_;
  std::vector<Layout> layouts_;
  std::vector<uint8_t> active_;
  std::vector<uint8_t> removed_;
  SlotMap slots_;
  const OptimizerInfo* optimizer_ = nullptr;  // null: none yet
  std::optional<TuneOptions> compile_;        // of EnableCompile
  std::set<std::string> held_states_;  // optional ones that a model has needed
  bool training_ = true;
  bool has_gradients_ = false;
  ForwardPass forward_;
  StepResult last_step_;
  StepsResult last_steps_;
  StepResult step_;  // of a call that is not over: its memory is used again
  std::vector<double> computed_losses_;  // by ComputeLoss after `last_step_`
  std::unique_ptr<Session> session_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_BATCH_MODEL_BATCH_H_
