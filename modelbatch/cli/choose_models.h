// The models of a run that a command is to use.
#ifndef MODELBATCH_CLI_CHOOSE_MODELS_H_
#define MODELBATCH_CLI_CHOOSE_MODELS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

// Their indices, as they were asked for, or the best first. `ranked`: those
// that there are to choose from, the best first; at least one. Errors name the
// option.
absl::StatusOr<std::vector<int>> ChooseModels(const WantedModels& choice,
                                              const Experiment& experiment,
                                              const TrainState& state,
                                              const std::vector<int>& ranked);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_CHOOSE_MODELS_H_
