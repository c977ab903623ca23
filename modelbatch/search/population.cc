#include "modelbatch/search/population.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/search/sweep_values.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// More models than this are a typing error.
constexpr int64_t kMaxModels = 1'000'000;

constexpr char kBatchSize[] = "train.batch_size";

// One number of the config, fixed or swept.
struct Field {
  std::string path;
  std::string name;  // "lr", "out_features"
  const Sweep* sweep;
};

std::string LayerPath(size_t layer) {
  return absl::StrCat("model.layers[", layer, "]");
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

// Sets the values of the swept fields for every model of a grid.
absl::Status FillGrid(const ExperimentConfig& config,
                      const std::vector<Field>& fields,
                      std::vector<SweptField>* swept) {
  std::vector<std::vector<double>> values;
  std::vector<std::string> factors;
  int64_t product = 1;
  for (const Field& field : fields) {
    if (field.sweep->kind == Sweep::Kind::kFixed) continue;
    values.push_back(GridValues(*field.sweep));
    MB_RETURN_IF_ERROR(CheckDistinct(config, field, values.back()));
    factors.push_back(absl::StrCat(values.back().size(), " of ", field.path));
    product *= static_cast<int64_t>(values.back().size());
    if (product > kMaxModels) {
      return config.source.Error(
          field.path,
          absl::StrCat("the grid has more than ", kMaxModels, " combinations"));
    }
  }
  const int64_t wanted = config.population.models;
  if (!values.empty() && wanted > 0 && wanted != product) {
    return config.source.Error(
        "population.models",
        absl::StrCat("found ", wanted, ", but the grid has ", product,
                     " combinations: ", absl::StrJoin(factors, " x ")));
  }
  for (int64_t model = 0; model < product; ++model) {
    int64_t rest = model;
    for (size_t f = swept->size(); f-- > 0;) {  // the last varies fastest
      const int64_t count = static_cast<int64_t>(values[f].size());
      (*swept)[f].values.push_back(values[f][rest % count]);
      rest /= count;
    }
  }
  return absl::OkStatus();
}

void FillRandom(const ExperimentConfig& config,
                const std::vector<Field>& fields,
                std::vector<SweptField>* swept) {
  size_t f = 0;
  for (const Field& field : fields) {
    if (field.sweep->kind == Sweep::Kind::kFixed) continue;
    for (int64_t model = 0; model < config.population.models; ++model) {
      (*swept)[f].values.push_back(
          RandomValue(*field.sweep, config.seed, field.path, model));
    }
    ++f;
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

}  // namespace

absl::StatusOr<Population> ExpandPopulation(const ExperimentConfig& config,
                                            const Shape& row_shape) {
  MB_ASSIGN_OR_RETURN(const OptimizerInfo* info,
                      FindOptimizer(config.optimizer.kind));
  MB_ASSIGN_OR_RETURN(const Shape input, InputShape(config, row_shape));
  const std::vector<Field> fields = ListFields(config, *info);
  Population population;
  population.fields = SweptFields(fields);
  if (config.population.random) {
    FillRandom(config, fields, &population.fields);
  } else {
    MB_RETURN_IF_ERROR(FillGrid(config, fields, &population.fields));
  }
  const int64_t settings =
      population.fields.empty()
          ? std::max<int64_t>(config.population.models, 1)
          : static_cast<int64_t>(population.fields[0].values.size());
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
