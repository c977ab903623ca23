// A config with everything it names read and checked: what training starts
// from.
//
//   MB_ASSIGN_OR_RETURN(ExperimentConfig config, LoadExperiment(path));
//   MB_ASSIGN_OR_RETURN(Experiment experiment, PrepareExperiment(config));
#ifndef MODELBATCH_TRAIN_EXPERIMENT_H_
#define MODELBATCH_TRAIN_EXPERIMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/data/data_table.h"
#include "modelbatch/data/split.h"
#include "modelbatch/search/population.h"

namespace modelbatch {

// What the models of one fold learn from and are selected by.
struct FoldRows {
  std::shared_ptr<const std::vector<int32_t>> train;
  std::shared_ptr<const std::vector<int32_t>> validation;
  // Rows that accuracies are of: those whose label the loss does not ignore.
  size_t counted_validation = 0;
};

// Copyable: copies share the data.
struct Experiment {
  ExperimentConfig config;
  Population population;
  std::shared_ptr<const DataTable> data;
  // As data.split and the files divide the rows. With data.folds `train` is
  // what they divide further.
  Split split;
  // Population::folds numbers them; without data.folds one, of all models.
  std::vector<FoldRows> folds;
  // Of the model that takes longest; the others wait for it.
  int64_t steps_per_epoch = 0;
  uint64_t data_fingerprint = 0;
  uint64_t initial_fingerprint = 0;  // of train.init_from; 0: none
  size_t counted_test = 0;           // as FoldRows::counted_validation

  bool has_classes() const { return config.data.classification; }
  bool has_validation() const { return config.data.has_validation(); }
  const FoldRows& rows_of(int model) const {
    return folds[population.folds[model]];
  }
  size_t counted_validation(int model) const {
    return rows_of(model).counted_validation;
  }
};

// Reads the data, splits it and expands the population. Errors name file, line
// and key.
absl::StatusOr<Experiment> PrepareExperiment(ExperimentConfig config);

// The same experiment with the model at `index` alone, as it was: id, seed,
// hyper-parameters, data, order and count of steps.
Experiment SingleModel(const Experiment& experiment, int index);

// Where the model with this id lies in the population; NotFound when it has
// none.
absl::StatusOr<int> IndexOfModel(const Experiment& experiment, int64_t id);

// InvalidArgument or Unimplemented naming file, line and key of the first
// operator, loss, optimizer, mixture of layers or precision that the backend of
// this name lacks.
absl::Status CheckCapabilities(const Experiment& experiment,
                               const Capabilities& capabilities,
                               const std::string& backend);

// A fingerprint of all that decides the bits of a run. Not of it: the number
// of epochs (unless a schedule follows it), checkpoints, logs, the backend (but
// its precision) and paths.
uint64_t ConfigFingerprint(const ExperimentConfig& config);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_EXPERIMENT_H_
