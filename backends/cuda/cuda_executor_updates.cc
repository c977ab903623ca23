// CudaExecutor: the launches of updates.
#include <cstdint>

#include "backends/cuda/cuda_executor.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {

using grouped::Arena;
using grouped::GroupedOp;
using grouped::OptimizerKind;

static_assert(static_cast<int>(OptimizerKind::kLion) ==
                  static_cast<int>(Optimizer::kLion) + 1,
              "the optimizers of kernels/args.h are those of the executor");

absl::Status CudaExecutor::LaunchState(const Kernel<StateArgs>& kernel,
                                       const float* from, float* to) {
  StateArgs args;
  args.tiles = tables_.At(tables_.state_tiles);
  args.outcomes = step_.outcomes();
  args.bad = step_.bad();
  args.from = from;
  args.to = to;
  return gpu_->Launch(kernel, tables_.state_tiles.size, args);
}

absl::Status CudaExecutor::LaunchFindNonFinite(const float* gradients) {
  return LaunchState(kernels().find_non_finite, gradients, nullptr);
}

bool CudaExecutor::UpdatesInEpilogues(const grouped::TrainArgs& args) const {
  const OptimizerKind optimizer = args.rule.optimizer;
  return args.update && !args.keep_gradients && !args.accumulate &&
         !args.rule.gradients.any() &&
         (optimizer == OptimizerKind::kSgd ||
          optimizer == OptimizerKind::kAdam ||
          optimizer == OptimizerKind::kAdamW) &&
         tables_.epilogue_state_tiles.size > 0;
}

absl::Status CudaExecutor::LaunchLook(Source x, int32_t* large) {
  const LookArgs args = {RowGrid(kElementRows), x, large};
  return gpu_->Launch(kernels().look_for_large, models() * args.grid.parts,
                      args);
}

absl::Status CudaExecutor::LaunchEpilogueUpdates(
    const grouped::UpdateRule& rule, float* gradients, int32_t* large) {
  const int optimizer = static_cast<int>(rule.optimizer) - 1;
  UpdateArgs update = UpdateOf(gradients);
  for (auto op = plan_->ops.rbegin(); op != plan_->ops.rend(); ++op) {
    if (!schedule_.epilogue_updates[op->index].used) continue;
    UpdatingProductArgs args;
    static_cast<ProductArgs&>(args) =
        ArgsOf(Product::kWeightGradient, *op, gradients);
    args.large = large;
    args.update = update;
    args.optimizer = static_cast<Optimizer>(optimizer);
    const std::vector<TileList>& lists =
        schedule_.linear[op->index].weight_gradient.lists;
    for (size_t l = 0; l < lists.size(); ++l) {
      const Table<Tile>& tiles =
          tables_.ops[op->index].weight_gradient.tiles[l];
      args.tiles = tables_.At(tiles);
      MB_RETURN_IF_ERROR(gpu_->Launch(
          kernels().updating_products[static_cast<int>(precision_)]
                                     [static_cast<int>(lists[l].shape)],
          tiles.size, args));
      in_part_ = true;
    }
  }
  update.tiles = tables_.At(tables_.other_state_tiles);
  MB_RETURN_IF_ERROR(gpu_->Launch(kernels().updates[optimizer],
                                  tables_.other_state_tiles.size, update));
  update.tiles = tables_.At(tables_.epilogue_state_tiles);
  update.only = large;
  MB_RETURN_IF_ERROR(gpu_->Launch(kernels().updates[optimizer],
                                  tables_.epilogue_state_tiles.size, update));
  in_part_ = false;
  return absl::OkStatus();
}

UpdateArgs CudaExecutor::UpdateOf(const float* gradients) const {
  UpdateArgs update;
  update.tiles = tables_.At(tables_.state_tiles);
  update.outcomes = step_.outcomes();
  update.bad = step_.bad();
  update.models = models();
  update.columns = step_.column(0);
  update.steps = step_.steps();
  update.params = arena(Arena::kParam);
  update.gradients = gradients;
  for (int i = 0; i < grouped::kMaxStates; ++i) {
    update.states[i] = arena(grouped::StateArena(i));
  }
  update.mu_product = step_.mu_products();
  update.new_mu_product = step_.new_mu_products();
  return update;
}

absl::Status CudaExecutor::LaunchUpdate(const grouped::UpdateRule& rule,
                                        float* gradients) {
  const grouped::GradientColumns& clip = rule.gradients;
  const auto column = [&](const double* given, int c) {
    return given == nullptr ? nullptr : step_.column(8 + c);
  };
  if (clip.scale != nullptr || clip.clip_value != nullptr) {
    ClipArgs args;
    args.tiles = tables_.At(tables_.state_tiles);
    args.outcomes = step_.outcomes();
    args.bad = step_.bad();
    args.gradients = gradients;
    args.scale = column(clip.scale, 0);
    args.value = column(clip.clip_value, 1);
    MB_RETURN_IF_ERROR(
        gpu_->Launch(kernels().clip_elements, tables_.state_tiles.size, args));
  }
  if (clip.clip_norm != nullptr) {
    NormArgs norm;
    norm.outcomes = step_.outcomes();
    norm.bad = step_.bad();
    norm.offsets = tables_.At(tables_.state_offsets);
    norm.sizes = tables_.At(tables_.state_sizes);
    norm.gradients = gradients;
    norm.norm = column(clip.clip_norm, 2);
    norm.factors = factors_.data();
    MB_RETURN_IF_ERROR(
        gpu_->Launch(kernels().find_norm_factor, models(), norm));
    const ScaleArgs scale = {tables_.At(tables_.state_tiles), step_.outcomes(),
                             step_.bad(), factors_.data(), gradients};
    MB_RETURN_IF_ERROR(gpu_->Launch(kernels().scale_gradients,
                                    tables_.state_tiles.size, scale));
  }
  // Scaling may have overflowed.
  if (clip.any()) MB_RETURN_IF_ERROR(LaunchFindNonFinite(gradients));

  if (rule.optimizer == OptimizerKind::kNone) return absl::OkStatus();
  const int optimizer = static_cast<int>(rule.optimizer) - 1;
  return gpu_->Launch(kernels().updates[optimizer], tables_.state_tiles.size,
                      UpdateOf(gradients));
}

}  // namespace modelbatch::cuda
