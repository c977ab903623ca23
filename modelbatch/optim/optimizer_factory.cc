#include "modelbatch/optim/optimizer_factory.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

absl::StatusOr<Optimizer> OptimizerFactory::CreateOptimizer(
    ModelBatch* batch, absl::Span<const OptimizerConfig> configs) const {
  if (static_cast<int>(configs.size()) != batch->num_models()) {
    return absl::InvalidArgumentError(
        absl::StrCat(configs.size(), " optimizer configs for ",
                     batch->num_models(), " models, expected one a model"));
  }
  MB_ASSIGN_OR_RETURN(Optimizer optimizer,
                      Optimizer::Create(kind_, base_, configs));
  MB_RETURN_IF_ERROR(batch->SetOptimizer(kind_));
  return optimizer;
}

absl::StatusOr<LrScheduler> OptimizerFactory::CreateLrScheduler(
    Optimizer* optimizer, const std::string& kind,
    absl::Span<const Attributes> configs) const {
  std::vector<LrScheduleSpec> specs;
  for (const Attributes& config : configs) specs.push_back({kind, config});
  return LrScheduler::Create(optimizer, specs);
}

}  // namespace modelbatch
