#include "modelbatch/train/results.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/io/atomic_files.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

using Json = nlohmann::ordered_json;

std::string EpochText(int64_t epoch) {
  return epoch == 0 ? "" : absl::StrCat(epoch);
}

// JSON has no NaN.
Json Finite(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json SweptValues(const Experiment& experiment, int model) {
  Json values = Json::object();
  for (const SweptField& field : experiment.population.fields) {
    const double value = field.values[model];
    values[field.path] =
        field.integer ? Json(static_cast<int64_t>(value)) : Json(value);
  }
  return values;
}

Json ModelJson(const Experiment& experiment, const TrainState& state,
               int model) {
  const ModelRecord& record = state.models[model];
  Json json;
  json["model"] = experiment.population.models[model].id;
  json["values"] = SweptValues(experiment, model);
  json["best_epoch"] = record.best_epoch;
  json["validation_loss"] = Finite(record.best_validation.loss);
  json["validation_accuracy"] = Finite(
      Accuracy(record.best_validation, experiment.counted_validation(model)));
  json["test_loss"] = Finite(record.best_test.loss);
  json["test_accuracy"] =
      Finite(Accuracy(record.best_test, experiment.counted_test));
  return json;
}

// Of each epoch, the ids of the models that its curve is of.
std::vector<std::vector<int64_t>> IdsOfEpochs(const Experiment& experiment,
                                              const TrainState& state) {
  std::vector<int64_t> ids;
  for (const ModelInstance& model : experiment.population.models) {
    ids.push_back(model.id);
  }
  std::vector<std::vector<int64_t>> result(state.curves.size());
  size_t left = state.events.size();  // events that are not undone
  for (size_t epoch = result.size(); epoch-- > 0;) {
    for (; left > 0; --left) {
      const Event& event = state.events[left - 1];
      if (event.epochs_finished() <= static_cast<int64_t>(epoch)) break;
      if (event.kind != EventKind::kReplace) continue;
      std::replace(ids.begin(), ids.end(), event.copy, event.model);
    }
    result[epoch] = ids;
  }
  return result;
}

// Which fold each model that ever was has seen, by its id.
std::map<int64_t, int> FoldsOfIds(const Experiment& experiment,
                                  const TrainState& state) {
  std::map<int64_t, int> folds;
  for (int i = 0; i < experiment.population.size(); ++i) {
    folds[experiment.population.models[i].id] = experiment.population.folds[i];
  }
  // A copy sees what its source has seen; the model it came in the place of has
  // the fold that its number says.
  const std::optional<FoldsConfig>& config = experiment.config.data.folds;
  for (const Event& event : state.events) {
    if (event.kind != EventKind::kReplace) continue;
    for (const int64_t id : {event.model, event.source}) {
      folds.emplace(id, config ? static_cast<int>(id % config->count) : 0);
    }
    folds.emplace(event.copy, folds[event.source]);
  }
  return folds;
}

std::string ModelFolder(const std::string& run) {
  return absl::StrCat(run, "/models");
}

std::string ModelPath(const std::string& run, int64_t id) {
  return absl::StrCat(ModelFolder(run), "/model_", id, ".safetensors");
}

}  // namespace

bool RanksByAccuracy(const Experiment& experiment) {
  return experiment.config.train.select != Selection::kValidationLoss &&
         experiment.has_classes();
}

std::vector<int> Ranking(const Experiment& experiment,
                         const TrainState& state) {
  std::vector<int> order(state.models.size());
  std::iota(order.begin(), order.end(), 0);
  const bool by_accuracy = RanksByAccuracy(experiment);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    const ModelRecord& x = state.models[a];
    const ModelRecord& y = state.models[b];
    if ((x.best_epoch == 0) != (y.best_epoch == 0)) return x.best_epoch != 0;
    if (by_accuracy) {
      // Folds may differ in rows; integers do not round.
      const auto hits_a =
          x.best_validation.correct *
          static_cast<int64_t>(experiment.counted_validation(b));
      const auto hits_b =
          y.best_validation.correct *
          static_cast<int64_t>(experiment.counted_validation(a));
      if (hits_a != hits_b) return hits_a > hits_b;
    }
    // NaN after every number: a strict weak order needs it somewhere.
    const double loss_x = x.best_validation.loss;
    const double loss_y = y.best_validation.loss;
    if (std::isnan(loss_x) || std::isnan(loss_y)) {
      return !std::isnan(loss_x) && std::isnan(loss_y);
    }
    return loss_x < loss_y;
  });
  return order;
}

std::string StatusOf(const ModelRecord& record) {
  if (!record.frozen()) return "ok";
  const char* const what = record.frozen_by == EventKind::kEarlyStop ? "stopped"
                           : record.frozen_by == EventKind::kRemove  ? "removed"
                                                                     : "frozen";
  std::string text = absl::StrCat(what, " at step ", record.frozen_step);
  if (!record.frozen_reason.empty()) {
    absl::StrAppend(&text, ": ", record.frozen_reason);
  }
  return text;
}

double Accuracy(const Score& score, size_t rows) {
  if (score.correct < 0 || rows == 0) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return static_cast<double>(score.correct) / static_cast<double>(rows);
}

std::string NumberText(double value) {
  if (std::isnan(value)) return "";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  return std::string(buffer, end);
}

// Most have no comma or quote, but a layer's name or a reason may.
std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (char c : text) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + "\"";
}

std::string ResultsCsv(const Experiment& experiment, const TrainState& state) {
  const Population& population = experiment.population;
  std::vector<int> rank(population.size());
  const std::vector<int> order = Ranking(experiment, state);
  for (size_t i = 0; i < order.size(); ++i) {
    rank[order[i]] = static_cast<int>(i) + 1;
  }
  std::string out = "model,seed";
  for (const SweptField& field : population.fields) {
    absl::StrAppend(&out, ",", CsvField(field.path));
  }
  absl::StrAppend(&out,
                  ",rank,status,best_epoch,validation_loss,validation_accuracy,"
                  "test_loss,test_accuracy\n");
  for (int i = 0; i < population.size(); ++i) {
    const ModelRecord& record = state.models[i];
    std::vector<std::string> fields = {absl::StrCat(population.models[i].id),
                                       absl::StrCat(population.models[i].seed)};
    for (const SweptField& field : population.fields) {
      fields.push_back(NumberText(field.values[i]));
    }
    fields.push_back(absl::StrCat(rank[i]));
    fields.push_back(CsvField(StatusOf(record)));
    fields.push_back(EpochText(record.best_epoch));
    fields.push_back(NumberText(record.best_validation.loss));
    fields.push_back(NumberText(
        Accuracy(record.best_validation, experiment.counted_validation(i))));
    fields.push_back(NumberText(record.best_test.loss));
    fields.push_back(
        NumberText(Accuracy(record.best_test, experiment.counted_test)));
    absl::StrAppend(&out, absl::StrJoin(fields, ","), "\n");
  }
  return out;
}

std::string CurvesCsv(const Experiment& experiment, const TrainState& state) {
  std::string out =
      "epoch,model,train_loss,validation_loss,validation_accuracy,lr\n";
  const std::vector<std::vector<int64_t>> ids = IdsOfEpochs(experiment, state);
  const std::map<int64_t, int> folds = FoldsOfIds(experiment, state);
  for (size_t epoch = 0; epoch < state.curves.size(); ++epoch) {
    const EpochCurve& curve = state.curves[epoch];
    for (int i = 0; i < experiment.population.size(); ++i) {
      const int64_t id = ids[epoch][i];
      const Score& score = curve.validation[i];
      absl::StrAppend(
          &out, epoch + 1, ",", id, ",", NumberText(curve.train_loss[i]), ",",
          NumberText(score.loss), ",",
          NumberText(Accuracy(
              score, experiment.folds[folds.at(id)].counted_validation)),
          ",", NumberText(curve.lr[i]), "\n");
    }
  }
  return out;
}

std::string SummaryJson(const Experiment& experiment, const TrainState& state,
                        const RunInfo& info, const SessionStats& stats,
                        const RunTimes& times) {
  const ExperimentConfig& config = experiment.config;
  Json json;
  json["name"] = config.name;
  json["finished"] = state.epoch >= config.train.epochs ||
                     std::all_of(state.models.begin(), state.models.end(),
                                 [](const auto& m) { return m.frozen(); });
  json["models"] = experiment.population.size();
  json["epochs"] = {{"done", state.epoch}, {"planned", config.train.epochs}};
  json["steps"] = state.step;
  json["rows"] = {{"train", experiment.split.train.size()},
                  {"validation", experiment.split.validation.size()},
                  {"test", experiment.split.test.size()}};
  if (config.data.folds.has_value()) {
    json["folds"] = config.data.folds->count;
  }
  json["selected_by"] = SelectionName(config.train.select);
  const std::vector<int> order = Ranking(experiment, state);
  json["best"] = state.models[order[0]].best_epoch > 0
                     ? ModelJson(experiment, state, order[0])
                     : Json();
  Json frozen = Json::array();
  for (int i = 0; i < experiment.population.size(); ++i) {
    const ModelRecord& record = state.models[i];
    if (!record.frozen()) continue;
    frozen.push_back({{"model", experiment.population.models[i].id},
                      {"step", record.frozen_step},
                      {"by", EventKindName(record.frozen_by)},
                      {"reason", record.frozen_reason},
                      {"values", SweptValues(experiment, i)}});
  }
  json["frozen"] = std::move(frozen);
  json["events"] = CountEvents(state.events);
  json["backend"] = {{"name", info.backend},
                     {"version", info.backend_version},
                     {"build_id", info.backend_build_id},
                     {"path", info.backend_path},
                     {"device", info.device}};
  json["modelbatch_version"] = info.modelbatch_version;
  json["machine"] = {{"processor", info.machine},
                     {"cpus", info.cpus},
                     {"host", info.host},
                     {"system", info.system}};
  json["times"] = {
      {"started", times.started},
      {"finished", times.finished},
      {"seconds", times.seconds},
      {"model_rows_per_second",
       times.seconds > 0 ? static_cast<double>(times.model_rows) / times.seconds
                         : 0.0},
      {"resumed", times.resumed}};
  json["memory"] = {{"state_bytes", stats.state_bytes},
                    {"workspace_bytes", stats.workspace_bytes}};
  json["plan"] = stats.plan;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::map<std::string, std::string> WeightsMetadata(const Experiment& experiment,
                                                   const TrainState& state,
                                                   int model) {
  const ModelRecord& record = state.models[model];
  return {{"format", "pt"},
          {"model", absl::StrCat(experiment.population.models[model].id)},
          {"epoch", absl::StrCat(record.best_epoch)},
          {"selected_by", SelectionName(experiment.config.train.select)},
          {"status", StatusOf(record)}};
}

absl::Status WriteModels(const Experiment& experiment, const TrainState& state,
                         const std::string& folder) {
  for (const Event& event : state.events) {
    if (event.kind != EventKind::kReplace) continue;
    std::error_code ignored;  // it need not be there
    std::filesystem::remove(ModelPath(folder, event.model), ignored);
  }
  MB_ASSIGN_OR_RETURN(AtomicFiles files,
                      AtomicFiles::Create(ModelFolder(folder)));
  for (int i = 0; i < experiment.population.size(); ++i) {
    const ModelRecord& record = state.models[i];
    if (record.best_epoch == 0) continue;
    const int64_t id = experiment.population.models[i].id;
    std::vector<NamedTensor> tensors;
    for (const auto& [name, tensor] : record.best) {
      tensors.push_back({name, &tensor});
    }
    MB_RETURN_IF_ERROR(WriteSafetensors(ModelPath(folder, id), tensors,
                                        WeightsMetadata(experiment, state, i),
                                        &files));
  }
  return files.Commit();
}

}  // namespace modelbatch
