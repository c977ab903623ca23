#include "modelbatch/backend/backend.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kStepped:
      return "stepped";
    case Outcome::kInactive:
      return "inactive";
    case Outcome::kEmpty:
      return "empty";
    case Outcome::kNonFiniteLoss:
      return "non-finite loss";
    case Outcome::kNonFiniteGradient:
      return "non-finite gradient";
  }
  return "unknown";
}

absl::Status Session::TrainSteps(const StepsRequest& request,
                                 StepsResult* result) {
  result->made = 0;
  result->losses.clear();
  result->outcomes.clear();
  const size_t steps = request.rows.size();
  MB_RETURN_IF_ERROR(CheckStepColumns(request));
  std::vector<Column> columns;
  for (const Column& column : request.columns) {
    columns.push_back({column.name, {}});
  }
  std::vector<uint8_t> active(request.active.begin(), request.active.end());
  StepRequest step;
  step.dataset = request.dataset;
  StepResult made;
  for (size_t s = 0; s < steps; ++s) {
    for (size_t c = 0; c < columns.size(); ++c) {
      const std::vector<double>& all = request.columns[c].values;
      const size_t models = all.size() / steps;
      columns[c].values.assign(all.begin() + s * models,
                               all.begin() + (s + 1) * models);
    }
    step.rows = request.rows[s];
    step.columns = columns;
    step.active = active;
    MB_RETURN_IF_ERROR(TrainStep(step, &made));
    if (active.empty()) active.assign(made.outcomes.size(), 1);
    for (size_t m = 0; m < made.outcomes.size(); ++m) {
      if (EndsSteps(made.outcomes[m], step.rows, m)) active[m] = 0;
    }
    result->losses.insert(result->losses.end(), made.losses.begin(),
                          made.losses.end());
    result->outcomes.insert(result->outcomes.end(), made.outcomes.begin(),
                            made.outcomes.end());
    ++result->made;
  }
  return absl::OkStatus();
}

absl::Status CheckStepColumns(const StepsRequest& request) {
  const size_t steps = request.rows.size();
  if (steps == 0) {
    return absl::InvalidArgumentError("no steps, expected at least one");
  }
  for (const Column& column : request.columns) {
    if (column.values.size() % steps == 0) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "column ", column.name, " has ", column.values.size(),
        " values, expected one a step and model, of ", steps, " steps"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelDescription> Session::Describe(int) {
  return absl::UnimplementedError(
      "this backend does not describe its sessions");
}

absl::StatusOr<TuneReport> Session::Tune(const Attributes&) {
  return absl::UnimplementedError("this backend has nothing to tune");
}

}  // namespace modelbatch
