#include "modelbatch/cli/choose_models.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/train/fold_summary.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// The models of one setting, fold by fold.
absl::StatusOr<std::vector<int>> ModelsOfSetting(const std::string& text,
                                                 const Experiment& experiment,
                                                 const TrainState& state) {
  const std::vector<SettingSummary> settings =
      SummarizeFolds(experiment, state);
  if (settings.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--setting ", text,
                     ": the run has no folds, expected --model or "
                     "--top"));
  }
  int64_t number = -1;
  if (text != "best" && !absl::SimpleAtoi(text, &number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--setting ", text, ": expected a setting's number or best"));
  }
  for (const SettingSummary& setting : settings) {
    if (text == "best" ? setting.rank != 1 : setting.setting != number) {
      continue;
    }
    if (!setting.models.empty()) return setting.models;
    return absl::FailedPreconditionError(absl::StrCat(
        "no model of setting ", setting.setting, " has finished an epoch"));
  }
  return absl::NotFoundError(absl::StrCat("the run has no setting ", number,
                                          ", expected 0 to ",
                                          settings.back().setting));
}

}  // namespace

absl::StatusOr<std::vector<int>> ChooseModels(const WantedModels& choice,
                                              const Experiment& experiment,
                                              const TrainState& state,
                                              const std::vector<int>& ranked) {
  if (!choice.models.empty()) {
    std::vector<int> models;
    for (const std::string& text : choice.models) {
      if (text == "all") return ranked;
      int64_t id = 0;
      int model = ranked[0];
      if (absl::SimpleAtoi(text, &id)) {
        MB_ASSIGN_OR_RETURN(model, IndexOfModel(experiment, id));
      } else if (text != "best") {
        return absl::InvalidArgumentError(absl::StrCat(
            "--model ", text, ": expected a model's number, best or all"));
      }
      if (std::find(models.begin(), models.end(), model) != models.end()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "--model ", text, " is there twice, expected each model once"));
      }
      models.push_back(model);
    }
    return models;
  }
  if (!choice.setting.empty()) {
    return ModelsOfSetting(choice.setting, experiment, state);
  }
  const int64_t most = static_cast<int64_t>(ranked.size());
  const int64_t count = choice.all ? most : std::max<int64_t>(choice.top, 1);
  if (count > most) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--top ", count, ": the run has ", most,
        most == 1 ? " model" : " models",
        most == experiment.population.size() ? "" : " with a finished epoch"));
  }
  return std::vector<int>(ranked.begin(), ranked.begin() + count);
}

}  // namespace modelbatch
