#include "modelbatch/search/population.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/optim/lr_schedule_info.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/search/sweep_values.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// More models than this are a typing error.
constexpr int64_t kMaxModels = 1'000'000;

constexpr char kBatchSize[] = "train.batch_size";
constexpr char kSchedule[] = "optimizer.schedule";
constexpr char kWarmup[] = "optimizer.schedule.warmup";
constexpr char kWarmupFactor[] = "optimizer.schedule.warmup_start_factor";

// One number of the config, fixed or swept.
struct Field {
  std::string path;
  std::string name;  // "lr", "out_features"
  const Sweep* sweep;
};

std::string LayerPath(size_t layer) {
  return absl::StrCat("model.layers[", layer, "]");
}

std::string SchedulerPath(const std::string& path, size_t i) {
  return absl::StrCat(path, ".schedulers[", i, "]");
}

// `path`: of the schedule.
void ListScheduleFields(const ScheduleConfig& schedule, const std::string& path,
                        std::vector<Field>* fields) {
  for (const auto& [name, sweep] : schedule.numbers) {
    fields->push_back({absl::StrCat(path, ".", name), name, &sweep});
  }
  for (const auto& [name, sweeps] : schedule.lists) {
    for (size_t i = 0; i < sweeps.size(); ++i) {
      const std::string element = absl::StrCat(name, "[", i, "]");
      fields->push_back(
          {absl::StrCat(path, ".", element), element, &sweeps[i]});
    }
  }
  for (size_t i = 0; i < schedule.schedulers.size(); ++i) {
    ListScheduleFields(schedule.schedulers[i], SchedulerPath(path, i), fields);
  }
}

std::vector<Field> ListFields(const ExperimentConfig& config,
                              const OptimizerInfo& optimizer) {
  std::vector<Field> fields;
  for (const auto* table :
       {&optimizer.hyper_parameters, &GradientHyperParameters()}) {
    for (const HyperParameter& h : *table) {
      const auto it = config.optimizer.numbers.find(h.name);
      if (it != config.optimizer.numbers.end()) {
        fields.push_back(
            {absl::StrCat("optimizer.", h.name), h.name, &it->second});
      }
    }
  }
  if (config.optimizer.schedule.has_value()) {
    const ScheduleSection& schedule = *config.optimizer.schedule;
    ListScheduleFields(schedule, kSchedule, &fields);
    fields.push_back({kWarmup, "warmup", &schedule.warmup});
    fields.push_back(
        {kWarmupFactor, "warmup_start_factor", &schedule.warmup_start_factor});
  }
  for (size_t i = 0; i < config.model.layers.size(); ++i) {
    for (const auto& [name, sweep] : config.model.layers[i].numbers) {
      fields.push_back({absl::StrCat(LayerPath(i), ".", name), name, &sweep});
    }
  }
  fields.push_back({kBatchSize, "batch_size", &config.train.batch_size});
  return fields;
}

// "out_features", or "layers[0].out_features" when another field has that name.
std::vector<SweptField> SweptFields(const std::vector<Field>& fields) {
  std::map<std::string, int> uses;
  for (const Field& field : fields) {
    if (field.sweep->kind != Sweep::Kind::kFixed) ++uses[field.name];
  }
  std::vector<SweptField> swept;
  for (const Field& field : fields) {
    if (field.sweep->kind == Sweep::Kind::kFixed) continue;
    SweptField out;
    out.path = field.path;
    out.integer = field.sweep->integer;
    out.label = uses[field.name] == 1                    ? field.name
                : absl::StartsWith(field.path, "model.") ? field.path.substr(6)
                                                         : field.path;
    swept.push_back(std::move(out));
  }
  return swept;
}

absl::Status CheckDistinct(const ExperimentConfig& config, const Field& field,
                           const std::vector<double>& values) {
  const std::set<double> distinct(values.begin(), values.end());
  if (distinct.size() == values.size()) return absl::OkStatus();
  return config.source.Error(
      field.path,
      absl::StrCat("gives only ", distinct.size(), " different values out of ",
                   values.size(), ", expected each to differ"));
}

// How a field gets its values.
enum class Form { kFixed, kList, kGrid, kRandom };

Form FormOf(const ExperimentConfig& config, const Field& field) {
  if (field.sweep->kind == Sweep::Kind::kFixed) return Form::kFixed;
  if (field.sweep->kind == Sweep::Kind::kList) return Form::kList;
  return config.population.random || field.sweep->random ? Form::kRandom
                                                         : Form::kGrid;
}

// The fields of the grid with the values each takes.
struct Grid {
  std::vector<std::vector<double>> values;
  int64_t combinations = 1;
  std::string text;  // "3 of optimizer.lr x 2 of ..."
};

absl::StatusOr<Grid> MakeGrid(const ExperimentConfig& config,
                              const std::vector<Field>& fields) {
  Grid grid;
  std::vector<std::string> factors;
  for (const Field& field : fields) {
    if (FormOf(config, field) != Form::kGrid) continue;
    grid.values.push_back(GridValues(*field.sweep));
    const std::vector<double>& values = grid.values.back();
    MB_RETURN_IF_ERROR(CheckDistinct(config, field, values));
    factors.push_back(absl::StrCat(values.size(), " of ", field.path));
    grid.combinations *= static_cast<int64_t>(values.size());
    if (grid.combinations > kMaxModels) {
      return config.source.Error(
          field.path,
          absl::StrCat("the grid has more than ", kMaxModels, " combinations"));
    }
  }
  grid.text = absl::StrJoin(factors, " x ");
  return grid;
}

// What population.models, the grid and each list say must be the same.
absl::StatusOr<int64_t> CountModels(const ExperimentConfig& config,
                                    const std::vector<Field>& fields,
                                    const Grid& grid) {
  int64_t models = config.population.models;
  std::string why = absl::StrCat("population.models is ", models);
  if (!grid.values.empty()) {
    const std::string combinations = absl::StrCat(
        "the grid has ", grid.combinations, " combinations: ", grid.text);
    if (models > 0 && models != grid.combinations) {
      return config.source.Error(
          "population.models",
          absl::StrCat("found ", models, ", but ", combinations));
    }
    models = grid.combinations;
    why = combinations;
  }
  const Field* drawn = nullptr;
  for (const Field& field : fields) {
    const Form form = FormOf(config, field);
    if (form == Form::kRandom) drawn = &field;
    if (form != Form::kList) continue;
    const int64_t size = static_cast<int64_t>(field.sweep->values.size());
    if (models > 0 && models != size) {
      return config.source.Error(
          field.path, absl::StrCat("is a list of ", size,
                                   ", expected one value a model, but ", why));
    }
    if (size > kMaxModels) {
      return config.source.Error(
          field.path,
          absl::StrCat("is a list of more than ", kMaxModels, " models"));
    }
    models = size;
    why = absl::StrCat(field.path, " is a list of ", size);
  }
  if (models == 0 && drawn != nullptr) {
    return config.source.Error(
        "population.models",
        absl::StrCat("missing, expected an integer: ", drawn->path,
                     " is drawn, which does not end by itself"));
  }
  return std::max<int64_t>(models, 1);
}

// Sets the values of the swept fields for every model.
void Fill(const ExperimentConfig& config, const std::vector<Field>& fields,
          const Grid& grid, int64_t models, std::vector<SweptField>* swept) {
  int64_t slower = 1;  // combinations of the fields before, which vary slower
  size_t g = 0;
  size_t s = 0;
  for (const Field& field : fields) {
    const Form form = FormOf(config, field);
    if (form == Form::kFixed) continue;
    std::vector<double>& values = (*swept)[s++].values;
    if (form == Form::kList) {
      values = field.sweep->values;
    } else if (form == Form::kRandom) {
      for (int64_t model = 0; model < models; ++model) {
        values.push_back(
            RandomValue(*field.sweep, config.seed, field.path, model));
      }
    } else {
      const std::vector<double>& choices = grid.values[g++];
      const int64_t count = static_cast<int64_t>(choices.size());
      slower *= count;
      for (int64_t model = 0; model < models; ++model) {
        values.push_back(choices[model / (grid.combinations / slower) % count]);
      }
    }
  }
}

// Repeats each setting once a fold, and adds the fold as the field that varies
// fastest. Returns the number of folds, 1 without cross-validation.
absl::StatusOr<int64_t> SpreadOverFolds(const ExperimentConfig& config,
                                        int64_t settings,
                                        std::vector<SweptField>* swept) {
  if (!config.data.folds.has_value()) return 1;
  const int64_t folds = config.data.folds->count;
  if (settings > kMaxModels / folds) {
    return config.source.Error(
        "data.folds.count",
        absl::StrCat(settings, " settings in ", folds, " folds are more than ",
                     kMaxModels, " models"));
  }
  for (SweptField& field : *swept) {
    std::vector<double> values;
    for (const double value : field.values) {
      values.insert(values.end(), folds, value);
    }
    field.values = std::move(values);
  }
  SweptField field;
  field.path = kFoldField;
  field.label = "fold";
  field.integer = true;
  for (int64_t i = 0; i < settings * folds; ++i) {
    field.values.push_back(static_cast<double>(i % folds));
  }
  swept->push_back(std::move(field));
  return folds;
}

// The index of each input of layer `layer`.
absl::StatusOr<std::vector<int>> ResolveInputs(const ExperimentConfig& config,
                                               size_t layer) {
  const std::vector<LayerConfig>& layers = config.model.layers;
  if (layers[layer].inputs.empty()) {
    return std::vector<int>{static_cast<int>(layer) - 1};
  }
  std::vector<int> indices;
  for (size_t i = 0; i < layers[layer].inputs.size(); ++i) {
    const std::string& wanted = layers[layer].inputs[i];
    std::vector<std::string> names = {"input"};
    bool found = wanted == "input";
    if (found) indices.push_back(Operator::kModelInput);
    for (size_t j = 0; j < layer && !found; ++j) {
      names.push_back(layers[j].name.empty() ? absl::StrCat(j)
                                             : layers[j].name);
      found = names.back() == wanted;
      if (found) indices.push_back(static_cast<int>(j));
    }
    if (!found) {
      return config.source.Error(
          absl::StrCat(LayerPath(layer), ".inputs[", i, "]"),
          absl::StrCat("no earlier layer is named \"", wanted, "\"",
                       SuggestName(wanted, names)));
    }
  }
  return indices;
}

// Which line an error of `InferLayout` is about.
std::string BlamedPath(const ModelSpec& spec, const std::string& message) {
  for (size_t i = 0; i < spec.operators().size(); ++i) {
    const Operator& op = spec.operators()[i];
    if (!absl::StartsWith(message,
                          absl::StrCat("operator \"", op.name, "\" ("))) {
      continue;
    }
    for (const auto& [name, value] : op.attributes) {
      if (absl::StrContains(message, absl::StrCat(": ", name, " is "))) {
        return absl::StrCat(LayerPath(i), ".", name);
      }
    }
    return LayerPath(i);
  }
  return absl::StartsWith(message, "input shape") ? "model.input"
                                                  : "model.layers";
}

absl::StatusOr<Shape> InputShape(const ExperimentConfig& config,
                                 const Shape& row_shape) {
  if (config.model.input.empty()) return row_shape;
  // Sizes are bounded one by one, so that their product can not overflow.
  constexpr int64_t kMaxElements = int64_t{1} << 24;
  int64_t elements = 1;
  for (int64_t size : config.model.input) {
    elements = std::min(elements, kMaxElements) * std::min(size, kMaxElements);
  }
  if (elements != NumElements(row_shape)) {
    return config.source.Error(
        "model.input", absl::StrCat("found ", ShapeToString(config.model.input),
                                    ", but a row of the data has ",
                                    NumElements(row_shape), " features"));
  }
  return config.model.input;
}

// The value of every field, fixed or swept, for one model; by its path.
using Values = std::map<std::string, double>;

Values ValuesOf(const std::vector<Field>& fields,
                const std::vector<SweptField>& swept, int64_t model) {
  Values values;
  for (const Field& field : fields) {
    if (field.sweep->kind == Sweep::Kind::kFixed) {
      values[field.path] = field.sweep->values[0];
    }
  }
  for (const SweptField& field : swept) {
    values[field.path] = field.values[model];
  }
  return values;
}

ModelSpec BuildSpec(const ExperimentConfig& config, const Shape& input,
                    const std::vector<std::vector<int>>& inputs,
                    const Values& values) {
  ModelSpec spec(input);
  for (size_t i = 0; i < config.model.layers.size(); ++i) {
    const LayerConfig& layer = config.model.layers[i];
    Operator op{layer.name, layer.kind, inputs[i], layer.attributes};
    for (const auto& [name, sweep] : layer.numbers) {
      const double value = values.at(absl::StrCat(LayerPath(i), ".", name));
      if (sweep.integer) {
        op.attributes[name] = static_cast<int64_t>(value);
      } else {
        op.attributes[name] = value;
      }
    }
    spec.AddOperator(std::move(op));
  }
  return spec;
}

LrScheduleSpec BuildSchedule(const ScheduleConfig& schedule,
                             const std::string& path, const Values& values) {
  LrScheduleSpec spec;
  spec.kind = schedule.kind;
  const LrScheduleInfo& info = *FindLrSchedule(schedule.kind);
  for (const auto& [name, sweep] : schedule.numbers) {
    const double value = values.at(absl::StrCat(path, ".", name));
    if (sweep.integer) {
      spec.arguments[name] = static_cast<int64_t>(value);
    } else if (info.Find(name)->type == LrScheduleArgument::Type::kBool) {
      spec.arguments[name] = value != 0;
    } else {
      spec.arguments[name] = value;
    }
  }
  for (const auto& [name, text] : schedule.names) spec.arguments[name] = text;
  for (const auto& [name, sweeps] : schedule.lists) {
    std::vector<int64_t> list;
    for (size_t i = 0; i < sweeps.size(); ++i) {
      list.push_back(static_cast<int64_t>(
          values.at(absl::StrCat(path, ".", name, "[", i, "]"))));
    }
    spec.arguments[name] = std::move(list);
  }
  for (size_t i = 0; i < schedule.schedulers.size(); ++i) {
    spec.schedulers.push_back(
        BuildSchedule(schedule.schedulers[i], SchedulerPath(path, i), values));
  }
  return spec;
}

// With the warm-up that the config says in short.
LrScheduleSpec BuildWholeSchedule(const ScheduleSection& section,
                                  const Values& values) {
  LrScheduleSpec spec = BuildSchedule(section, kSchedule, values);
  const int64_t warmup = static_cast<int64_t>(values.at(kWarmup));
  if (warmup == 0) return spec;
  const LrScheduleSpec linear = {
      "linear_lr",
      {{"start_factor", values.at(kWarmupFactor)}, {"total_iters", warmup}}};
  return {"sequential_lr",
          {{"milestones", std::vector<int64_t>{warmup}}},
          {linear, std::move(spec)}};
}

}  // namespace

absl::StatusOr<Population> ExpandPopulation(const ExperimentConfig& config,
                                            const Shape& row_shape) {
  MB_ASSIGN_OR_RETURN(const OptimizerInfo* info,
                      FindOptimizer(config.optimizer.kind));
  MB_ASSIGN_OR_RETURN(const Shape input, InputShape(config, row_shape));
  const std::vector<Field> fields = ListFields(config, *info);
  Population population;
  population.fields = SweptFields(fields);
  MB_ASSIGN_OR_RETURN(const Grid grid, MakeGrid(config, fields));
  MB_ASSIGN_OR_RETURN(const int64_t settings,
                      CountModels(config, fields, grid));
  Fill(config, fields, grid, settings, &population.fields);
  MB_ASSIGN_OR_RETURN(const int64_t folds,
                      SpreadOverFolds(config, settings, &population.fields));
  std::vector<std::vector<int>> inputs;
  for (size_t i = 0; i < config.model.layers.size(); ++i) {
    MB_ASSIGN_OR_RETURN(std::vector<int> resolved, ResolveInputs(config, i));
    inputs.push_back(std::move(resolved));
  }
  for (int64_t id = 0; id < settings * folds; ++id) {
    const Values values = ValuesOf(fields, population.fields, id);
    ModelInstance model{id, DeriveSeed(config.seed, id),
                        BuildSpec(config, input, inputs, values)};
    absl::StatusOr<Layout> layout = InferLayout(model.spec);
    if (!layout.ok()) {
      const std::string message(layout.status().message());
      return config.source.Error(BlamedPath(model.spec, message),
                                 absl::StrCat("model ", id, ": ", message),
                                 layout.status().code());
    }
    OptimizerConfig optimizer;
    for (const auto& [name, sweep] : config.optimizer.numbers) {
      optimizer[name] = values.at(absl::StrCat("optimizer.", name));
    }
    population.models.push_back(std::move(model));
    population.layouts.push_back(*std::move(layout));
    population.optimizers.push_back(std::move(optimizer));
    if (config.optimizer.schedule.has_value()) {
      population.schedules.push_back(
          BuildWholeSchedule(*config.optimizer.schedule, values));
    }
    population.batch_sizes.push_back(
        static_cast<int64_t>(values.at(kBatchSize)));
    population.folds.push_back(static_cast<int>(id % folds));
    population.settings.push_back(id / folds);
  }
  const absl::Status status =
      Optimizer::Create(config.optimizer.kind, {}, population.optimizers)
          .status();
  if (!status.ok()) {
    return config.source.Error("optimizer", std::string(status.message()));
  }
  return population;
}

}  // namespace modelbatch
