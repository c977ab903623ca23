// The state of models of equal shapes, stacked, and the steps on it. Runs on
// the calling thread; throws what LibTorch throws.
#ifndef BACKENDS_LIBTORCH_MODEL_STACK_H_
#define BACKENDS_LIBTORCH_MODEL_STACK_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "backends/grouped/executor.h"
#include "backends/grouped/plan.h"
#include "backends/libtorch/batch.h"
#include "backends/libtorch/host_loops.h"
#include "backends/libtorch/network.h"
#include "backends/libtorch/shards.h"

namespace modelbatch::libtorch {

class ModelStack {
 public:
  ModelStack(std::shared_ptr<const grouped::Plan> plan, Shard models,
             at::Device device);

  const Shard& models() const { return models_; }

  // As grouped::Executor's. `model` is a position in models(), `offset` is from
  // the start of its state.
  void Allocate(grouped::Arena arena);
  void Release(grouped::Arena arena);
  void Read(grouped::Arena arena, int64_t model, int64_t offset, int64_t size,
            float* out) const;
  void Write(grouped::Arena arena, int64_t model, int64_t offset, int64_t size,
             const float* values);

  // `steps`: of all models of the plan, as the arrays in `args`; only entries
  // of this stack's models are read and written.
  void TrainStep(const grouped::TrainArgs& args, absl::Span<int64_t> steps);
  void Evaluate(const grouped::EvaluateArgs& args);
  void Forward(const grouped::ForwardArgs& args,
               absl::Span<const int64_t> steps);
  void Backward(const grouped::BackwardArgs& args,
                absl::Span<const int64_t> steps);
  void Update(const grouped::UpdateArgs& args, absl::Span<int64_t> steps);

  // Held between calls besides the arenas.
  int64_t workspace_bytes() const;

 private:
  // Positions in models().
  using Positions = std::vector<int64_t>;
  using Tensors = std::vector<at::Tensor>;

  const grouped::ModelPlan& ModelAt(int64_t position) const {
    return plan_->models[models_[position]];
  }
  at::Tensor& ArenaOf(grouped::Arena arena) {
    return arenas_[static_cast<int>(arena)];
  }
  // By parameter, [positions, ...]: views of the arena, or copies.
  Tensors Parameters(const Positions& positions);
  Batch Gather(const grouped::HostDataset& dataset, const RowSet& rows,
               const Positions& positions, int64_t begin,
               const LossSettings* loss);
  Tensors DropoutFactorsOf(const Positions& positions, int64_t rows,
                           absl::Span<const int64_t> steps) const;
  // The output; `dropout_factors`: empty for evaluation.
  at::Tensor Run(const Positions& positions, const Batch& batch,
                 Tensors dropout_factors, bool differentiable);
  // The models that take part in a step, the others' outcomes set. Where
  // several blocks are needed those with the most rows come first.
  Positions TakePart(
      const RowSet& rows, const uint8_t* active, Outcome* outcomes,
      absl::FunctionRef<bool(absl::Span<const int32_t>)> is_empty) const;
  // Calls `body` for pieces of `positions` whose step fits the caches.
  void ForEachBlock(const Positions& positions,
                    absl::FunctionRef<void(Positions)> body) const;
  // Drops the models that have at most `begin` rows.
  void KeepThoseWithRows(const RowSet& rows, int64_t begin,
                         Positions* block) const;
  void TrainBlock(const grouped::TrainArgs& args, const Positions& block,
                  const Batch& batch, absl::Span<int64_t> steps);
  void BackwardBlock(const grouped::BackwardArgs& args, const Positions& block,
                     absl::Span<const int64_t> steps);
  // Finishes a step for the models at `positions`, whose gradients are entries
  // `entries` of `gradients` (by parameter).
  void Apply(const grouped::TrainArgs& args, const Positions& positions,
             const Positions& entries, const Tensors& gradients,
             absl::Span<int64_t> steps);
  // The same on the host, from each tensor of the gradients where it lies.
  void UpdateOneByOne(const grouped::TrainArgs& args,
                      const Positions& positions, const Positions& entries,
                      const Tensors& gradients, absl::Span<int64_t> steps);
  // From an offset within a model's state.
  HostRow HostRowAt(int64_t position, int64_t offset, const float* gradient);
  // Entries of the gradients, [entries, state size].
  at::Tensor Join(const Tensors& gradients, const Positions& entries) const;
  // Which rows of `gradient` are finite; the outcomes of the others say so.
  std::vector<bool> MarkFinite(const Positions& positions,
                               const at::Tensor& gradient,
                               Outcome* outcomes) const;
  // Puts, or adds where they are finite, rows of `gradient` to those kept.
  void Keep(const Positions& positions, const at::Tensor& gradient);
  void AddFinite(const Positions& positions, const at::Tensor& gradient,
                 Outcome* outcomes);
  // Changes `gradient`, keeps it on demand and updates, as the rule says, the
  // models whose rows of it are finite; the others' outcomes say that they are
  // not.
  void UpdateFinite(const grouped::UpdateRule& rule, const Positions& positions,
                    at::Tensor gradient, bool keep, Outcome* outcomes,
                    absl::Span<int64_t> steps);
  void UpdateRows(const grouped::UpdateRule& rule, const Positions& positions,
                  const at::Tensor& gradient, absl::Span<int64_t> steps);

  std::shared_ptr<const grouped::Plan> plan_;
  Shard models_;
  at::Device device_;
  int64_t state_size_;  // of one model
  int64_t models_per_block_;
  Network network_;
  at::Tensor feature_memory_;               // of the last batch, on the host
  at::Tensor arenas_[grouped::kNumArenas];  // [models, state size]
};

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_MODEL_STACK_H_
