#include <charconv>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "modelbatch/config/experiment_config.h"

namespace modelbatch {
namespace {

std::string Quote(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", std::string(1, c));
    } else if (c < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04X", c);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

// The shortest text that reads back as the same double, with a point so that
// TOML takes it for a float.
std::string Float(double value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  std::string text(buffer, end);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string Number(double value, bool integer) {
  return integer ? absl::StrCat(static_cast<int64_t>(value)) : Float(value);
}

std::string Bool(bool value) { return value ? "true" : "false"; }

std::string SweepToToml(const Sweep& sweep) {
  const char* const end = sweep.random ? ", random = true }" : " }";
  if (sweep.kind == Sweep::Kind::kRange) {
    std::string out =
        absl::StrCat("{ min = ", Number(sweep.min, sweep.integer),
                     ", max = ", Number(sweep.max, sweep.integer),
                     ", scale = ", sweep.log ? "\"log\"" : "\"linear\"");
    if (sweep.count > 0) absl::StrAppend(&out, ", count = ", sweep.count);
    return out + end;
  }
  if (sweep.kind == Sweep::Kind::kFixed) {
    return Number(sweep.values[0], sweep.integer);
  }
  std::vector<std::string> values;
  for (double value : sweep.values) {
    values.push_back(Number(value, sweep.integer));
  }
  const std::string list = absl::StrCat("[", absl::StrJoin(values, ", "), "]");
  if (sweep.kind == Sweep::Kind::kList) return list;
  return absl::StrCat("{ values = ", list, end);
}

std::string AttributeToToml(const AttributeValue& value) {
  struct Visitor {
    std::string operator()(int64_t v) const { return absl::StrCat(v); }
    std::string operator()(double v) const { return Float(v); }
    std::string operator()(bool v) const { return Bool(v); }
    std::string operator()(const std::string& v) const { return Quote(v); }
    std::string operator()(const std::vector<int64_t>& v) const {
      return absl::StrCat("[", absl::StrJoin(v, ", "), "]");
    }
    std::string operator()(const std::vector<double>& v) const {
      return absl::StrCat("[",
                          absl::StrJoin(v, ", ",
                                        [](std::string* out, double x) {
                                          out->append(Float(x));
                                        }),
                          "]");
    }
    // No key of a file has bytes: as numbers, to be seen.
    std::string operator()(const std::vector<uint8_t>& v) const {
      return absl::StrCat("[", absl::StrJoin(v, ", "), "]");
    }
  };
  return std::visit(Visitor(), value);
}

std::string QuoteAll(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(Quote(text));
  return absl::StrCat("[", absl::StrJoin(quoted, ", "), "]");
}

std::string LayerToToml(const LayerConfig& layer) {
  std::vector<std::string> fields;
  if (!layer.name.empty()) {
    fields.push_back(absl::StrCat("name = ", Quote(layer.name)));
  }
  fields.push_back(absl::StrCat("kind = ", Quote(layer.kind)));
  if (!layer.inputs.empty()) {
    fields.push_back(absl::StrCat("inputs = ", QuoteAll(layer.inputs)));
  }
  for (const auto& [name, sweep] : layer.numbers) {
    fields.push_back(absl::StrCat(name, " = ", SweepToToml(sweep)));
  }
  for (const auto& [name, value] : layer.attributes) {
    fields.push_back(absl::StrCat(name, " = ", AttributeToToml(value)));
  }
  return absl::StrCat("  { ", absl::StrJoin(fields, ", "), " },\n");
}

// "key = value" of kind and arguments.
std::vector<std::string> ScheduleFields(const ScheduleConfig& schedule) {
  std::vector<std::string> fields = {
      absl::StrCat("kind = ", Quote(schedule.kind))};
  for (const auto& [name, text] : schedule.names) {
    fields.push_back(absl::StrCat(name, " = ", Quote(text)));
  }
  for (const auto& [name, sweep] : schedule.numbers) {
    fields.push_back(absl::StrCat(name, " = ", SweepToToml(sweep)));
  }
  for (const auto& [name, sweeps] : schedule.lists) {
    std::vector<std::string> elements;
    for (const Sweep& sweep : sweeps) elements.push_back(SweepToToml(sweep));
    fields.push_back(
        absl::StrCat(name, " = [", absl::StrJoin(elements, ", "), "]"));
  }
  return fields;
}

std::string ScheduleToToml(const ScheduleSection& schedule) {
  std::vector<std::string> lines = ScheduleFields(schedule);
  lines.push_back(
      absl::StrCat("every = ", Quote(schedule.every_step ? "step" : "epoch")));
  if (schedule.kind == "reduce_lr_on_plateau") {
    lines.push_back(
        absl::StrCat("metric = ", Quote(ScheduleMetricName(schedule.metric))));
  }
  if (schedule.warmup.kind != Sweep::Kind::kFixed ||
      schedule.warmup.values[0] > 0 ||
      schedule.warmup_start_factor.kind != Sweep::Kind::kFixed) {
    lines.push_back(absl::StrCat("warmup = ", SweepToToml(schedule.warmup)));
    lines.push_back(absl::StrCat("warmup_start_factor = ",
                                 SweepToToml(schedule.warmup_start_factor)));
  }
  if (!schedule.schedulers.empty()) {
    lines.push_back("schedulers = [");
    for (const ScheduleConfig& inner : schedule.schedulers) {
      lines.push_back(absl::StrCat(
          "  { ", absl::StrJoin(ScheduleFields(inner), ", "), " },"));
    }
    lines.push_back("]");
  }
  return absl::StrJoin(lines, "\n");
}

// A path is made absolute, a name is not.
std::string BackendName(const std::string& name) {
  if (name.find('/') == std::string::npos) return name;
  return std::filesystem::absolute(name).lexically_normal().string();
}

std::string LabelToToml(const std::vector<ColumnRef>& label) {
  std::vector<std::string> columns;
  for (const ColumnRef& column : label) {
    columns.push_back(column.name.empty() ? absl::StrCat(column.index)
                                          : Quote(column.name));
  }
  if (columns.size() == 1) return columns[0];
  return absl::StrCat("[", absl::StrJoin(columns, ", "), "]");
}

std::string DataKeyToToml(const DataFiles& files, const std::string& key) {
  if (key == "path") return Quote(files.path);
  if (key == "features") return Quote(files.features);
  if (key == "targets") return Quote(files.targets);
  if (key == "files") return QuoteAll(files.files);
  if (key == "header") return Bool(files.header);
  return LabelToToml(files.label);
}

// A line a key. Which labels CIFAR-100 is read with is said once.
std::string FilesToToml(const DataConfig& data, const DataFiles& files) {
  std::string out;
  for (const std::string& key : DataKeys(data.format)) {
    if (key == "label" && data.format == "cifar100" && &files != &data.main) {
      continue;
    }
    absl::StrAppend(&out, key, " = ", DataKeyToToml(files, key), "\n");
  }
  return out;
}

// `[data]` and the tables below it, paths absolute.
std::string DataToToml(DataConfig data) {
  for (const auto& [key, path] : DataPaths(&data)) {
    *path = std::filesystem::absolute(*path).string();
  }
  std::string out = absl::StrCat(
      "\n[data]\nformat = ", Quote(data.format), "\n",
      FilesToToml(data, data.main), "scale = ", Float(data.scale), "\ntask = ",
      data.classification ? "\"classification\"" : "\"regression\"", "\n");
  if (data.validation.has_value()) {
    absl::StrAppend(&out, "\n[data.validation]\n",
                    FilesToToml(data, *data.validation));
  }
  if (data.test.has_value()) {
    absl::StrAppend(&out, "\n[data.test]\n", FilesToToml(data, *data.test));
  }
  absl::StrAppend(&out, "\n[data.split]\ntrain = ", Float(data.split.train),
                  "\n");
  if (!data.validation.has_value() && !data.folds.has_value()) {
    absl::StrAppend(&out, "validation = ", Float(data.split.validation), "\n");
  }
  if (!data.test.has_value()) {
    absl::StrAppend(&out, "test = ", Float(data.split.test), "\n");
  }
  absl::StrAppend(&out, "stratified = ", Bool(data.split.stratified),
                  "\nseed = ", data.split.seed, "\n");
  if (data.folds.has_value()) {
    absl::StrAppend(&out, "\n[data.folds]\ncount = ", data.folds->count,
                    "\nstratified = ", Bool(data.folds->stratified),
                    "\nseed = ", data.folds->seed, "\n");
  }
  return out;
}

// A run's copies are found where the run is moved to.
std::string InitFrom(const std::string& path, const std::string& folder) {
  namespace fs = std::filesystem;
  const fs::path absolute = fs::absolute(path).lexically_normal();
  if (!folder.empty()) {
    const fs::path below =
        absolute.lexically_relative(fs::absolute(folder).lexically_normal());
    if (!below.empty() && *below.begin() != "..") return below.string();
  }
  return absolute.string();
}

}  // namespace

std::string ExperimentToToml(const ExperimentConfig& config,
                             const std::string& folder) {
  std::string out;
  const auto line = [&out](const auto&... parts) {
    absl::StrAppend(&out, parts...);
    out.push_back('\n');
  };
  line("name = ", Quote(config.name));
  line("seed = ", config.seed);
  if (config.loss.attributes.empty()) {
    line("loss = ", Quote(config.loss.kind));
  } else {
    line("\n[loss]");
    line("kind = ", Quote(config.loss.kind));
    for (const auto& [name, value] : config.loss.attributes) {
      line(name, " = ", AttributeToToml(value));
    }
  }

  line("\n[backend]");
  line("name = ", Quote(BackendName(config.backend.name)));
  line("threads = ", config.backend.threads);
  line("precision = ", Quote(config.backend.precision));
  if (const auto& compile = config.backend.compile; compile.has_value()) {
    const std::string cache =
        compile->cache.empty()
            ? ""
            : std::filesystem::absolute(compile->cache).string();
    line("compile = { time_ms = ", compile->time_ms, ", cache = ", Quote(cache),
         " }");
  }
  if (!config.backend.options.empty()) {
    line("\n[backend.options]");
    for (const auto& [name, value] : config.backend.options) {
      line(Quote(name), " = ", AttributeToToml(value));
    }
  }

  out += DataToToml(config.data);

  line("\n[model]");
  if (!config.model.input.empty()) {
    line("input = ", ShapeToString(config.model.input));
  }
  line("layers = [");
  for (const LayerConfig& layer : config.model.layers) {
    out += LayerToToml(layer);
  }
  line("]");

  line("\n[population]");
  line("search = ", config.population.random ? "\"random\"" : "\"grid\"");
  if (config.population.models > 0) {
    line("models = ", config.population.models);
  }

  line("\n[optimizer]");
  line("kind = ", Quote(config.optimizer.kind));
  for (const auto& [name, sweep] : config.optimizer.numbers) {
    line(name, " = ", SweepToToml(sweep));
  }

  if (config.optimizer.schedule.has_value()) {
    line("\n[optimizer.schedule]");
    line(ScheduleToToml(*config.optimizer.schedule));
  }

  line("\n[train]");
  line("epochs = ", config.train.epochs);
  line("batch_size = ", SweepToToml(config.train.batch_size));
  line("select = ", Quote(SelectionName(config.train.select)));
  line("checkpoint_every = ", config.train.checkpoint_every);
  if (config.train.models_at_once != kAllModels) {
    line("models_at_once = ", config.train.models_at_once == kModelsThatFit
                                  ? "\"auto\""
                                  : absl::StrCat(config.train.models_at_once));
  }
  if (config.train.steps_at_once != kStepsThatGain) {
    line("steps_at_once = ", config.train.steps_at_once);
  }
  if (!config.train.init_from.empty()) {
    line("init_from = ", Quote(InitFrom(config.train.init_from, folder)));
  }
  line("on_nan = ", Quote(NanPolicyName(config.train.on_nan)));
  if (config.train.on_nan == NanPolicy::kReset) {
    line("max_resets = ", config.train.max_resets);
  }
  if (config.train.early_stopping.has_value()) {
    const EarlyStoppingConfig& stopping = *config.train.early_stopping;
    line("\n[train.early_stopping]");
    line("metric = ", Quote(StoppingMetricName(stopping.metric)));
    line("patience = ", stopping.patience);
    line("min_delta = ", Float(stopping.min_delta));
  }
  const LogConfig& log = config.train.log;
  if (!log.writers.empty() || log.confusion) {
    line("\n[train.log]");
    line("writers = ", QuoteAll(log.writers));
    if (!log.writers.empty()) {
      line("every = ", log.every == 0 ? "\"epoch\"" : absl::StrCat(log.every));
    }
    line("confusion = ", Bool(log.confusion));
  }
  return out;
}

}  // namespace modelbatch
