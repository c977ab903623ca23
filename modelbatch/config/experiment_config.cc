#include "modelbatch/config/experiment_config.h"

#include <filesystem>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/config/data_reader.h"
#include "modelbatch/config/layer_reader.h"
#include "modelbatch/config/log_reader.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/config/schedule_reader.h"
#include "modelbatch/config/sweep_reader.h"
#include "modelbatch/config/table_reader.h"
#include "modelbatch/config/toml_document.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr double kMaxDouble = std::numeric_limits<double>::max();
constexpr int64_t kMinInt = std::numeric_limits<int64_t>::min();
constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
// Step counts and row numbers are 32-bit on the way to a backend.
constexpr int64_t kMaxCount = 1'000'000'000;
constexpr int64_t kMaxModels = 1'000'000;
constexpr int64_t kMaxTuneMs = 3'600'000;  // an hour

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

// true, false, or a table.
std::optional<TuneOptions> ReadCompile(TableReader* backend,
                                       const std::string& folder) {
  const toml::node* node = backend->Find("compile");
  if (node == nullptr) return std::nullopt;
  if (!node->is_table()) {
    if (!node->is_boolean()) {
      backend->Fail("compile",
                    absl::StrCat("expected true, false or a table, found ",
                                 DescribeToml(*node)));
    }
    return backend->Bool("compile", false) ? std::optional(TuneOptions())
                                           : std::nullopt;
  }
  TableReader table = backend->Table("compile");
  TuneOptions compile;
  compile.time_ms = table.Int("time_ms", compile.time_ms, 0, kMaxTuneMs);
  compile.cache = table.String("cache", "");
  if (!compile.cache.empty()) {
    compile.cache = (std::filesystem::path(folder) / compile.cache).string();
  }
  table.Finish();
  return compile;
}

BackendConfig ReadBackend(TableReader* root, const std::string& folder) {
  BackendConfig backend;
  const toml::node* node = root->Find("backend");
  if (node == nullptr || !node->is_table()) {
    backend.name = root->String("backend", backend.name);
  } else {
    TableReader table = root->Table("backend");
    backend.name = table.String("name", backend.name);
    backend.threads = table.Int("threads", 0, 0, 1024);
    backend.precision = table.String("precision", backend.precision);
    ReadOptions(&table, &backend.options);
    backend.compile = ReadCompile(&table, folder);
    table.Finish();
  }
  if (backend.name.empty()) root->Fail("backend", "is empty");
  return backend;
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

// What a schedule sets by its own arguments is not to be swept beside it.
void CheckOverridden(TableReader* table, const OptimizerSection& section) {
  if (!section.schedule.has_value() ||
      section.schedule->kind != "one_cycle_lr" || !table->ok()) {
    return;
  }
  std::vector<std::pair<std::string, std::string>> pairs = {{"lr", "max_lr"}};
  const Sweep& cycle = section.schedule->numbers.at("cycle_momentum");
  if (cycle.kind == Sweep::Kind::kFixed && cycle.values[0] == 1) {
    pairs.push_back({"beta1", "max_momentum"});
    pairs.push_back({"momentum", "max_momentum"});
  }
  for (const auto& [name, instead] : pairs) {
    const auto it = section.numbers.find(name);
    if (it == section.numbers.end() || it->second.kind == Sweep::Kind::kFixed) {
      continue;
    }
    table->Fail(name, absl::StrCat("is swept, but one_cycle_lr sets it: sweep "
                                   "optimizer.schedule.",
                                   instead));
  }
}

OptimizerSection ReadOptimizer(TableReader* root, const DataConfig& data,
                               bool grid) {
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
  section.schedule = ReadSchedule(&table, data, grid);
  CheckOverridden(&table, section);
  table.Finish();
  return section;
}

void CheckLossKind(TableReader* root, const std::string& path,
                   const std::string& kind, bool classification) {
  std::vector<std::string> kinds, fitting;
  for (const LossInfo& info : Losses()) {
    kinds.push_back(info.kind);
    if (info.classes == classification) fitting.push_back(info.kind);
  }
  const LossInfo* const info = FindLoss(kind);
  if (info == nullptr) {
    root->FailAt(
        path, absl::StrCat("found \"", kind, "\"", SuggestName(kind, kinds)));
  } else if (info->classes != classification) {
    root->FailAt(
        path, absl::StrCat("is \"", kind, "\", expected one of: ",
                           absl::StrJoin(fitting, ", "), ": data.task is ",
                           classification ? "classification" : "regression"));
  }
}

AttributeValue ReadLossAttribute(TableReader* table,
                                 const LossAttribute& attribute) {
  switch (attribute.type) {
    case LossAttribute::Type::kInt:
      return table->Int(attribute.name, {}, kMinInt, kMaxInt);
    case LossAttribute::Type::kFloat:
      return table->Number(attribute.name, {}, -kMaxDouble, kMaxDouble);
    case LossAttribute::Type::kFloatList:
      return table->Numbers(attribute.name);
  }
  return int64_t{0};
}

// A kind, or a table of a kind and its attributes.
LossSpec ReadLossSection(TableReader* root, bool classification) {
  LossSpec loss = {classification ? "cross_entropy" : "mse", {}};
  const toml::node* node = root->Find("loss");
  if (node == nullptr || !node->is_table()) {
    loss.kind = root->String("loss", loss.kind);
    CheckLossKind(root, "loss", loss.kind, classification);
    return loss;
  }
  TableReader table = root->Table("loss");
  loss.kind = table.String("kind", loss.kind);
  CheckLossKind(root, table.PathOf("kind"), loss.kind, classification);
  if (!root->ok()) return loss;
  for (const LossAttribute& attribute : FindLoss(loss.kind)->attributes) {
    if (table.Find(attribute.name) == nullptr) continue;
    const AttributeValue value = ReadLossAttribute(&table, attribute);
    const absl::Status status =
        ReadLoss({loss.kind, {{attribute.name, value}}}).status();
    if (!status.ok()) table.Fail(attribute.name, std::string(status.message()));
    loss.attributes[attribute.name] = value;
  }
  table.Finish();
  return loss;
}

Selection ReadSelection(TableReader* train, const DataConfig& data) {
  std::vector<std::string> names;
  if (data.has_validation()) {
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
  if (!data.has_validation()) {
    train->Fail("early_stopping",
                "needs validation rows, data.split.validation is 0");
  }
  return config;
}

// "all", "auto" or how many.
int64_t ReadModelsAtOnce(TableReader* train, const LogConfig& log) {
  const char kKey[] = "models_at_once";
  const toml::node* const node = train->Find(kKey);
  if (node == nullptr) return kAllModels;
  int64_t count = kAllModels;
  const int64_t number = node->value_exact<int64_t>().value_or(0);
  const std::string word = node->value_exact<std::string>().value_or("");
  if (number >= 1 && number <= kMaxCount) {
    count = number;
  } else if (word == "auto") {
    count = kModelsThatFit;
  } else if (word != "all") {
    train->Fail(kKey, absl::StrCat("expected \"all\", \"auto\" or an integer "
                                   "from 1 to ",
                                   kMaxCount, ", found ", DescribeToml(*node)));
  }
  if (count != kAllModels && !log.writers.empty()) {
    train->Fail(kKey,
                "must be \"all\" where train.log.writers names some: they "
                "write what all models do, step by step");
  }
  return count;
}

// "auto" or how many.
int64_t ReadStepsAtOnce(TableReader* train) {
  const char kKey[] = "steps_at_once";
  const toml::node* const node = train->Find(kKey);
  if (node == nullptr) return kStepsThatGain;
  const int64_t number = node->value_exact<int64_t>().value_or(0);
  if (number >= 1 && number <= kMaxStepsAtOnce) return number;
  if (node->value_exact<std::string>().value_or("") != "auto") {
    train->Fail(kKey,
                absl::StrCat("expected \"auto\" or an integer from 1 to ",
                             kMaxStepsAtOnce, ", found ", DescribeToml(*node)));
  }
  return kStepsThatGain;
}

TrainConfig ReadTrain(TableReader* root, const DataConfig& data, bool grid,
                      const std::filesystem::path& folder) {
  TableReader table = root->Table("train");
  TrainConfig train;
  train.epochs = table.Int("epochs", {}, 1, kMaxCount);
  if (table.Find("batch_size") != nullptr) {
    train.batch_size = ReadSweep(
        &table, "batch_size", /*integer=*/true, grid, [](double value) {
          if (value >= 1 && value <= kMaxCount) return absl::OkStatus();
          return absl::InvalidArgumentError(
              absl::StrCat("is ", value, ", expected 1 to ", kMaxCount));
        });
  }
  train.select = ReadSelection(&table, data);
  train.checkpoint_every =
      table.Int("checkpoint_every", train.checkpoint_every, 0, kMaxCount);
  train.output = table.String("output", "");
  if (table.Find("init_from") != nullptr) {
    train.init_from = table.String("init_from");
    if (train.init_from.empty()) table.Fail("init_from", "is empty");
    train.init_from = (folder / train.init_from).lexically_normal().string();
  }
  ReadOnNan(&table, &train);
  train.early_stopping = ReadEarlyStopping(&table, data);
  train.log = ReadLog(&table, data);
  train.models_at_once = ReadModelsAtOnce(&table, train.log);
  train.steps_at_once = ReadStepsAtOnce(&table);
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

const char* ScheduleMetricName(ScheduleMetric metric) {
  switch (metric) {
    case ScheduleMetric::kValidationLoss:
      return "validation_loss";
    case ScheduleMetric::kValidationAccuracy:
      return "validation_accuracy";
    case ScheduleMetric::kTrainLoss:
      return "train_loss";
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
  config.backend = ReadBackend(&root, path.parent_path().string());
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
  config.loss = ReadLossSection(&root, config.data.classification);
  config.optimizer = ReadOptimizer(&root, config.data, grid);
  config.train = ReadTrain(&root, config.data, grid, path.parent_path());
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
