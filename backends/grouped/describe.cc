// GroupedSession: what its models hold.
#include "backends/grouped/session.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::grouped {

absl::StatusOr<ModelDescription> GroupedSession::Describe(int model) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  const ModelPlan& plan = plan_->models[model];
  ModelDescription description;
  const auto add = [&](const std::string& slot) {
    for (const ParameterPlan& parameter : plan.parameters) {
      description.states.push_back(
          {slot, parameter.name, DType::kFloat32, parameter.shape});
    }
  };
  add("param");
  if (info_ != nullptr) {
    for (const OptimizerState& state : info_->state) {
      if (state.per_model) {
        description.states.push_back({state.name, "", DType::kFloat32, {}});
      } else {
        add(state.name);
      }
    }
  }
  description.states.push_back({"step", "", DType::kInt64, {}});
  description.output = {plan.values[plan_->output()].cols};
  return description;
}

}  // namespace modelbatch::grouped
