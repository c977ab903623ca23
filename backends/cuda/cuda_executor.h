// The grouped executor on a CUDA device: operation by operation, one launch for
// all models. A step uploads rows and hyper-parameters and downloads losses and
// outcomes; between, nothing is allocated, waited for or read. After Tune, a
// kind of step is recorded once and then launched as one CUDA graph
// (step_graphs.h).
#ifndef BACKENDS_CUDA_CUDA_EXECUTOR_H_
#define BACKENDS_CUDA_CUDA_EXECUTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/cuda/cuda_dataset.h"
#include "backends/cuda/device_memory.h"
#include "backends/cuda/gpu.h"
#include "backends/cuda/kernels/precision.h"
#include "backends/cuda/plan_tables.h"
#include "backends/cuda/schedule/epilogue_updates.h"
#include "backends/cuda/schedule/schedule.h"
#include "backends/cuda/step_buffer.h"
#include "backends/cuda/step_graphs.h"
#include "backends/grouped/executor.h"
#include "backends/grouped/plan.h"
#include "modelbatch/backend/tune_report.h"

namespace modelbatch::cuda {

class CudaExecutor : public grouped::Executor {
 public:
  // ResourceExhausted says how much memory the models need, how much is free,
  // and how many of them would fit.
  static absl::StatusOr<std::unique_ptr<CudaExecutor>> Create(
      std::shared_ptr<const grouped::Plan> plan, std::shared_ptr<Gpu> gpu,
      EpilogueUpdates updates = EpilogueUpdates::kWhereTheyPay);

  absl::Status Allocate(grouped::Arena arena) override;
  void Release(grouped::Arena arena) override;
  bool IsAllocated(grouped::Arena arena) const override;
  absl::Status Read(grouped::Arena arena, int64_t offset, int64_t size,
                    float* out) override;
  absl::Status Write(grouped::Arena arena, int64_t offset, int64_t size,
                     const float* values) override;
  absl::Span<int64_t> steps() override { return absl::MakeSpan(steps_); }
  absl::Status CheckRule(const grouped::UpdateRule&) const override {
    return absl::OkStatus();  // it has all
  }
  // Datasets are those of this backend: InvalidArgument.
  absl::Status TrainStep(const grouped::TrainArgs& args) override;
  bool has_train_steps() const override { return true; }
  absl::Status TrainSteps(const grouped::TrainStepsArgs& args,
                          int64_t* made) override;
  absl::Status Evaluate(const grouped::EvaluateArgs& args) override;
  absl::Status Forward(const grouped::ForwardArgs& args) override;
  absl::Status Backward(const grouped::BackwardArgs& args) override;
  absl::Status Update(const grouped::UpdateArgs& args) override;
  absl::StatusOr<TuneReport> Tune(const TuneOptions& options) override;
  std::string tuning() const override;
  int64_t workspace_bytes() const override;

 private:
  CudaExecutor() = default;
  absl::Status CheckMemory() const;
  absl::Status AllocateStaging();

  int64_t models() const { return static_cast<int64_t>(plan_->models.size()); }
  const Kernels& kernels() const { return gpu_->kernels(); }
  float* arena(grouped::Arena arena) const {
    return arenas_[static_cast<int>(arena)].data();
  }

  // The launches of a step. `dataset_` is set.
  Source Value(grouped::ValueId value) const;
  Target ValueTarget(grouped::ValueId value) const;
  Source Gradient(grouped::ValueId value) const;
  Target GradientTarget(grouped::ValueId value) const;
  Grid RowGrid(int64_t rows_of_block) const;
  ProductArgs ArgsOf(Product product, const grouped::GroupedOp& op,
                     float* gradients) const;
  // `large`, here and below: where models are noted whose operands of updates
  // in epilogues are too large for them, in a step that has such updates; null:
  // in others.
  absl::Status LaunchProduct(Product product, const grouped::GroupedOp& op,
                             float* gradients, int32_t* large);
  // Of the step's rows in a StepBuffer, at most.
  int64_t IndexSize(const RowSet& rows) const;
  StepKind KindOf(const grouped::TrainArgs& args) const;
  absl::Status LaunchStep(const grouped::TrainArgs& args);
  // From one of several steps to the next.
  absl::Status LaunchAdvance(int64_t step);
  absl::Status LaunchForward(bool training, int32_t* large = nullptr);
  absl::Status LaunchForwardOp(const grouped::GroupedOp& op, bool training,
                               int32_t* large);
  absl::Status LaunchDropout(const grouped::GroupedOp& op, Source x, Target y,
                             bool accumulate);
  absl::Status LaunchLoss(bool training);
  // With `large`, weights that epilogues update have no gradient yet.
  absl::Status LaunchBackward(float* gradients, int32_t* large = nullptr);
  absl::Status LaunchBackwardOp(const grouped::GroupedOp& op, float* gradients,
                                int32_t* large);
  // In gradients that the backward pass has not looked at. Models with such do
  // not step.
  absl::Status LaunchFindNonFinite(const float* gradients);
  absl::Status LaunchUpdate(const grouped::UpdateRule& rule, float* gradients);
  UpdateArgs UpdateOf(const float* gradients) const;
  // Whether the step updates in epilogues. A function of its StepKind.
  bool UpdatesInEpilogues(const grouped::TrainArgs& args) const;
  absl::Status LaunchLook(Source x, int32_t* large);
  // What the backward pass and LaunchUpdate do in other steps.
  absl::Status LaunchEpilogueUpdates(const grouped::UpdateRule& rule,
                                     float* gradients, int32_t* large);
  absl::Status LaunchState(const Kernel<StateArgs>& kernel, const float* from,
                           float* to);

  absl::Status SetDataset(const grouped::HostDataset* dataset);
  void SetColumns(const grouped::UpdateRule& rule);
  void CountSteps(const Outcome* outcomes);

  std::shared_ptr<const grouped::Plan> plan_;
  std::shared_ptr<Gpu> gpu_;
  Precision precision_ = Precision::kFp32;  // of products
  Schedule schedule_;
  PlanTables tables_;

  std::vector<int64_t> steps_;
  StepBuffer step_;
  StepGraphs graphs_;
  DeviceArray<float> arenas_[grouped::kNumArenas];
  DeviceArray<float> workspace_, gradients_, factors_;
  DeviceArray<float> row_losses_, row_weights_;
  DeviceArray<double> sums_;  // of an evaluation: sums, totals, correct
  // Outputs or their gradients on the way, made when first needed.
  DeviceArray<float> packed_;
  HostArray<float> packed_host_;
  const CudaDataset* dataset_ = nullptr;  // of the call
  // Some, not all, of the launches that update have been made, of the step that
  // was launched last.
  bool in_part_ = false;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_CUDA_EXECUTOR_H_
