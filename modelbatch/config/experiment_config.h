// An experiment as its TOML file describes it: checked, with defaults filled
// in. docs/config.md describes every key.
//
//   MB_ASSIGN_OR_RETURN(ExperimentConfig config,
//                       LoadExperiment("digits.toml", {"train.epochs=3"}));
#ifndef MODELBATCH_CONFIG_EXPERIMENT_CONFIG_H_
#define MODELBATCH_CONFIG_EXPERIMENT_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/backend/tune_report.h"
#include "modelbatch/config/config_source.h"
#include "modelbatch/data/column_ref.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// How a number varies over the models.
struct Sweep {
  enum class Kind { kFixed, kList, kValues, kRange };

  Kind kind = Kind::kFixed;
  bool integer = false;  // every value is a whole number
  // kFixed: one; kList: one a model; kValues: at least one
  std::vector<double> values;
  double min = 0;  // kRange: both ends included
  double max = 0;
  bool log = false;   // kRange: even on a logarithmic scale
  int64_t count = 0;  // kRange: how many a grid takes; 0: not given
  // kValues, kRange: drawn for each model, whatever population.search says.
  bool random = false;

  static Sweep Fixed(double value, bool integer = false);
};

struct BackendConfig {
  std::string name = "cpu";            // or the path of a plugin
  int64_t threads = 0;                 // 0: the backend chooses
  std::string precision = "fp32";      // of matrix products
  Attributes options;                  // further ones, the plugin's own
  std::optional<TuneOptions> compile;  // none: not tuned

  // For ModelBatch::Create.
  Attributes compile_options() const {
    if (precision == "fp32") return {};  // what every backend does by itself
    return {{"precision", precision}};
  }
};

// Parts of the rows of the main files. A part that comes from elsewhere (files
// of its own, folds) is 0 here.
struct SplitConfig {
  double train = 0.7;
  double validation = 0.15;
  double test = 0.15;
  bool stratified = true;
  uint64_t seed = 0;
};

// Cross-validation over the rows of split.train.
struct FoldsConfig {
  int64_t count = 0;  // at least 2
  bool stratified = true;
  uint64_t seed = 0;
};

// Where rows are read from. Paths are absolute, or relative to the working
// directory.
struct DataFiles {
  std::string path;                // csv, npz
  std::string features;            // npy, idx: a path; npz: an array's name
  std::string targets;             // the same
  std::vector<std::string> files;  // cifar10, cifar100
  bool header = false;             // csv
  // csv: columns, one for classification; cifar100: "fine" or "coarse".
  std::vector<ColumnRef> label;
};

struct DataConfig {
  std::string format = "csv";  // and npy, npz, idx, cifar10, cifar100
  DataFiles main;
  std::optional<DataFiles> validation;  // files of its own, of the same format
  std::optional<DataFiles> test;        // the same
  double scale = 1;                     // features are multiplied by it
  bool classification = true;           // else regression
  SplitConfig split;
  std::optional<FoldsConfig> folds;

  bool has_validation() const {
    return validation.has_value() || folds.has_value() || split.validation > 0;
  }
};

struct LayerConfig {
  std::string name;                 // empty: its index
  std::string kind;                 // "linear"
  std::vector<std::string> inputs;  // names, or "input"; empty: layer before
  Attributes attributes;            // those that can not be swept
  std::map<std::string, Sweep> numbers;  // those that can
};

struct ModelConfig {
  Shape input;  // of one row; empty: [number of features]
  std::vector<LayerConfig> layers;
};

struct PopulationConfig {
  int64_t models = 0;   // 0: as many as the grid has
  bool random = false;  // else a grid
};

// A learning-rate schedule; modelbatch/optim/lr_schedule_info.h has the kinds
// and their arguments.
struct ScheduleConfig {
  std::string kind;
  std::map<std::string, Sweep> numbers;             // flags are 0 or 1
  std::map<std::string, std::vector<Sweep>> lists;  // milestones
  std::map<std::string, std::string> names;         // mode, ...
  std::vector<ScheduleConfig> schedulers;  // of sequential_lr and the like
};

// What reduce_lr_on_plateau is told after an epoch.
enum class ScheduleMetric { kValidationLoss, kValidationAccuracy, kTrainLoss };

struct ScheduleSection : ScheduleConfig {
  // It ticks after every update of a model; else after every epoch.
  bool every_step = false;
  ScheduleMetric metric = ScheduleMetric::kValidationLoss;
  // Ticks of a linear_lr before it, which starts with this factor.
  Sweep warmup = Sweep::Fixed(0, /*integer=*/true);
  Sweep warmup_start_factor = Sweep::Fixed(1.0 / 3);
};

struct OptimizerSection {
  std::string kind = "adam";
  std::map<std::string, Sweep> numbers;
  std::optional<ScheduleSection> schedule;
};

enum class Selection { kValidationAccuracy, kValidationLoss, kLast };

// What becomes of a model whose loss or gradient is not finite.
enum class NanPolicy { kFreeze, kReset, kWarn };

inline constexpr int64_t kDefaultMaxResets = 3;

enum class StoppingMetric { kValidationLoss, kValidationAccuracy };

struct EarlyStoppingConfig {
  StoppingMetric metric = StoppingMetric::kValidationLoss;
  int64_t patience = 3;  // epochs without improvement, at least 1
  double min_delta = 0;  // what more than counts as an improvement
};

// What a run writes while it trains, beside what every run has.
struct LogConfig {
  std::vector<std::string> writers;  // "csv", "jsonl", "tensorboard"
  // Steps between two entries of the batches' losses; 0: epochs only.
  int64_t every = 0;
  bool confusion = false;  // confusion matrices on the test rows
};

// TrainConfig::models_at_once, where it is no number.
inline constexpr int64_t kAllModels = 0;
inline constexpr int64_t kModelsThatFit = -1;

// TrainConfig::steps_at_once, where it is no number, and the most it may be.
inline constexpr int64_t kStepsThatGain = 0;
inline constexpr int64_t kMaxStepsAtOnce = 1024;

struct TrainConfig {
  int64_t epochs = 1;
  Sweep batch_size = Sweep::Fixed(32, /*integer=*/true);
  Selection select = Selection::kValidationAccuracy;
  int64_t checkpoint_every = 10;  // epochs; 0: at the end only
  // How many models are trained together, at most; the others wait for them.
  int64_t models_at_once = kAllModels;
  // How many steps are made in one call of the backend, at most.
  int64_t steps_at_once = kStepsThatGain;
  std::string output;  // empty: runs/<name>-<first free number>
  // Weights to begin with: a folder or a file, as in DataFiles; empty: random.
  std::string init_from;
  NanPolicy on_nan = NanPolicy::kFreeze;
  int64_t max_resets = kDefaultMaxResets;  // of one model; for kReset
  std::optional<EarlyStoppingConfig> early_stopping;  // none: no early stopping
  LogConfig log;
};

struct ExperimentConfig {
  std::string name;
  uint64_t seed = 0;
  BackendConfig backend;
  DataConfig data;
  ModelConfig model;
  LossSpec loss;
  PopulationConfig population;
  OptimizerSection optimizer;
  TrainConfig train;
  ConfigSource source;
};

// Reads and checks. InvalidArgument and NotFound name file, line, column and
// key, what was found and what was expected. `overrides` are those of --set:
// "optimizer.lr.max=0.3".
absl::StatusOr<ExperimentConfig> LoadExperiment(
    const std::string& path, const std::vector<std::string>& overrides = {});

// The same for text; `file` is for messages, and its folder is what relative
// paths in it are relative to.
absl::StatusOr<ExperimentConfig> ParseExperiment(
    const std::string& text, const std::string& file,
    const std::vector<std::string>& overrides = {});

// TOML with every default written out and absolute paths, which reads back as
// the same experiment from any folder. What train.init_from has below `folder`
// is written relative to it: for a file in that folder.
std::string ExperimentToToml(const ExperimentConfig& config,
                             const std::string& folder = "");

// The keys of the format's files: below `data` beside format, task, scale,
// split and folds; below `data.validation` and `data.test`.
std::vector<std::string> DataKeys(const std::string& format);

// The files that `files`, of the table `table`, names, to read or to change:
// keys ("data.test.path") and paths.
std::vector<std::pair<std::string, std::string*>> FilePaths(
    const std::string& table, const std::string& format, DataFiles* files);
std::vector<std::pair<std::string, std::string>> FilePaths(
    const std::string& table, const std::string& format,
    const DataFiles& files);
// All files of `data`, the main ones first.
std::vector<std::pair<std::string, std::string*>> DataPaths(DataConfig* data);
std::vector<std::pair<std::string, std::string>> DataPaths(
    const DataConfig& data);

// "validation_accuracy", ...: what `train.select` says.
const char* SelectionName(Selection selection);

// "freeze", ...: what `train.on_nan` says.
const char* NanPolicyName(NanPolicy policy);

// "validation_loss", ...: what `optimizer.schedule.metric` says.
const char* ScheduleMetricName(ScheduleMetric metric);

// "validation_loss", ...: what `train.early_stopping.metric` says.
const char* StoppingMetricName(StoppingMetric metric);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_EXPERIMENT_CONFIG_H_
