#include "modelbatch/train/experiment.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/data/cifar_reader.h"
#include "modelbatch/data/csv_reader.h"
#include "modelbatch/data/idx_reader.h"
#include "modelbatch/data/npy_reader.h"
#include "modelbatch/data/numeric_array.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/tensor/view.h"
#include "modelbatch/train/complete_schedules.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status At(const ExperimentConfig& config, const std::string& path,
                const absl::Status& status) {
  if (status.ok()) return status;
  return config.source.Error(path, std::string(status.message()),
                             status.code());
}

absl::StatusOr<DataTable> ReadCsvData(const DataConfig& data,
                                      int64_t ignored_class) {
  CsvOptions options;
  options.header = data.header;
  options.label = data.label;
  options.classes = data.classification;
  options.ignored_class = ignored_class;
  options.scale = data.scale;
  return ReadCsv(data.path, options);
}

absl::StatusOr<DataTable> ReadCifarData(const DataConfig& data) {
  CifarOptions options;
  if (data.format == "cifar100") {
    options.labels = data.label[0].name == "coarse"
                         ? CifarLabels::kCifar100Coarse
                         : CifarLabels::kCifar100Fine;
  }
  options.scale = data.scale;
  return ReadCifar(data.files, options);
}

// Where the config names the data as a whole: messages name the file
// themselves.
const char* DataPlace(const DataConfig& data) {
  if (!data.path.empty()) return "data.path";
  return data.files.empty() ? "data" : "data.files";
}

// Features and targets, of the formats that have them as arrays.
absl::StatusOr<std::vector<NumericArray>> ReadArrays(
    const ExperimentConfig& config) {
  const DataConfig& data = config.data;
  if (data.format == "npz") {
    auto arrays = ReadNpz(data.path, {data.features, data.targets});
    if (!arrays.ok()) return At(config, "data.path", arrays.status());
    return arrays;
  }
  std::vector<NumericArray> arrays;
  for (const auto& [key, path] : DataPaths(data)) {
    auto array = data.format == "npy" ? ReadNpy(path) : ReadIdx(path);
    if (!array.ok()) return At(config, key, array.status());
    arrays.push_back(*std::move(array));
  }
  return arrays;
}

absl::StatusOr<DataTable> ReadData(const ExperimentConfig& config,
                                   const LossSettings& loss) {
  const DataConfig& data = config.data;
  absl::StatusOr<DataTable> table;
  if (data.format == "csv") {
    table = ReadCsvData(data, loss.ignore_index);
  } else if (!data.files.empty()) {
    table = ReadCifarData(data);
  } else {
    MB_ASSIGN_OR_RETURN(const std::vector<NumericArray> arrays,
                        ReadArrays(config));
    table =
        TableFromArrays(arrays[0], arrays[1],
                        {data.classification, data.scale, loss.ignore_index});
  }
  if (!table.ok()) return At(config, DataPlace(data), table.status());
  return table;
}

// bce_with_logits: every target is in [0, 1].
absl::Status CheckProbabilities(const DataTable& table) {
  const int64_t columns = table.targets.shape()[1];
  for (int64_t e = 0; e < table.targets.size(); ++e) {
    const float target = table.targets.data<float>()[e];
    if (IsProbability(target)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(table.where(e / columns), ": target ", e % columns, " is ",
                     target, ", bce_with_logits expects 0 to 1"));
  }
  return absl::OkStatus();
}

// How many of the rows the loss does not ignore; at least one, if there are
// any.
absl::StatusOr<size_t> CountRows(const ExperimentConfig& config,
                                 const DataTable& table, const char* part,
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

}  // namespace

absl::StatusOr<Experiment> PrepareExperiment(ExperimentConfig config) {
  MB_ASSIGN_OR_RETURN(const LossSettings loss, ReadLoss(config.loss));
  MB_ASSIGN_OR_RETURN(DataTable table, ReadData(config, loss));
  if (loss.kind == LossKind::kBceWithLogits) {
    MB_RETURN_IF_ERROR(
        At(config, DataPlace(config.data), CheckProbabilities(table)));
  }
  Experiment experiment;
  MB_ASSIGN_OR_RETURN(experiment.population,
                      ExpandPopulation(config, table.row_shape()));
  MB_RETURN_IF_ERROR(CheckOutputs(config, loss, experiment.population, table));
  const SplitConfig& split = config.data.split;
  absl::StatusOr<Split> rows =
      SplitRows(table, {split.train, split.validation, split.test},
                split.stratified, split.seed);
  if (!rows.ok()) return At(config, "data.split", rows.status());
  experiment.split = *std::move(rows);
  if (config.train.log.confusion && experiment.split.test.empty()) {
    return config.source.Error("train.log.confusion",
                               "needs test rows, there are none");
  }
  const int64_t train_rows =
      static_cast<int64_t>(experiment.split.train.size());
  const std::vector<int64_t>& sizes = experiment.population.batch_sizes;
  experiment.steps_per_epoch =
      (train_rows - 1) / *std::min_element(sizes.begin(), sizes.end()) + 1;
  MB_RETURN_IF_ERROR(
      CompleteSchedules(config, train_rows, &experiment.population));
  const Split& parts = experiment.split;
  MB_RETURN_IF_ERROR(CountRows(config, table, "train", parts.train).status());
  MB_ASSIGN_OR_RETURN(experiment.counted_validation,
                      CountRows(config, table, "validation", parts.validation));
  MB_ASSIGN_OR_RETURN(experiment.counted_test,
                      CountRows(config, table, "test", parts.test));
  experiment.data_fingerprint = Fingerprint(table);
  Shape shape = experiment.population.models[0].spec.input_shape();
  shape.insert(shape.begin(), table.rows());
  table.features = View(table.features, std::move(shape));
  experiment.data = std::make_shared<const DataTable>(std::move(table));
  experiment.config = std::move(config);
  return experiment;
}

Experiment SingleModel(const Experiment& experiment, int index) {
  Experiment single = experiment;
  const Population& all = experiment.population;
  single.population = Population();
  single.population.models = {all.models[index]};
  single.population.layouts = {all.layouts[index]};
  single.population.optimizers = {all.optimizers[index]};
  if (!all.schedules.empty()) {
    single.population.schedules = {all.schedules[index]};
  }
  single.population.batch_sizes = {all.batch_sizes[index]};
  for (const SweptField& field : all.fields) {
    single.population.fields.push_back(
        {field.path, field.label, field.integer, {field.values[index]}});
  }
  return single;
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
  const auto check = [&](const std::string& path, const char* what,
                         const std::string& name,
                         const std::vector<std::string>& there) {
    if (std::find(there.begin(), there.end(), name) != there.end()) {
      return absl::OkStatus();
    }
    return config.source.Error(
        path,
        absl::StrCat("backend \"", backend, "\" lacks the ", what, " \"", name,
                     "\"; it has: ",
                     there.empty() ? "none" : absl::StrJoin(there, ", ")));
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
  for (const auto& [key, path] : DataPaths(&core.data)) *path = "/";
  if (ScheduleFollowingEpochs(config).empty()) core.train.epochs = 0;
  core.train.checkpoint_every = 0;
  core.train.log = LogConfig();
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (unsigned char c : ExperimentToToml(core)) {
    hash = (hash ^ c) * 0x100000001b3u;
  }
  return hash;
}

}  // namespace modelbatch
