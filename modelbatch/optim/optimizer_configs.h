// Configs for OptimizerFactory, one a model.
//
//   auto configs = CreateLrSweepConfigs(1e-4, 1e-1, batch->num_models());
//   auto optimizer = OptimizerFactory("adam").CreateOptimizer(batch, *configs);
#ifndef MODELBATCH_OPTIM_OPTIMIZER_CONFIGS_H_
#define MODELBATCH_OPTIM_OPTIMIZER_CONFIGS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/optim/optimizer.h"

namespace modelbatch {

// A config a learning rate, the other values the same in all; for "sgd", and
// for "adam" or "adamw". InvalidArgument names the model and the value.
absl::StatusOr<std::vector<OptimizerConfig>> CreateSgdConfigs(
    absl::Span<const double> learning_rates, double momentum = 0.9,
    double weight_decay = 1e-4);
absl::StatusOr<std::vector<OptimizerConfig>> CreateAdamConfigs(
    absl::Span<const double> learning_rates, double beta1 = 0.9,
    double beta2 = 0.999, double eps = 1e-8, double weight_decay = 0);

enum class LrScale { kLog, kLinear };

// Learning rates from `min_lr` to `max_lr`, both exact, evenly on the scale;
// one model has `min_lr`:
//   linear  min + (max - min) k / (num_models - 1)
//   log     min (max / min)^(k / (num_models - 1))
// InvalidArgument unless 0 <= min_lr <= max_lr are finite, min_lr is above 0 on
// the log scale and num_models is at least 1.
absl::StatusOr<std::vector<OptimizerConfig>> CreateLrSweepConfigs(
    double min_lr, double max_lr, int num_models,
    LrScale scale = LrScale::kLog);

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_OPTIMIZER_CONFIGS_H_
