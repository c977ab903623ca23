// Gives a ModelBatch an optimizer, with its own hyper-parameters for every
// model.
//
//   OptimizerFactory factory("adam", {{"weight_decay", 1e-4}});
//   auto optimizer = factory.CreateOptimizer(batch.get(), configs);
//   auto scheduler =
//       factory.CreateLrScheduler(&*optimizer, "exponential_lr", schedules);
#ifndef MODELBATCH_OPTIM_OPTIMIZER_FACTORY_H_
#define MODELBATCH_OPTIM_OPTIMIZER_FACTORY_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/optim/lr_scheduler.h"
#include "modelbatch/optim/optimizer.h"

namespace modelbatch {

class OptimizerFactory {
 public:
  // `base`: what all models share.
  explicit OptimizerFactory(std::string kind, OptimizerConfig base = {})
      : kind_(std::move(kind)), base_(std::move(base)) {}

  // `configs` has one entry a model. Zeroes the batch's optimizer state.
  absl::StatusOr<Optimizer> CreateOptimizer(
      ModelBatch* batch, absl::Span<const OptimizerConfig> configs) const;

  // A learning-rate schedule a model, with arguments of its own: see
  // LrScheduler, which also makes those of other schedules and of mixed kinds.
  absl::StatusOr<LrScheduler> CreateLrScheduler(
      Optimizer* optimizer, const std::string& kind,
      absl::Span<const Attributes> configs) const;

 private:
  std::string kind_;
  OptimizerConfig base_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_OPTIM_OPTIMIZER_FACTORY_H_
