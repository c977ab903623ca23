// Runs training jobs through the public API, for comparison with PyTorch.
//
//   driver --kinds                prints what the core knows, as JSON
//   driver --capabilities PLUGIN  prints what the plugin claims, as JSON
//   driver PLUGIN                 runs a job for each line of its input, which
//                                 names the job's file, and answers with a
//                                 line: empty, or what went wrong
//
// A PLUGIN is a path. One process runs all jobs of a test: loading LibTorch
// takes longer than training. A job writes the file that "output" names; a
// warning in the log is a failure. modelbatch_driver.py writes the jobs and
// says what is in them.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/modelbatch.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"
#include "tests/schedules/parse_schedule.h"

namespace modelbatch {
namespace {

using Json = nlohmann::json;

Attributes ParseAttributes(const Json& json) {
  Attributes attributes;
  for (const auto& [name, value] : json.items()) {
    if (value.is_boolean()) {
      attributes[name] = value.get<bool>();
    } else if (value.is_number_integer()) {
      attributes[name] = value.get<int64_t>();
    } else if (value.is_number()) {
      attributes[name] = value.get<double>();
    } else if (value.is_string()) {
      attributes[name] = value.get<std::string>();
    } else if (value.is_array() &&
               std::all_of(value.begin(), value.end(), [](const Json& e) {
                 return e.is_number_integer();
               })) {
      attributes[name] = value.get<std::vector<int64_t>>();
    } else if (value.is_array() &&
               std::all_of(value.begin(), value.end(),
                           [](const Json& e) { return e.is_number(); })) {
      attributes[name] = value.get<std::vector<double>>();
    } else {
      throw std::invalid_argument(absl::StrCat(
          "attribute ", name, " has no type of ours: ", value.dump()));
    }
  }
  return attributes;
}

ModelInstance ParseModel(const Json& json) {
  ModelSpec spec(json.at("input_shape").get<Shape>());
  for (const Json& op : json.at("operators")) {
    spec.AddOperator({op.value("name", ""), op.at("kind"),
                      op.at("inputs").get<std::vector<int>>(),
                      ParseAttributes(op.value("attributes", Json::object()))});
  }
  return {json.at("id"), json.at("seed"), std::move(spec)};
}

// Owns what a RowSet points to.
struct Rows {
  explicit Rows(const Json& json)
      : rows(json.at("rows").get<std::vector<int32_t>>()),
        offsets(json.value("offsets", std::vector<int64_t>())) {}
  RowSet set() const { return {rows, offsets}; }

  std::vector<int32_t> rows;
  std::vector<int64_t> offsets;
};

// The tensors of the output file.
class Output {
 public:
  void Add(const std::string& name, Tensor tensor) {
    tensors_.emplace_back(name, std::move(tensor));
  }
  template <typename T>
  void Add(const std::string& name, const std::vector<T>& values) {
    Add(name,
        Tensor::FromVector(values, {static_cast<int64_t>(values.size())}));
  }
  absl::Status Write(const std::string& path) const {
    std::vector<NamedTensor> named;
    for (const auto& [name, tensor] : tensors_) {
      named.push_back({name, &tensor});
    }
    return WriteSafetensors(path, named, {});
  }

 private:
  std::vector<std::pair<std::string, Tensor>> tensors_;
};

// Adds "<prefix>.<slot>.<model>.<parameter>" for every model and parameter, or
// "<prefix>.<slot>.<model>" where the optimizer has one number a model.
absl::Status AddState(ModelBatch& batch, const OptimizerInfo& optimizer,
                      const std::string& prefix, const Json& slots,
                      Output* output) {
  for (const std::string slot : slots) {
    const OptimizerState* const state = optimizer.FindState(slot);
    for (int i = 0; i < batch.num_models(); ++i) {
      if (state != nullptr && state->per_model) {
        MB_ASSIGN_OR_RETURN(Tensor value,
                            batch.session().ReadState(i, slot, ""));
        output->Add(absl::StrCat(prefix, ".", slot, ".", i), std::move(value));
        continue;
      }
      for (const Parameter& parameter : batch.layout(i).parameters) {
        MB_ASSIGN_OR_RETURN(Tensor value,
                            batch.session().ReadState(i, slot, parameter.name));
        output->Add(
            absl::StrCat(prefix, ".", slot, ".", i, ".", parameter.name),
            std::move(value));
      }
    }
  }
  return absl::OkStatus();
}

// Writes "param.<model>.<parameter>" and "step.<model>" of the input.
absl::Status LoadInitialState(const Safetensors& input, ModelBatch* batch) {
  for (int i = 0; i < batch->num_models(); ++i) {
    for (const Parameter& parameter : batch->layout(i).parameters) {
      const auto it =
          input.tensors.find(absl::StrCat("param.", i, ".", parameter.name));
      if (it == input.tensors.end()) continue;
      MB_RETURN_IF_ERROR(
          batch->session().WriteState(i, "param", parameter.name, it->second));
    }
    const auto it = input.tensors.find(absl::StrCat("step.", i));
    if (it == input.tensors.end()) continue;
    MB_RETURN_IF_ERROR(batch->session().WriteState(i, "step", "", it->second));
  }
  return absl::OkStatus();
}

absl::Status TrainStep(const Json& step, const Dataset& dataset,
                       const Optimizer& optimizer, ModelBatch* batch,
                       StepResult* result) {
  const Rows rows(step);
  const auto active = step.value("active", std::vector<int>());
  for (size_t i = 0; i < active.size(); ++i) {
    MB_RETURN_IF_ERROR(batch->SetActive(static_cast<int>(i), active[i] != 0));
  }
  const bool keep_gradients = step.value("keep_gradients", false);
  const bool update = step.value("update", true);
  if (!keep_gradients && update) {
    MB_RETURN_IF_ERROR(batch->TrainStep(dataset, rows.set(), optimizer));
    *result = batch->last_step();
    return absl::OkStatus();
  }
  StepRequest request;
  request.dataset = &dataset;
  request.rows = rows.set();
  request.columns = optimizer.columns();
  request.active = batch->active();
  request.keep_gradients = keep_gradients;
  request.update = update;
  return batch->session().TrainStep(request, result);
}

absl::Status RunJob(const Json& job, Backend* backend) {
  std::vector<ModelInstance> models;
  for (const Json& model : job.at("models")) {
    models.push_back(ParseModel(model));
  }
  MB_ASSIGN_OR_RETURN(Safetensors input, ReadSafetensors(job.at("input")));
  MB_ASSIGN_OR_RETURN(
      const std::unique_ptr<Dataset> dataset,
      backend->CreateDataset(std::move(input.tensors.at("features")),
                             std::move(input.tensors.at("targets"))));
  MB_ASSIGN_OR_RETURN(
      const std::unique_ptr<ModelBatch> batch,
      ModelBatch::Create(backend, std::move(models),
                         {job.at("loss").at("kind"),
                          ParseAttributes(job.at("loss").at("attributes"))},
                         job.at("max_rows")));
  const Json& optimizer_json = job.at("optimizer");
  std::vector<OptimizerConfig> configs;
  for (const Json& config : optimizer_json.at("configs")) {
    configs.push_back(config.get<OptimizerConfig>());
  }
  MB_ASSIGN_OR_RETURN(Optimizer optimizer,
                      OptimizerFactory(optimizer_json.at("kind"))
                          .CreateOptimizer(batch.get(), configs));
  std::optional<LrScheduler> scheduler;
  if (job.contains("schedules")) {
    std::vector<LrScheduleSpec> specs;
    for (const Json& spec : job["schedules"]) {
      specs.push_back(ParseSchedule(spec));
    }
    MB_ASSIGN_OR_RETURN(scheduler, LrScheduler::Create(&optimizer, specs));
  }
  Output output;
  MB_RETURN_IF_ERROR(
      AddState(*batch, optimizer.info(), "initial", {"param"}, &output));
  MB_RETURN_IF_ERROR(LoadInitialState(input, batch.get()));

  int index = 0;
  for (const Json& step : job.at("steps")) {
    StepResult result;
    MB_RETURN_IF_ERROR(
        TrainStep(step, *dataset, optimizer, batch.get(), &result));
    if (scheduler.has_value()) MB_RETURN_IF_ERROR(scheduler->Step(result));
    const std::string prefix = absl::StrCat("step.", index++);
    std::vector<uint8_t> outcomes;
    for (Outcome outcome : result.outcomes) {
      outcomes.push_back(static_cast<uint8_t>(outcome));
    }
    output.Add(prefix + ".loss", result.losses);
    output.Add(prefix + ".outcome", outcomes);
    MB_RETURN_IF_ERROR(AddState(*batch, optimizer.info(), prefix,
                                step.value("record", Json::array()), &output));
  }

  MB_RETURN_IF_ERROR(AddState(*batch, optimizer.info(), "final",
                              job.value("final", Json::array()), &output));
  if (job.contains("evaluate")) {
    const Rows rows(job["evaluate"]);
    EvaluateResult result;
    MB_RETURN_IF_ERROR(batch->Evaluate(*dataset, rows.set(), &result));
    output.Add("evaluate.loss", result.losses);
    output.Add("evaluate.correct", result.correct);
  }
  if (job.contains("forward")) {
    const Rows rows(job["forward"]);
    std::vector<Tensor> outputs;
    MB_RETURN_IF_ERROR(batch->Predict(*dataset, rows.set(), &outputs));
    for (size_t i = 0; i < outputs.size(); ++i) {
      output.Add(absl::StrCat("forward.", i), std::move(outputs[i]));
    }
  }
  return output.Write(job.at("output"));
}

absl::Status PrintKinds() {
  Json optimizers = Json::object();
  for (const std::string& kind : OptimizerKinds()) {
    MB_ASSIGN_OR_RETURN(const OptimizerInfo* info, FindOptimizer(kind));
    Json hyper_parameters = Json::object(), states = Json::array(),
         numbers = Json::array();
    for (const HyperParameter& h : info->hyper_parameters) {
      hyper_parameters[h.name] = {{"default", h.default_value},
                                  {"min", h.min},
                                  {"max", h.max},
                                  {"max_open", h.max_open},
                                  {"flag", h.flag},
                                  {"optional", h.optional}};
    }
    for (const OptimizerState& state : info->state) {
      (state.per_model ? numbers : states).push_back(state.name);
    }
    optimizers[kind] = {{"hyper_parameters", hyper_parameters},
                        {"states", states},
                        {"numbers", numbers}};
  }
  Json losses = Json::object();
  for (const LossInfo& info : Losses()) {
    losses[info.kind] = Json::array();
    for (const LossAttribute& attribute : info.attributes) {
      losses[info.kind].push_back(attribute.name);
    }
  }
  std::cout << Json({{"operators", OperatorKinds()},
                     {"losses", losses},
                     {"optimizers", optimizers}})
            << std::endl;
  return absl::OkStatus();
}

absl::Status PrintCapabilities(const std::string& path) {
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                      CreateBackend(path));
  const Capabilities capabilities = backend->capabilities();
  std::cout << Json({{"operators", capabilities.operators},
                     {"losses", capabilities.losses},
                     {"optimizers", capabilities.optimizers}})
            << std::endl;
  return absl::OkStatus();
}

absl::Status RunJobs(const std::string& path) {
  std::mutex mutex;
  std::vector<std::string> warnings;
  SetLogSink(LogSeverity::kWarning, [&](LogSeverity, std::string_view text) {
    const std::lock_guard<std::mutex> lock(mutex);
    warnings.emplace_back(text);
  });
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                      CreateBackend(path));
  for (std::string job; std::getline(std::cin, job);) {
    std::ifstream file(job);
    absl::Status status = RunJob(Json::parse(file), backend.get());
    const std::lock_guard<std::mutex> lock(mutex);
    if (status.ok() && !warnings.empty()) {
      status = absl::InternalError(
          absl::StrCat("the log has: ", absl::StrJoin(warnings, "; ")));
    }
    warnings.clear();
    std::cout << (status.ok()
                      ? ""
                      : absl::StrReplaceAll(status.ToString(), {{"\n", " "}}))
              << std::endl;
  }
  SetLogSink(LogSeverity::kError, nullptr);
  return absl::OkStatus();
}

absl::Status Main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments[0] == "--kinds") return PrintKinds();
  if (arguments.size() == 2 && arguments[0] == "--capabilities") {
    return PrintCapabilities(arguments[1]);
  }
  if (arguments.size() == 1) return RunJobs(arguments[0]);
  return absl::InvalidArgumentError(
      "usage: driver --kinds | driver --capabilities PLUGIN | driver PLUGIN");
}

}  // namespace
}  // namespace modelbatch

int main(int argc, char** argv) {
  const absl::Status status = modelbatch::Main({argv + 1, argv + argc});
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
