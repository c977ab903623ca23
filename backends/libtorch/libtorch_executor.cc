#include "backends/libtorch/libtorch_executor.h"

#include <algorithm>
#include <utility>

#include "backends/libtorch/call_scope.h"
#include "backends/libtorch/model_stack.h"
#include "backends/libtorch/shards.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::libtorch {
namespace {

using grouped::Arena;
using grouped::ModelPlan;

// A step of a lone stack with less work than this is over before a second
// thread has helped.
constexpr int64_t kThreadedFlops = 50'000'000;

}  // namespace

LibTorchExecutor::~LibTorchExecutor() = default;

absl::StatusOr<std::unique_ptr<LibTorchExecutor>> LibTorchExecutor::Create(
    std::shared_ptr<const grouped::Plan> plan, std::shared_ptr<ThreadPool> pool,
    const DeviceChoice& device) {
  auto executor = std::unique_ptr<LibTorchExecutor>(new LibTorchExecutor);
  executor->steps_.assign(plan->models.size(), 0);
  executor->places_.resize(plan->models.size());
  MB_RETURN_IF_ERROR(CatchTorch([&] {
    const at::Device where =
        device.cuda
            ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device.index))
            : at::Device(at::kCPU);
    const int pieces = device.cuda ? 1 : pool->threads();
    int64_t flops = 0;
    for (const ModelPlan& model : plan->models) {
      flops += model.flops_per_row * plan->max_rows;
    }
    for (Shard& shard : MakeShards(*plan, pieces)) {
      auto stack = std::make_unique<ModelStack>(plan, std::move(shard), where);
      for (size_t i = 0; i < stack->models().size(); ++i) {
        executor->places_[stack->models()[i]] = {stack.get(),
                                                 static_cast<int64_t>(i)};
      }
      executor->stacks_.push_back(std::move(stack));
    }
    // Several stacks have one thread each; one stack may have all.
    if (executor->stacks_.size() == 1 && flops >= kThreadedFlops) {
      executor->threads_per_stack_ = pool->threads();
    }
  }));
  executor->plan_ = std::move(plan);
  executor->pool_ = std::move(pool);
  return executor;
}

absl::Status LibTorchExecutor::ForEachStack(
    absl::FunctionRef<void(ModelStack&)> body) {
  std::vector<absl::Status> statuses(stacks_.size());
  pool_->ParallelFor(static_cast<int64_t>(stacks_.size()),
                     [&](int, int64_t item) {
                       statuses[item] = CatchTorch([&] {
                         const CallScope scope(threads_per_stack_);
                         body(*stacks_[item]);
                       });
                     });
  for (absl::Status& status : statuses) MB_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

absl::Status LibTorchExecutor::Allocate(Arena arena) {
  const absl::Status status =
      ForEachStack([arena](ModelStack& stack) { stack.Allocate(arena); });
  allocated_[static_cast<int>(arena)] = true;
  if (!status.ok()) Release(arena);
  return status;
}

void LibTorchExecutor::Release(Arena arena) {
  if (!IsAllocated(arena)) return;
  allocated_[static_cast<int>(arena)] = false;
  for (const auto& stack : stacks_) stack->Release(arena);
}

bool LibTorchExecutor::IsAllocated(Arena arena) const {
  return allocated_[static_cast<int>(arena)];
}

int64_t LibTorchExecutor::workspace_bytes() const {
  int64_t bytes = 0;
  for (const auto& stack : stacks_) bytes += stack->workspace_bytes();
  return bytes;
}

const LibTorchExecutor::Place& LibTorchExecutor::Find(int64_t* offset) const {
  const std::vector<ModelPlan>& models = plan_->models;
  const auto after =
      std::upper_bound(models.begin(), models.end(), *offset,
                       [](int64_t value, const ModelPlan& model) {
                         return value < model.state_offset;
                       });
  const int64_t model = after - models.begin() - 1;
  *offset -= models[model].state_offset;
  return places_[model];
}

absl::Status LibTorchExecutor::Read(Arena arena, int64_t offset, int64_t size,
                                    float* out) {
  const Place& place = Find(&offset);
  return CatchTorch(
      [&] { place.stack->Read(arena, place.position, offset, size, out); });
}

absl::Status LibTorchExecutor::Write(Arena arena, int64_t offset, int64_t size,
                                     const float* values) {
  const Place& place = Find(&offset);
  return CatchTorch(
      [&] { place.stack->Write(arena, place.position, offset, size, values); });
}

absl::Status LibTorchExecutor::TrainStep(const grouped::TrainArgs& args) {
  return ForEachStack(
      [&](ModelStack& stack) { stack.TrainStep(args, steps()); });
}

absl::Status LibTorchExecutor::Evaluate(const grouped::EvaluateArgs& args) {
  return ForEachStack([&](ModelStack& stack) { stack.Evaluate(args); });
}

absl::Status LibTorchExecutor::Forward(const grouped::ForwardArgs& args) {
  return ForEachStack([&](ModelStack& stack) { stack.Forward(args, steps()); });
}

absl::Status LibTorchExecutor::Backward(const grouped::BackwardArgs& args) {
  return ForEachStack(
      [&](ModelStack& stack) { stack.Backward(args, steps()); });
}

absl::Status LibTorchExecutor::Update(const grouped::UpdateArgs& args) {
  return ForEachStack([&](ModelStack& stack) { stack.Update(args, steps()); });
}

}  // namespace modelbatch::libtorch
