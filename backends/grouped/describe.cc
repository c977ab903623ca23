// GroupedSession: what its models hold.
#include "backends/grouped/session.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::grouped {

absl::StatusOr<ModelDescription> GroupedSession::Describe(int model) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  const ModelPlan& plan = plan_->models[model];
  std::vector<std::string> slots = {"param"};
  if (info_ != nullptr) {
    slots.insert(slots.end(), info_->state.begin(), info_->state.end());
  }
  ModelDescription description;
  for (const std::string& slot : slots) {
    for (const ParameterPlan& parameter : plan.parameters) {
      description.states.push_back(
          {slot, parameter.name, DType::kFloat32, parameter.shape});
    }
  }
  description.states.push_back({"step", "", DType::kInt64, {}});
  description.output = {plan.values[plan_->output()].cols};
  return description;
}

}  // namespace modelbatch::grouped
