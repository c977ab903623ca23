#include "modelbatch/train/checkpoint.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/io/sealed_safetensors.h"
#include "modelbatch/optim/lr_schedule.h"
#include "modelbatch/search/population.h"
#include "modelbatch/train/complete_schedules.h"
#include "modelbatch/train/event.h"
#include "modelbatch/train/population_events.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

constexpr char kFormatPrefix[] = "modelbatch.checkpoint.";
constexpr char kFormat[] = "modelbatch.checkpoint.5";
constexpr char kIds[] = "run.ids";
constexpr char kInputShape[] = "run.input_shape";
constexpr char kValidationRows[] = "run.validation_rows";

// ---- Writing --------------------------------------------------------------

class Writer {
 public:
  template <typename T>
  void AddVector(const std::string& name, const std::vector<T>& values) {
    Add(name,
        Tensor::FromVector(values, {static_cast<int64_t>(values.size())}));
  }
  void Add(const std::string& name, Tensor tensor) {
    tensors_.push_back(std::move(tensor));
    names_.push_back(name);
  }
  void SetText(const std::string& key, const std::string& value) {
    metadata_[key] = value;
  }
  void SetInt(const std::string& key, int64_t value) {
    metadata_[key] = absl::StrCat(value);
  }

  absl::Status Write(const std::string& path) const {
    std::vector<NamedTensor> named;
    for (size_t i = 0; i < names_.size(); ++i) {
      named.push_back({names_[i], &tensors_[i]});
    }
    return WriteSealedSafetensors(path, named, metadata_);
  }

 private:
  std::vector<std::string> names_;
  std::vector<Tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

void AddRecords(const TrainState& state, Writer* writer) {
  std::vector<int64_t> skipped, best_epoch, validation_hits, test_hits;
  std::vector<double> validation_loss, test_loss;
  for (const ModelRecord& record : state.models) {
    skipped.push_back(record.skipped_updates);
    best_epoch.push_back(record.best_epoch);
    validation_loss.push_back(record.best_validation.loss);
    validation_hits.push_back(record.best_validation.correct);
    test_loss.push_back(record.best_test.loss);
    test_hits.push_back(record.best_test.correct);
  }
  writer->AddVector("run.skipped_updates", skipped);
  writer->AddVector("run.best_epoch", best_epoch);
  writer->AddVector("run.best_validation_loss", validation_loss);
  writer->AddVector("run.best_validation_correct", validation_hits);
  writer->AddVector("run.best_test_loss", test_loss);
  writer->AddVector("run.best_test_correct", test_hits);
  writer->AddVector("run.epoch_loss", state.epoch_loss);
  writer->AddVector("run.epoch_rows", state.epoch_rows);
  writer->AddVector("run.epoch_lr", state.epoch_lr);
}

void AddCurves(const TrainState& state, Writer* writer) {
  std::vector<double> train, validation, lr;
  std::vector<int64_t> correct;
  for (const EpochCurve& curve : state.curves) {
    train.insert(train.end(), curve.train_loss.begin(), curve.train_loss.end());
    lr.insert(lr.end(), curve.lr.begin(), curve.lr.end());
    for (const Score& score : curve.validation) {
      validation.push_back(score.loss);
      correct.push_back(score.correct);
    }
  }
  const Shape shape = {static_cast<int64_t>(state.curves.size()),
                       static_cast<int64_t>(state.models.size())};
  writer->Add("run.curves.train_loss", Tensor::FromVector(train, shape));
  writer->Add("run.curves.lr", Tensor::FromVector(lr, shape));
  writer->Add("run.curves.validation_loss",
              Tensor::FromVector(validation, shape));
  writer->Add("run.curves.validation_correct",
              Tensor::FromVector(correct, shape));
}

void AddModel(const std::string& prefix, ModelState model, Writer* writer) {
  for (auto& [slot, tensors] : model.slots) {
    for (auto& [parameter, tensor] : tensors) {
      writer->Add(parameter.empty()
                      ? prefix + slot
                      : absl::StrCat(prefix, slot, ".", parameter),
                  std::move(tensor));
    }
  }
  writer->Add(prefix + "step",
              Tensor::FromVector(std::vector<int64_t>{model.step}, {}));
}

// ---- Reading --------------------------------------------------------------

absl::Status OtherFormat(const std::string& path, const std::string& format) {
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": its format is \"", format, "\", expected \"", kFormat,
      "\": use the version of ModelBatch that wrote it, or train anew"));
}

// `status`, unless the file is a whole one of an older format, which had no
// checksum.
absl::Status WithoutSeal(const std::string& path, const absl::Status& status) {
  const absl::StatusOr<Safetensors> file = ReadSafetensors(path);
  if (!file.ok() || file->metadata.count("checksum") > 0) return status;
  const auto format = file->metadata.find("format");
  if (format == file->metadata.end() || format->second == kFormat ||
      !absl::StartsWith(format->second, kFormatPrefix)) {
    return status;
  }
  return OtherFormat(path, format->second);
}

class Reader {
 public:
  Reader(std::string path, Safetensors file)
      : path_(std::move(path)), file_(std::move(file)) {}

  absl::StatusOr<Checkpoint> Read() {
    Checkpoint checkpoint;
    MB_RETURN_IF_ERROR(ReadMetadata(&checkpoint));
    MB_ASSIGN_OR_RETURN(checkpoint.ids, Vector<int64_t>(kIds, -1));
    MB_ASSIGN_OR_RETURN(checkpoint.input_shape,
                        Vector<int64_t>(kInputShape, -1));
    MB_ASSIGN_OR_RETURN(checkpoint.validation_rows,
                        Vector<int64_t>(kValidationRows, -1));
    models_ = static_cast<int64_t>(checkpoint.ids.size());
    for (int64_t i = 0; i < models_; ++i) {
      if (!slots_.emplace(checkpoint.ids[i], i).second) {
        return Error("a model's id appears more than once");
      }
    }
    MB_RETURN_IF_ERROR(ReadEvents(checkpoint.ids, &checkpoint.state));
    MB_RETURN_IF_ERROR(ReadRecords(&checkpoint.state));
    MB_RETURN_IF_ERROR(ReadCurves(&checkpoint.state));
    checkpoint.models.resize(models_);
    for (auto& [name, tensor] : file_.tensors) {
      MB_RETURN_IF_ERROR(ReadTensor(name, &tensor, &checkpoint));
    }
    return checkpoint;
  }

 private:
  absl::Status Error(const std::string& message) const {
    return absl::DataLossError(
        absl::StrCat(path_, ": not a valid checkpoint: ", message));
  }

  absl::StatusOr<std::string> Text(const std::string& key) const {
    const auto it = file_.metadata.find(key);
    if (it != file_.metadata.end()) return it->second;
    return Error(absl::StrCat("metadata \"", key, "\" is missing"));
  }

  template <typename Int>
  absl::Status Number(const std::string& key, Int* value) const {
    MB_ASSIGN_OR_RETURN(const std::string text, Text(key));
    if (absl::SimpleAtoi(text, value) && *value >= 0) return absl::OkStatus();
    return Error(absl::StrCat("metadata \"", key, "\" is \"", text,
                              "\", expected a number"));
  }

  absl::Status ReadMetadata(Checkpoint* checkpoint) const {
    MB_ASSIGN_OR_RETURN(const std::string format, Text("format"));
    if (format != kFormat) return OtherFormat(path_, format);
    TrainState& state = checkpoint->state;
    MB_RETURN_IF_ERROR(Number("epoch", &state.epoch));
    MB_RETURN_IF_ERROR(Number("step_in_epoch", &state.step_in_epoch));
    MB_RETURN_IF_ERROR(Number("step", &state.step));
    MB_RETURN_IF_ERROR(
        Number("config_fingerprint", &checkpoint->config_fingerprint));
    MB_RETURN_IF_ERROR(
        Number("data_fingerprint", &checkpoint->data_fingerprint));
    MB_RETURN_IF_ERROR(
        Number("initial_fingerprint", &checkpoint->initial_fingerprint));
    MB_ASSIGN_OR_RETURN(const std::string names, Text("feature_names"));
    const nlohmann::json json =
        nlohmann::json::parse(names, nullptr, /*allow_exceptions=*/false);
    if (!json.is_array()) {
      return Error("metadata \"feature_names\" is no JSON array");
    }
    for (const nlohmann::json& name : json) {
      if (!name.is_string()) {
        return Error("metadata \"feature_names\" is no array of strings");
      }
      checkpoint->feature_names.push_back(name.get<std::string>());
    }
    RunInfo& info = checkpoint->info;
    MB_ASSIGN_OR_RETURN(info.backend, Text("backend"));
    MB_ASSIGN_OR_RETURN(info.backend_version, Text("backend_version"));
    MB_ASSIGN_OR_RETURN(info.backend_build_id, Text("backend_build_id"));
    MB_ASSIGN_OR_RETURN(info.modelbatch_version, Text("modelbatch_version"));
    MB_ASSIGN_OR_RETURN(info.machine, Text("machine"));
    return absl::OkStatus();
  }

  // The tensor, of this dtype and shape; size -1: any.
  template <typename T>
  absl::StatusOr<const Tensor*> Find(const std::string& name,
                                     const Shape& shape) const {
    const auto it = file_.tensors.find(name);
    if (it == file_.tensors.end()) {
      return Error(absl::StrCat("tensor \"", name, "\" is missing"));
    }
    const Tensor& tensor = it->second;
    bool fits = tensor.dtype() == DTypeOf<T>::value &&
                tensor.shape().size() == shape.size();
    for (size_t d = 0; fits && d < shape.size(); ++d) {
      fits = shape[d] < 0 || shape[d] == tensor.shape()[d];
    }
    if (!fits) {
      return Error(absl::StrCat(
          "tensor \"", name, "\" is ", DTypeName(tensor.dtype()), " ",
          ShapeToString(tensor.shape()), ", expected ",
          DTypeName(DTypeOf<T>::value), " ", ShapeToString(shape)));
    }
    return &tensor;
  }

  template <typename T>
  absl::StatusOr<std::vector<T>> Vector(const std::string& name,
                                        int64_t size) const {
    MB_ASSIGN_OR_RETURN(const Tensor* tensor, Find<T>(name, {size}));
    const T* data = tensor->template data<T>();
    return std::vector<T>(data, data + tensor->size());
  }

  // Also what the events have made of the models' records.
  absl::Status ReadEvents(const std::vector<int64_t>& ids,
                          TrainState* state) const {
    MB_ASSIGN_OR_RETURN(const std::string json, Text("events"));
    absl::StatusOr<std::vector<Event>> events = EventsFromJson(json);
    if (!events.ok()) {
      return Error(
          absl::StrCat("metadata \"events\": ", events.status().message()));
    }
    absl::StatusOr<std::vector<int64_t>> at = IdsBefore(*events, ids);
    if (!at.ok()) return Error(std::string(at.status().message()));
    state->models.resize(models_);
    for (size_t i = 0; i < events->size(); ++i) {
      const Event& event = (*events)[i];
      const auto model = std::find(at->begin(), at->end(), event.model);
      if (model == at->end()) {
        return Error(absl::StrCat("event ", i + 1, ", ", DescribeEvent(event),
                                  ": there is no model ", event.model));
      }
      RecordEvent(event, &state->models[model - at->begin()]);
      if (event.kind == EventKind::kReplace) *model = event.copy;
    }
    state->events = *std::move(events);
    return absl::OkStatus();
  }

  absl::Status ReadRecords(TrainState* state) const {
    const auto ints = [this](const char* name) {
      return Vector<int64_t>(name, models_);
    };
    const auto doubles = [this](const char* name) {
      return Vector<double>(name, models_);
    };
    MB_ASSIGN_OR_RETURN(const auto skipped, ints("run.skipped_updates"));
    MB_ASSIGN_OR_RETURN(const auto best_epoch, ints("run.best_epoch"));
    MB_ASSIGN_OR_RETURN(const auto validation_loss,
                        doubles("run.best_validation_loss"));
    MB_ASSIGN_OR_RETURN(const auto validation_hits,
                        ints("run.best_validation_correct"));
    MB_ASSIGN_OR_RETURN(const auto test_loss, doubles("run.best_test_loss"));
    MB_ASSIGN_OR_RETURN(const auto test_hits, ints("run.best_test_correct"));
    MB_ASSIGN_OR_RETURN(state->epoch_loss, doubles("run.epoch_loss"));
    MB_ASSIGN_OR_RETURN(state->epoch_rows, ints("run.epoch_rows"));
    MB_ASSIGN_OR_RETURN(state->epoch_lr, doubles("run.epoch_lr"));
    for (int64_t i = 0; i < models_; ++i) {
      ModelRecord& record = state->models[i];
      record.skipped_updates = skipped[i];
      record.best_epoch = best_epoch[i];
      record.best_validation.loss = validation_loss[i];
      record.best_validation.correct = validation_hits[i];
      record.best_test.loss = test_loss[i];
      record.best_test.correct = test_hits[i];
    }
    return absl::OkStatus();
  }

  absl::Status ReadCurves(TrainState* state) const {
    const Shape shape = {state->epoch, models_};
    MB_ASSIGN_OR_RETURN(const Tensor* train,
                        Find<double>("run.curves.train_loss", shape));
    MB_ASSIGN_OR_RETURN(const Tensor* lr, Find<double>("run.curves.lr", shape));
    MB_ASSIGN_OR_RETURN(const Tensor* loss,
                        Find<double>("run.curves.validation_loss", shape));
    MB_ASSIGN_OR_RETURN(const Tensor* correct,
                        Find<int64_t>("run.curves.validation_correct", shape));
    for (int64_t epoch = 0; epoch < state->epoch; ++epoch) {
      EpochCurve curve;
      for (int64_t i = 0; i < models_; ++i) {
        const int64_t at = epoch * models_ + i;
        curve.train_loss.push_back(train->data<double>()[at]);
        curve.lr.push_back(lr->data<double>()[at]);
        Score score;
        score.loss = loss->data<double>()[at];
        score.correct = correct->data<int64_t>()[at];
        curve.validation.push_back(score);
      }
      state->curves.push_back(std::move(curve));
    }
    return absl::OkStatus();
  }

  // "model.<id>.<slot>.<parameter>", "model.<id>.<slot>", "model.<id>.step",
  // "model.<id>.schedule", "best.<id>.<parameter>"
  absl::Status ReadTensor(const std::string& name, Tensor* tensor,
                          Checkpoint* checkpoint) const {
    if (absl::StartsWith(name, "run.")) return absl::OkStatus();
    const absl::Status unknown =
        Error(absl::StrCat("tensor \"", name, "\" is of no model in it"));
    const size_t first = name.find('.');
    const size_t second =
        first == std::string::npos ? first : name.find('.', first + 1);
    int64_t id = 0;
    if (second == std::string::npos ||
        !absl::SimpleAtoi(name.substr(first + 1, second - first - 1), &id) ||
        slots_.count(id) == 0) {
      return unknown;
    }
    const int64_t slot = slots_.at(id);
    const std::string kind = name.substr(0, first);
    const std::string rest = name.substr(second + 1);
    if (kind == "best") {
      checkpoint->state.models[slot].best.emplace(rest, std::move(*tensor));
      return absl::OkStatus();
    }
    ModelState& model = checkpoint->models[slot];
    if (kind != "model") return unknown;
    if (rest == "step") {
      MB_ASSIGN_OR_RETURN(const Tensor* step, Find<int64_t>(name, {}));
      model.step = step->data<int64_t>()[0];
      return absl::OkStatus();
    }
    if (rest == "schedule") {
      MB_ASSIGN_OR_RETURN(const std::vector<double> numbers,
                          Vector<double>(name, -1));
      absl::StatusOr<LrScheduleState> schedule =
          LrScheduleState::FromNumbers(numbers);
      if (!schedule.ok()) {
        return Error(absl::StrCat("tensor \"", name,
                                  "\": ", schedule.status().message()));
      }
      checkpoint->state.models[slot].schedule = *std::move(schedule);
      return absl::OkStatus();
    }
    const size_t dot = rest.find('.');
    // One number a model has no parameter's name.
    model.slots[rest.substr(0, dot)].emplace(
        dot == std::string::npos ? "" : rest.substr(dot + 1),
        std::move(*tensor));
    return absl::OkStatus();
  }

  std::string path_;
  Safetensors file_;
  int64_t models_ = 0;
  std::map<int64_t, int64_t> slots_;  // id -> index
};

}  // namespace

namespace {

// `model_state` gives the state of a model, by its index.
absl::Status Write(
    const std::string& path, const Experiment& experiment,
    const TrainState& state, const RunInfo& info,
    const std::function<absl::StatusOr<ModelState>(int)>& model_state) {
  Writer writer;
  writer.SetText("format", kFormat);
  writer.SetInt("epoch", state.epoch);
  writer.SetInt("step_in_epoch", state.step_in_epoch);
  writer.SetInt("step", state.step);
  writer.SetText("events", EventsToJson(state.events));
  writer.SetText("config_fingerprint",
                 absl::StrCat(ConfigFingerprint(experiment.config)));
  writer.SetText(
      "feature_names",
      nlohmann::json(experiment.data->feature_names)
          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  writer.SetText("data_fingerprint", absl::StrCat(experiment.data_fingerprint));
  writer.SetText("initial_fingerprint",
                 absl::StrCat(experiment.initial_fingerprint));
  writer.SetText("backend", info.backend);
  writer.SetText("backend_version", info.backend_version);
  writer.SetText("backend_build_id", info.backend_build_id);
  writer.SetText("modelbatch_version", info.modelbatch_version);
  writer.SetText("machine", info.machine);
  std::vector<int64_t> ids;
  for (const ModelInstance& model : experiment.population.models) {
    ids.push_back(model.id);
  }
  writer.AddVector(kIds, ids);
  writer.AddVector(kInputShape,
                   experiment.population.models[0].spec.input_shape());
  std::vector<int64_t> validation_rows;
  for (const FoldRows& fold : experiment.folds) {
    validation_rows.push_back(static_cast<int64_t>(fold.counted_validation));
  }
  writer.AddVector(kValidationRows, validation_rows);
  AddRecords(state, &writer);
  AddCurves(state, &writer);
  for (int i = 0; i < experiment.population.size(); ++i) {
    if (!state.models[i].removed()) {
      MB_ASSIGN_OR_RETURN(ModelState model, model_state(i));
      const std::string prefix = absl::StrCat("model.", ids[i], ".");
      AddModel(prefix, std::move(model), &writer);
      if (!experiment.population.schedules.empty()) {
        writer.AddVector(prefix + "schedule",
                         state.models[i].schedule.ToNumbers());
      }
    }
    for (const auto& [parameter, tensor] : state.models[i].best) {
      writer.Add(absl::StrCat("best.", ids[i], ".", parameter),
                 tensor.Borrow());
    }
  }
  return writer.Write(path);
}

ModelState Borrow(const ModelState& state) {
  ModelState out;
  out.step = state.step;
  for (const auto& [slot, tensors] : state.slots) {
    for (const auto& [parameter, tensor] : tensors) {
      out.slots[slot].emplace(parameter, tensor.Borrow());
    }
  }
  return out;
}

}  // namespace

absl::Status WriteCheckpoint(const std::string& path, Trainer* trainer,
                             const RunInfo& info) {
  const TrainState& state = trainer->state();
  if (trainer->ahead()) {
    return absl::FailedPreconditionError(
        "no checkpoint of models that are ahead of the steps recorded: let "
        "Trainer::Steps end");
  }
  if (state.step_in_epoch >= trainer->steps_per_epoch()) {
    return absl::FailedPreconditionError(
        "no checkpoint before the epoch's evaluation: write it in OnEpoch");
  }
  return Write(path, trainer->experiment(), state, info, [trainer](int model) {
    return trainer->batch().GetModelState(model);
  });
}

absl::Status WriteCheckpoint(const std::string& path,
                             const Experiment& experiment,
                             const Checkpoint& checkpoint) {
  MB_RETURN_IF_ERROR(CheckBelongs(checkpoint, experiment));
  Experiment now = experiment;
  MB_ASSIGN_OR_RETURN(now.population, PopulationAfter(checkpoint.state.events,
                                                      experiment.population));
  return Write(path, now, checkpoint.state, checkpoint.info,
               [&checkpoint](int model) -> absl::StatusOr<ModelState> {
                 return Borrow(checkpoint.models[model]);
               });
}

absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path) {
  absl::StatusOr<Safetensors> file = ReadSealedSafetensors(path);
  if (!file.ok()) return WithoutSeal(path, file.status());
  return Reader(path, *std::move(file)).Read();
}

absl::Status CheckBelongs(const Checkpoint& checkpoint,
                          const Experiment& experiment) {
  if (checkpoint.data_fingerprint != experiment.data_fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data has changed since the checkpoint: ",
                     DataPaths(experiment.config.data)[0].second));
  }
  if (checkpoint.initial_fingerprint != experiment.initial_fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("the initial weights are not those of the checkpoint: ",
                     experiment.config.train.init_from));
  }
  const std::optional<FoldsConfig>& folds = experiment.config.data.folds;
  bool same =
      checkpoint.ids.size() == experiment.population.models.size() &&
      static_cast<int64_t>(checkpoint.validation_rows.size()) ==
          (folds ? folds->count : 1) &&
      checkpoint.config_fingerprint == ConfigFingerprint(experiment.config);
  if (same) {
    MB_ASSIGN_OR_RETURN(
        const Population population,
        PopulationAfter(checkpoint.state.events, experiment.population));
    for (size_t i = 0; same && i < checkpoint.ids.size(); ++i) {
      same = checkpoint.ids[i] == population.models[i].id;
    }
  }
  if (!same) {
    const std::string follows = ScheduleFollowingEpochs(experiment.config);
    return absl::FailedPreconditionError(absl::StrCat(
        "the config is not that of the checkpoint: ",
        experiment.config.source.file(),
        follows.empty() ? ""
                        : absl::StrCat("; train.epochs must not change, as ",
                                       follows, " follows it")));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
