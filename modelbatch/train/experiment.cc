#include "modelbatch/train/experiment.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/routing/k_folds.h"
#include "modelbatch/tensor/view.h"
#include "modelbatch/train/complete_schedules.h"
#include "modelbatch/train/initial_weights.h"
#include "modelbatch/train/read_data.h"
#include "modelbatch/util/fnv1a.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status At(const ExperimentConfig& config, const std::string& path,
                const absl::Status& status) {
  if (status.ok()) return status;
  return config.source.Error(path, std::string(status.message()),
                             status.code());
}

// How many of the rows the loss does not ignore; at least one, if there are
// any.
absl::StatusOr<size_t> CountRows(const ExperimentConfig& config,
                                 const DataTable& table,
                                 const std::string& part,
                                 const std::vector<int32_t>& rows) {
  if (!table.has_classes() || rows.empty()) return rows.size();
  const size_t counted =
      std::count_if(rows.begin(), rows.end(), [&table](int32_t row) {
        return table.targets.data<int64_t>()[row] != table.ignored_class;
      });
  if (counted > 0) return counted;
  return config.source.Error(
      "loss",
      absl::StrCat("every label of the ", part, " part is ignore_index, ",
                   *table.ignored_class, ", expected at least one other"));
}

// What the models of one fold see.
absl::StatusOr<FoldRows> MakeFold(const ExperimentConfig& config,
                                  const DataTable& table,
                                  const std::string& name,
                                  std::vector<int32_t> train,
                                  std::vector<int32_t> validation) {
  FoldRows fold;
  MB_RETURN_IF_ERROR(CountRows(config, table, name + "train", train).status());
  MB_ASSIGN_OR_RETURN(
      fold.counted_validation,
      CountRows(config, table, name + "validation", validation));
  fold.train = std::make_shared<const std::vector<int32_t>>(std::move(train));
  fold.validation =
      std::make_shared<const std::vector<int32_t>>(std::move(validation));
  return fold;
}

// The labels of these rows; all of those that do not count are of one class.
Tensor LabelsOf(const DataTable& table, const std::vector<int32_t>& rows) {
  std::vector<int64_t> labels;
  for (const int32_t row : rows) {
    const int64_t label = table.targets.data<int64_t>()[row];
    labels.push_back(label == table.ignored_class ? table.num_classes : label);
  }
  return Tensor::FromVector(labels, {static_cast<int64_t>(labels.size())});
}

absl::StatusOr<std::vector<FoldRows>> MakeFolds(const ExperimentConfig& config,
                                                const DataTable& table,
                                                const Split& split) {
  std::vector<FoldRows> made;
  if (!config.data.folds.has_value()) {
    MB_ASSIGN_OR_RETURN(FoldRows all, MakeFold(config, table, "", split.train,
                                               split.validation));
    made.push_back(std::move(all));
    return made;
  }
  const FoldsConfig& settings = *config.data.folds;
  const std::vector<int32_t>& rows = split.train;
  const absl::StatusOr<std::vector<Fold>> folds =
      settings.stratified ? StratifiedKFolds(LabelsOf(table, rows),
                                             settings.count, settings.seed)
                          : KFolds(static_cast<int64_t>(rows.size()),
                                   settings.count, settings.seed);
  if (!folds.ok()) {
    return config.source.Error("data.folds.count",
                               std::string(folds.status().message()));
  }
  for (const Fold& fold : *folds) {
    const auto numbers = [&rows](const std::vector<int32_t>& places) {
      std::vector<int32_t> out;
      for (const int32_t place : places) out.push_back(rows[place]);
      return out;
    };
    MB_ASSIGN_OR_RETURN(
        FoldRows one,
        MakeFold(config, table, absl::StrCat("fold ", made.size(), ": "),
                 numbers(fold.train), numbers(fold.validation)));
    made.push_back(std::move(one));
  }
  return made;
}

// Steps of the model that takes longest.
int64_t LongestEpoch(const Experiment& experiment) {
  int64_t longest = 0;
  for (int i = 0; i < experiment.population.size(); ++i) {
    const int64_t rows =
        static_cast<int64_t>(experiment.rows_of(i).train->size());
    longest = std::max(longest,
                       (rows - 1) / experiment.population.batch_sizes[i] + 1);
  }
  return longest;
}

// What a model gives for a row must fit the row's target and the loss.
absl::Status CheckOutputs(const ExperimentConfig& config,
                          const LossSettings& loss,
                          const Population& population,
                          const DataTable& table) {
  const std::string last =
      absl::StrCat("model.layers[", config.model.layers.size() - 1, "]");
  for (int i = 0; i < population.size(); ++i) {
    const Shape& output = population.layouts[i].output();
    if (output.size() != 1) {
      return config.source.Error(
          last, absl::StrCat("model ", i, " has outputs of shape ",
                             ShapeToString(output),
                             " a row, expected one dimension"));
    }
    if (table.has_classes()) {
      MB_RETURN_IF_ERROR(
          At(config, DataPlace(config.data), CheckClasses(table, output[0])));
    } else if (output[0] != table.targets.shape()[1]) {
      return config.source.Error(
          last,
          absl::StrCat("model ", i, " has ", output[0], " outputs, expected ",
                       table.targets.shape()[1], ", the columns of data.",
                       config.data.format == "csv" ? "label" : "targets"));
    }
    const absl::Status fits = CheckLossOutputs(loss, output[0]);
    if (!fits.ok()) {
      return config.source.Error(
          "loss", absl::StrCat("model ", i, ": ", std::string(fits.message())));
    }
  }
  return absl::OkStatus();
}

// The first layer whose attributes are not the same in all models; -1: none.
int FirstMixedLayer(const Population& population) {
  const std::vector<Operator>& first = population.models[0].spec.operators();
  for (size_t layer = 0; layer < first.size(); ++layer) {
    for (const ModelInstance& model : population.models) {
      if (model.spec.operators()[layer].attributes != first[layer].attributes) {
        return static_cast<int>(layer);
      }
    }
  }
  return -1;
}

// Whether models differ in it.
template <typename T>
bool Vary(const std::vector<T>& values) {
  return std::any_of(values.begin(), values.end(),
                     [&](T value) { return value != values[0]; });
}

}  // namespace

absl::StatusOr<Experiment> PrepareExperiment(ExperimentConfig config) {
  MB_ASSIGN_OR_RETURN(const LossSettings loss, ReadLoss(config.loss));
  MB_ASSIGN_OR_RETURN(ExperimentRows rows, ReadRows(config));
  DataTable& table = rows.table;
  Experiment experiment;
  MB_ASSIGN_OR_RETURN(experiment.population,
                      ExpandPopulation(config, table.row_shape()));
  MB_RETURN_IF_ERROR(CheckOutputs(config, loss, experiment.population, table));
  if (!config.train.init_from.empty()) {
    absl::StatusOr<std::vector<InitialWeights>> initial =
        ReadInitialWeights(config.train.init_from, experiment.population);
    if (!initial.ok()) {
      return At(config, "train.init_from", initial.status());
    }
    experiment.population.initial = *std::move(initial);
    experiment.initial_fingerprint = InitialFingerprint(experiment.population);
  }
  experiment.split = std::move(rows.split);
  if (config.train.log.confusion && experiment.split.test.empty()) {
    return config.source.Error("train.log.confusion",
                               "needs test rows, there are none");
  }
  MB_ASSIGN_OR_RETURN(experiment.folds,
                      MakeFolds(config, table, experiment.split));
  std::vector<int64_t> train_rows;
  for (int i = 0; i < experiment.population.size(); ++i) {
    train_rows.push_back(
        static_cast<int64_t>(experiment.rows_of(i).train->size()));
  }
  MB_RETURN_IF_ERROR(
      CompleteSchedules(config, train_rows, &experiment.population));
  MB_ASSIGN_OR_RETURN(experiment.counted_test,
                      CountRows(config, table, "test", experiment.split.test));
  experiment.steps_per_epoch = LongestEpoch(experiment);
  experiment.data_fingerprint = Fingerprint(table);
  // Where one file ends and the next begins decides who sees a row.
  for (const auto* part :
       {&experiment.split.train, &experiment.split.validation,
        &experiment.split.test}) {
    experiment.data_fingerprint =
        (experiment.data_fingerprint ^ part->size()) * 0x100000001b3u;
  }
  Shape shape = experiment.population.models[0].spec.input_shape();
  shape.insert(shape.begin(), table.rows());
  table.features = View(table.features, std::move(shape));
  experiment.data = std::make_shared<const DataTable>(std::move(table));
  experiment.config = std::move(config);
  return experiment;
}

Experiment SomeModels(const Experiment& experiment,
                      const std::vector<int>& indices) {
  const Population& all = experiment.population;
  const auto chosen = [&indices](const auto& from, auto* to) {
    for (const int index : indices) to->push_back(from[index]);
  };
  Population some;
  chosen(all.models, &some.models);
  chosen(all.layouts, &some.layouts);
  chosen(all.optimizers, &some.optimizers);
  if (!all.schedules.empty()) chosen(all.schedules, &some.schedules);
  chosen(all.batch_sizes, &some.batch_sizes);
  chosen(all.folds, &some.folds);
  chosen(all.settings, &some.settings);
  if (!all.initial.empty()) chosen(all.initial, &some.initial);
  for (const SweptField& field : all.fields) {
    some.fields.push_back({field.path, field.label, field.integer, {}});
    chosen(field.values, &some.fields.back().values);
  }
  Experiment result = experiment;
  result.population = std::move(some);
  return result;
}

Experiment SingleModel(const Experiment& experiment, int index) {
  return SomeModels(experiment, {index});
}

absl::StatusOr<int> IndexOfModel(const Experiment& experiment, int64_t id) {
  const std::vector<ModelInstance>& models = experiment.population.models;
  int64_t last = 0;
  for (size_t i = 0; i < models.size(); ++i) {
    if (models[i].id == id) return static_cast<int>(i);
    last = std::max(last, models[i].id);
  }
  return absl::NotFoundError(
      absl::StrCat("the run has no model ", id, ", expected 0 to ", last));
}

absl::Status CheckCapabilities(const Experiment& experiment,
                               const Capabilities& capabilities,
                               const std::string& backend) {
  const ExperimentConfig& config = experiment.config;
  const auto check =
      [&](const std::string& path, const char* what, const std::string& name,
          const std::vector<std::string>& there,
          absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
        if (std::find(there.begin(), there.end(), name) != there.end()) {
          return absl::OkStatus();
        }
        return config.source.Error(
            path,
            absl::StrCat("backend \"", backend, "\" lacks the ", what, " \"",
                         name, "\"; it has: ",
                         there.empty() ? "none" : absl::StrJoin(there, ", ")),
            code);
      };
  for (size_t i = 0; i < config.model.layers.size(); ++i) {
    MB_RETURN_IF_ERROR(check(absl::StrCat("model.layers[", i, "].kind"),
                             "operator", config.model.layers[i].kind,
                             capabilities.operators));
  }
  const int mixed = FirstMixedLayer(experiment.population);
  if (mixed >= 0) {
    MB_RETURN_IF_ERROR(check(absl::StrCat("model.layers[", mixed, "]"),
                             "feature", "mixed_widths", capabilities.features));
  }
  if (config.backend.precision != "fp32") {
    MB_RETURN_IF_ERROR(check("backend.precision", "precision",
                             config.backend.precision, capabilities.precisions,
                             absl::StatusCode::kUnimplemented));
  }
  if (config.backend.compile.has_value()) {
    MB_RETURN_IF_ERROR(
        check("backend.compile", "feature", "tuning", capabilities.features));
  }
  const Population& population = experiment.population;
  for (const auto& [path, varies] :
       {std::pair("data.folds", Vary(population.folds)),
        std::pair("train.batch_size", Vary(population.batch_sizes))}) {
    if (!varies) continue;
    MB_RETURN_IF_ERROR(check(path, "feature", "ragged_rows",
                             capabilities.features,
                             absl::StatusCode::kUnimplemented));
  }
  MB_RETURN_IF_ERROR(
      check(config.loss.attributes.empty() ? "loss" : "loss.kind", "loss",
            config.loss.kind, capabilities.losses));
  return check("optimizer.kind", "optimizer", config.optimizer.kind,
               capabilities.optimizers);
}

uint64_t ConfigFingerprint(const ExperimentConfig& config) {
  ExperimentConfig core = config;
  core.name = "";
  core.backend = BackendConfig();
  core.backend.precision = config.backend.precision;
  for (const auto& [key, path] : DataPaths(&core.data)) *path = "/";
  if (ScheduleFollowingEpochs(config).empty()) core.train.epochs = 0;
  core.train.checkpoint_every = 0;
  core.train.models_at_once = kAllModels;
  core.train.steps_at_once = kStepsThatGain;
  // The weights have a fingerprint of their own, as the data has.
  if (!core.train.init_from.empty()) core.train.init_from = "/";
  core.train.log = LogConfig();
  const std::string text = ExperimentToToml(core);
  Fnv1a hash;
  hash.Add(text.data(), text.size());
  return hash.value();
}

}  // namespace modelbatch
