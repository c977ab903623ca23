// Turns the swept numbers of a config into one model, and one set of
// hyper-parameters, for each member of the population.
//
//   MB_ASSIGN_OR_RETURN(Population population,
//                       ExpandPopulation(config, dataset_row_shape));
//
// Model i has id i and seed DeriveSeed(config.seed, i). With data.folds each
// setting is there once a fold: model s * count + f has setting s and fold f,
// and the last swept field is the fold. Swept fields are ordered: the
// optimizer's first, as OptimizerInfo lists them, then its schedule's, then the
// layers', in the order of layers and alphabetically within one, then the batch
// size. In a grid the first field varies slowest. A list has a value for each
// setting. A field that is drawn gets its value for setting i from
// Philox(config.seed, kSweep), so that it depends on neither the other fields
// nor the number of models or folds. Grid, lists and population.models must say
// the same number of settings.
#ifndef MODELBATCH_SEARCH_POPULATION_H_
#define MODELBATCH_SEARCH_POPULATION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/optim/lr_schedule.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// The path of the field that says which fold a model is of.
inline constexpr char kFoldField[] = "data.fold";

// A number that differs between models.
struct SweptField {
  std::string path;   // "model.layers[0].out_features"
  std::string label;  // "out_features" where that is unique
  bool integer = false;
  std::vector<double> values;  // of each model
};

// Parameter -> value.
using InitialWeights = std::shared_ptr<const std::map<std::string, Tensor>>;

struct Population {
  std::vector<ModelInstance> models;
  std::vector<Layout> layouts;
  std::vector<OptimizerConfig> optimizers;
  // Learning-rate schedules; empty: there are none. What the config leaves to
  // the length of the training is not in them yet.
  std::vector<LrScheduleSpec> schedules;
  std::vector<int64_t> batch_sizes;
  // Which fold's rows each model sees; 0 without data.folds.
  std::vector<int> folds;
  // Models of one setting differ in fold and seed only. -1: a copy that came in
  // the place of a model, which is of none.
  std::vector<int64_t> settings;
  std::vector<SweptField> fields;
  // What each model begins with, and begins with again when it is reset. Empty:
  // random values, by its seed. Models may share it.
  std::vector<InitialWeights> initial;

  int size() const { return static_cast<int>(models.size()); }
};

// `row_shape` is that of one row of the data; config.model.input, when given,
// reshapes it. Every model is checked: an error names file, line and key.
absl::StatusOr<Population> ExpandPopulation(const ExperimentConfig& config,
                                            const Shape& row_shape);

}  // namespace modelbatch

#endif  // MODELBATCH_SEARCH_POPULATION_H_
