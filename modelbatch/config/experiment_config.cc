#include "modelbatch/config/experiment_config.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/config/layer_reader.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/config/sweep_reader.h"
#include "modelbatch/config/table_reader.h"
#include "modelbatch/config/toml_document.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
constexpr double kMaxDouble = std::numeric_limits<double>::max();
// Step counts and row numbers are 32-bit on the way to a backend.
constexpr int64_t kMaxCount = 1'000'000'000;
constexpr int64_t kMaxModels = 1'000'000;

// The name becomes a folder's.
void CheckName(TableReader* root, const std::string& name) {
  for (char c : name) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '-' && c != '.') {
      root->Fail("name", absl::StrCat("found \"", name,
                                      "\", expected letters, digits and "
                                      "\"_\", \"-\", \".\" only"));
    }
  }
  if (name.empty() || name[0] == '.') {
    root->Fail("name", "is empty or begins with a dot");
  }
}

void ReadOptions(TableReader* backend, Attributes* options) {
  const toml::node* node = backend->Find("options");
  if (node == nullptr) return;
  const toml::table* table = node->as_table();
  if (table == nullptr) {
    backend->Fail("options", absl::StrCat("expected a table, found ",
                                          DescribeToml(*node)));
    return;
  }
  for (const auto& [key, value] : *table) {
    const std::string name(key.str());
    if (const auto* i = value.as_integer()) {
      (*options)[name] = **i;
    } else if (const auto* d = value.as_floating_point()) {
      (*options)[name] = **d;
    } else if (const auto* b = value.as_boolean()) {
      (*options)[name] = **b;
    } else if (const auto* s = value.as_string()) {
      (*options)[name] = **s;
    } else {
      backend->Fail(absl::StrCat("options.", name),
                    absl::StrCat("expected a number, a string, true or false, "
                                 "found ",
                                 DescribeToml(value)));
    }
  }
}

BackendConfig ReadBackend(TableReader* root) {
  BackendConfig backend;
  const toml::node* node = root->Find("backend");
  if (node == nullptr || !node->is_table()) {
    backend.name = root->String("backend", backend.name);
  } else {
    TableReader table = root->Table("backend");
    backend.name = table.String("name", backend.name);
    backend.threads = table.Int("threads", 0, 0, 1024);
    ReadOptions(&table, &backend.options);
    table.Finish();
  }
  if (backend.name.empty()) root->Fail("backend", "is empty");
  return backend;
}

std::vector<ColumnRef> ReadLabel(TableReader* data, bool header) {
  const toml::node* node = data->Find("label");
  if (node == nullptr) return {ColumnRef{-1, ""}};
  std::vector<ColumnRef> columns;
  const auto add = [&](const toml::node& value, const std::string& path) {
    if (const auto* index = value.as_integer()) {
      columns.push_back({**index, ""});
    } else if (const auto* name = value.as_string()) {
      if (!header) {
        data->FailAt(path, absl::StrCat("found a name, \"", **name,
                                        "\", but data.header is false: "
                                        "expected a column's index"));
      }
      columns.push_back({0, **name});
    } else {
      data->FailAt(path, absl::StrCat("expected a column's index or name, "
                                      "found ",
                                      DescribeToml(value)));
    }
  };
  const std::string path = data->PathOf("label");
  if (const toml::array* array = node->as_array()) {
    for (size_t i = 0; i < array->size(); ++i) {
      add(*array->get(i), absl::StrCat(path, "[", i, "]"));
    }
    if (array->empty()) data->Fail("label", "expected at least one column");
  } else {
    add(*node, path);
  }
  return columns;
}

SplitConfig ReadSplit(TableReader* data) {
  TableReader table = data->Table("split");
  SplitConfig split;
  split.train = table.Number("train", split.train, 0, 1);
  split.validation = table.Number("validation", split.validation, 0, 1);
  split.test = table.Number("test", split.test, 0, 1);
  split.stratified = table.Bool("stratified", split.stratified);
  split.seed = table.Int("seed", 0, 0, kMaxInt);
  table.Finish();
  const double sum = split.train + split.validation + split.test;
  if (table.ok() && std::abs(sum - 1) > 1e-6) {
    data->Fail("split", absl::StrCat("train + validation + test is ", sum,
                                     ", expected 1"));
  }
  if (table.ok() && split.train == 0) {
    table.Fail("train", "is 0, expected a part of the rows to train on");
  }
  return split;
}

DataConfig ReadData(TableReader* root, const std::string& folder) {
  TableReader table = root->Table("data");
  DataConfig data;
  data.format = table.OneOf("format", {"csv"});
  data.path = table.String("path");
  if (table.ok() && data.path.empty()) table.Fail("path", "is empty");
  if (!data.path.empty()) {
    data.path =
        (std::filesystem::path(folder) / data.path).lexically_normal().string();
  }
  data.header = table.Bool("header", data.header);
  data.classification =
      table.OneOf("task", {"classification", "regression"}) == "classification";
  data.label = ReadLabel(&table, data.header);
  if (data.classification && data.label.size() > 1) {
    table.Fail("label", "expected one column: the task is classification");
  }
  data.scale = table.Number("scale", 1, -kMaxDouble, kMaxDouble);
  data.split = ReadSplit(&table);
  if (table.ok() && !data.classification && data.split.stratified) {
    if (table.source().Where("data.split.stratified") !=
        table.source().Where("data.split")) {
      table.FailAt("data.split.stratified",
                   "is true, but regression has no classes to keep in "
                   "proportion");
    }
    data.split.stratified = false;
  }
  table.Finish();
  return data;
}

ModelConfig ReadModel(TableReader* root, bool grid) {
  TableReader table = root->Table("model");
  ModelConfig model;
  if (const toml::node* node = table.Find("input")) {
    const toml::array* array = node->as_array();
    for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
      const auto* size = array->get(i)->as_integer();
      if (size != nullptr && **size >= 1) model.input.push_back(**size);
    }
    if (array == nullptr || array->empty() ||
        model.input.size() != array->size()) {
      table.Fail("input",
                 "expected an array of integers of at least 1, the "
                 "shape of one row");
    }
  }
  model.layers = ReadLayers(&table, grid);
  table.Finish();
  return model;
}

PopulationConfig ReadPopulation(TableReader* root) {
  TableReader table = root->Table("population");
  PopulationConfig population;
  population.random = table.OneOf("search", {"grid", "random"}) == "random";
  const bool given = table.Find("models") != nullptr;
  population.models = table.Int("models", 0, given ? 1 : 0, kMaxModels);
  if (population.random && !given) {
    table.Fail("models",
               "missing, expected an integer: a random search does "
               "not end by itself");
  }
  table.Finish();
  return population;
}

OptimizerSection ReadOptimizer(TableReader* root, bool grid) {
  TableReader table = root->Table("optimizer");
  OptimizerSection section;
  section.kind = table.String("kind", section.kind);
  absl::StatusOr<const OptimizerInfo*> info = FindOptimizer(section.kind);
  if (!info.ok()) {
    table.Fail("kind", std::string(info.status().message()));
    return section;
  }
  const auto read = [&](const HyperParameter& h) {
    section.numbers[h.name] = ReadSweep(
        &table, h.name, /*integer=*/false, grid,
        [&h](double value) { return h.Check(value); }, h.flag);
  };
  for (const HyperParameter& h : (*info)->hyper_parameters) {
    if (table.Find(h.name) != nullptr) {
      read(h);
    } else {
      // Written out, so that a run repeats even when a default has changed.
      section.numbers[h.name] = Sweep::Fixed(h.default_value);
    }
  }
  for (const HyperParameter& h : GradientHyperParameters()) {
    if (table.Find(h.name) != nullptr) read(h);
  }
  table.Finish();
  return section;
}

std::string ReadLoss(TableReader* root, bool classification) {
  const std::string fitting = classification ? "cross_entropy" : "mse";
  const std::string loss = root->String("loss", fitting);
  if (loss == fitting) return loss;
  if (loss == "cross_entropy" || loss == "mse") {
    root->Fail("loss",
               absl::StrCat("is \"", loss, "\", expected \"", fitting,
                            "\": data.task is ",
                            classification ? "classification" : "regression"));
  } else {
    root->Fail("loss",
               absl::StrCat("found \"", loss, "\"",
                            SuggestName(loss, {"cross_entropy", "mse"})));
  }
  return loss;
}

Selection ReadSelection(TableReader* train, const DataConfig& data) {
  std::vector<std::string> names;
  if (data.split.validation > 0) {
    if (data.classification) names.push_back("validation_accuracy");
    names.push_back("validation_loss");
  }
  names.push_back("last");
  const std::string name = train->OneOf("select", names);
  if (name == "validation_accuracy") return Selection::kValidationAccuracy;
  if (name == "validation_loss") return Selection::kValidationLoss;
  return Selection::kLast;
}

void ReadOnNan(TableReader* table, TrainConfig* train) {
  const std::string name = table->OneOf("on_nan", {"freeze", "reset", "warn"});
  train->on_nan = name == "reset"  ? NanPolicy::kReset
                  : name == "warn" ? NanPolicy::kWarn
                                   : NanPolicy::kFreeze;
  if (table->Find("max_resets") != nullptr &&
      train->on_nan != NanPolicy::kReset) {
    table->Fail("max_resets",
                absl::StrCat("is for train.on_nan = \"reset\" only, it is \"",
                             name, "\""));
  }
  train->max_resets = table->Int("max_resets", kDefaultMaxResets, 0, kMaxCount);
}

std::optional<EarlyStoppingConfig> ReadEarlyStopping(TableReader* train,
                                                     const DataConfig& data) {
  if (train->Find("early_stopping") == nullptr) return std::nullopt;
  TableReader table = train->Table("early_stopping");
  EarlyStoppingConfig config;
  std::vector<std::string> metrics = {"validation_loss"};
  if (data.classification) metrics.push_back("validation_accuracy");
  if (table.OneOf("metric", metrics) == "validation_accuracy") {
    config.metric = StoppingMetric::kValidationAccuracy;
  }
  config.patience = table.Int("patience", config.patience, 1, kMaxCount);
  config.min_delta = table.Number("min_delta", config.min_delta, 0, kMaxDouble);
  table.Finish();
  if (data.split.validation == 0) {
    train->Fail("early_stopping",
                "needs validation rows, data.split.validation is 0");
  }
  return config;
}

TrainConfig ReadTrain(TableReader* root, const DataConfig& data) {
  TableReader table = root->Table("train");
  TrainConfig train;
  train.epochs = table.Int("epochs", {}, 1, kMaxCount);
  train.batch_size = table.Int("batch_size", train.batch_size, 1, kMaxCount);
  train.select = ReadSelection(&table, data);
  train.checkpoint_every =
      table.Int("checkpoint_every", train.checkpoint_every, 0, kMaxCount);
  train.output = table.String("output", "");
  ReadOnNan(&table, &train);
  train.early_stopping = ReadEarlyStopping(&table, data);
  table.Finish();
  return train;
}

}  // namespace

const char* SelectionName(Selection selection) {
  switch (selection) {
    case Selection::kValidationAccuracy:
      return "validation_accuracy";
    case Selection::kValidationLoss:
      return "validation_loss";
    case Selection::kLast:
      return "last";
  }
  return "";
}

const char* NanPolicyName(NanPolicy policy) {
  switch (policy) {
    case NanPolicy::kFreeze:
      return "freeze";
    case NanPolicy::kReset:
      return "reset";
    case NanPolicy::kWarn:
      return "warn";
  }
  return "";
}

const char* StoppingMetricName(StoppingMetric metric) {
  switch (metric) {
    case StoppingMetric::kValidationLoss:
      return "validation_loss";
    case StoppingMetric::kValidationAccuracy:
      return "validation_accuracy";
  }
  return "";
}

absl::StatusOr<ExperimentConfig> ParseExperiment(
    const std::string& text, const std::string& file,
    const std::vector<std::string>& overrides) {
  MB_ASSIGN_OR_RETURN(const TomlDocument document,
                      ParseToml(text, file, overrides));
  absl::Status status;
  ExperimentConfig config;
  config.source = document.source;
  TableReader root(&document.root, "", &config.source, &status);
  const std::filesystem::path path(file);
  const std::string stem = path.stem().string();
  config.name = root.String("name", stem.empty() ? "run" : stem);
  CheckName(&root, config.name);
  config.seed = root.Int("seed", 0, 0, kMaxInt);
  config.backend = ReadBackend(&root);
  // Unknown top-level keys before what they leave missing.
  for (const char* key :
       {"data", "model", "loss", "population", "optimizer", "train"}) {
    root.Find(key);
  }
  root.Finish();
  config.population = ReadPopulation(&root);
  const bool grid = !config.population.random;
  config.data = ReadData(&root, path.parent_path().string());
  config.model = ReadModel(&root, grid);
  config.loss = ReadLoss(&root, config.data.classification);
  config.optimizer = ReadOptimizer(&root, grid);
  config.train = ReadTrain(&root, config.data);
  if (!status.ok()) return status;
  return config;
}

absl::StatusOr<ExperimentConfig> LoadExperiment(
    const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, expected a TOML file"));
  }
  MB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseExperiment(text, path, overrides);
}

}  // namespace modelbatch
