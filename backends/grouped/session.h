// A Session on an Executor: checks every argument, knows slots and names. The
// same for every grouped backend.
#ifndef BACKENDS_GROUPED_SESSION_H_
#define BACKENDS_GROUPED_SESSION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/grouped/executor.h"
#include "backends/grouped/plan.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/optim/optimizer_info.h"

namespace modelbatch::grouped {

// The optimizers that a session has a kind for.
std::vector<std::string> GroupedOptimizers();
// "adam"; "none".
const char* OptimizerKindName(OptimizerKind kind);

class GroupedSession : public Session {
 public:
  // `plan` is what `executor` runs; its parameter arena is allocated here.
  static absl::StatusOr<std::unique_ptr<Session>> Create(
      std::shared_ptr<const Plan> plan, std::unique_ptr<Executor> executor);

  absl::Status SetOptimizer(const std::string& optimizer) override;
  absl::Status TrainStep(const StepRequest& request,
                         StepResult* result) override;
  absl::Status TrainSteps(const StepsRequest& request,
                          StepsResult* result) override;
  absl::Status Evaluate(const EvaluateRequest& request,
                        EvaluateResult* result) override;
  absl::Status Forward(const ForwardRequest& request,
                       std::vector<Tensor>* outputs) override;
  absl::Status Backward(const BackwardRequest& request,
                        std::vector<Outcome>* outcomes) override;
  absl::Status Update(const UpdateRequest& request,
                      std::vector<Outcome>* outcomes) override;
  absl::Status ZeroGrad(bool release) override;
  absl::StatusOr<Tensor> ReadState(int model, const std::string& slot,
                                   const std::string& parameter) override;
  absl::Status WriteState(int model, const std::string& slot,
                          const std::string& parameter,
                          const Tensor& value) override;
  absl::StatusOr<ModelDescription> Describe(int model) override;
  absl::StatusOr<SessionStats> Stats() override;
  absl::StatusOr<TuneReport> Tune(const Attributes& options) override;

 private:
  GroupedSession() = default;

  int num_models() const { return static_cast<int>(plan_->models.size()); }
  // `max_rows` < 0: any number of rows.
  absl::Status CheckRows(const RowSet& rows, const HostDataset& dataset,
                         int64_t max_rows) const;
  absl::Status CheckActive(absl::Span<const uint8_t> active) const;
  // Of one step, or of step `step` of columns of so many steps.
  absl::Status BindColumns(absl::Span<const Column> columns, UpdateRule* rule,
                           size_t step = 0, size_t steps = 1);
  // Makes Arena::kGradient ready to be added to.
  absl::Status KeepGradients();
  // Notes what a step added to the gradients kept.
  void RecordGradients(absl::Span<const Outcome> outcomes);
  // Makes the states ready that some model needs by these columns.
  absl::Status AllocateStates(const UpdateRule& rule);
  void ReleaseStates();
  absl::StatusOr<Arena> FindArena(const std::string& slot) const;
  // Where a tensor of the state lies; its arena may not be allocated yet.
  struct Place {
    Arena arena = Arena::kParam;
    int64_t offset = 0;
    const ParameterPlan* parameter = nullptr;
  };
  // The model's number where `slot` is a state that is no tensor; else null.
  float* FindNumber(int model, const std::string& slot);
  absl::StatusOr<Place> FindPlace(int model, const std::string& slot,
                                  const std::string& parameter) const;
  absl::Status CheckModel(int model) const;

  std::shared_ptr<const Plan> plan_;
  std::unique_ptr<Executor> executor_;
  OptimizerKind kind_ = OptimizerKind::kNone;
  const OptimizerInfo* info_ = nullptr;  // null: kNone
  std::vector<float> mu_product_;        // by model; of nadam
  std::vector<double> zeros_;  // a column that the caller left out, by model
  // What the gradients kept of each model are: kEmpty until something is added,
  // then kStepped, and not finite from the first time on that a step was.
  std::vector<Outcome> gradients_;
};

}  // namespace modelbatch::grouped

#endif  // BACKENDS_GROUPED_SESSION_H_
