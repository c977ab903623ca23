// Runs a plan's steps on LibTorch: one ModelStack a shard, shards on the
// threads of a pool.
#ifndef BACKENDS_LIBTORCH_LIBTORCH_EXECUTOR_H_
#define BACKENDS_LIBTORCH_LIBTORCH_EXECUTOR_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/grouped/executor.h"
#include "backends/grouped/plan.h"
#include "backends/libtorch/device.h"
#include "modelbatch/util/thread_pool.h"

namespace modelbatch::libtorch {

class ModelStack;

class LibTorchExecutor : public grouped::Executor {
 public:
  static absl::StatusOr<std::unique_ptr<LibTorchExecutor>> Create(
      std::shared_ptr<const grouped::Plan> plan,
      std::shared_ptr<ThreadPool> pool, const DeviceChoice& device);
  ~LibTorchExecutor() override;

  absl::Status Allocate(grouped::Arena arena) override;
  void Release(grouped::Arena arena) override;
  bool IsAllocated(grouped::Arena arena) const override;
  absl::Status Read(grouped::Arena arena, int64_t offset, int64_t size,
                    float* out) override;
  absl::Status Write(grouped::Arena arena, int64_t offset, int64_t size,
                     const float* values) override;
  absl::Span<int64_t> steps() override { return absl::MakeSpan(steps_); }
  absl::Status CheckRule(const grouped::UpdateRule&) const override {
    return absl::OkStatus();
  }
  // On failure some models may have made their step: those whose count went up.
  absl::Status TrainStep(const grouped::TrainArgs& args) override;
  absl::Status Evaluate(const grouped::EvaluateArgs& args) override;
  absl::Status Forward(const grouped::ForwardArgs& args) override;
  absl::Status Backward(const grouped::BackwardArgs& args) override;
  // On failure as TrainStep.
  absl::Status Update(const grouped::UpdateArgs& args) override;
  // Values and gradients of a block of models of each stack, after its first
  // step.
  int64_t workspace_bytes() const override;

 private:
  // Where a model's state is.
  struct Place {
    ModelStack* stack = nullptr;
    int64_t position = 0;  // in the stack
  };

  LibTorchExecutor() = default;

  // Runs `body` for every stack, on the pool's threads.
  absl::Status ForEachStack(absl::FunctionRef<void(ModelStack&)> body);
  // The model whose block of an arena holds `offset`, which becomes relative to
  // the block.
  const Place& Find(int64_t* offset) const;

  std::shared_ptr<const grouped::Plan> plan_;
  std::shared_ptr<ThreadPool> pool_;
  std::vector<std::unique_ptr<ModelStack>> stacks_;  // the most work first
  std::vector<Place> places_;                        // by model
  int threads_per_stack_ = 1;  // that LibTorch uses within an operation
  bool allocated_[grouped::kNumArenas] = {};
  std::vector<int64_t> steps_;
};

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_LIBTORCH_EXECUTOR_H_
