// A population of models that trains at once.
//
//   auto batch = ModelBatch::Create(backend, models, {"cross_entropy"}, 64);
//   auto optimizer = OptimizerFactory("adam").CreateOptimizer(batch->get(),
//                                                             configs);
//   (*batch)->TrainStep(*dataset, {rows}, *optimizer);
//
// Model i ends with the weights it would have had alone (docs/arithmetic.md).
#ifndef MODELBATCH_BATCH_MODEL_BATCH_H_
#define MODELBATCH_BATCH_MODEL_BATCH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// Everything that training has changed in one model: enough to continue with
// the same bits.
struct ModelState {
  // slot -> parameter -> value; slots as in Session::ReadState, without "grad"
  // and "step".
  std::map<std::string, std::map<std::string, Tensor>> slots;
  int64_t step = 0;  // updates made
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
  Session& session() { return *session_; }

  // Zeroes the optimizer's state and the step counts.
  absl::Status SetOptimizer(const std::string& kind);

  // Inactive models are not touched: active[i] == 0. All start active.
  absl::Span<const uint8_t> active() const { return active_; }
  absl::Status SetActive(int model, bool active);

  // One step of every active model. Losses and outcomes: `last_step`.
  absl::Status TrainStep(const Dataset& dataset, const RowSet& rows,
                         const Optimizer& optimizer);
  const StepResult& last_step() const { return last_step_; }

  // Active models only; the others' entries are 0 and -1.
  absl::Status Evaluate(const Dataset& dataset, const RowSet& rows,
                        EvaluateResult* result);

  // outputs[i]: [rows of i, output shape of i].
  absl::Status Forward(const Dataset& dataset, const RowSet& rows,
                       std::vector<Tensor>* outputs);

  // Of one model. A state that lacks a tensor, or has one of another shape, is
  // an error that names it, and nothing is changed.
  absl::StatusOr<ModelState> GetModelState(int model);
  absl::Status LoadModelState(int model, const ModelState& state);

 private:
  ModelBatch() = default;
  absl::Status CheckModel(int model) const;
  // "param" and the optimizer's state.
  std::vector<std::string> StateSlots() const;
  absl::Status CheckState(int model, const ModelState& state) const;

  std::vector<ModelInstance> models_;
  std::vector<Layout> layouts_;
  std::vector<uint8_t> active_;
  const OptimizerInfo* optimizer_ = nullptr;  // null: none yet
  StepResult last_step_;
  std::unique_ptr<Session> session_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_BATCH_MODEL_BATCH_H_
