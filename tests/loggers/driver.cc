// Logs what a script says, with the logger of a kind.
//   driver csv|jsonl|tensorboard PATH SCRIPT
// SCRIPT is JSON: "columns" of the CSV, "resume": a step or null,
// "hyper_parameters": by id, "entries": each with step, epoch, models, metrics
// (by name, arrays of texts that strtod reads), "flush", "kill": whether the
// process kills itself after it.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/loggers/csv.h"
#include "modelbatch/loggers/json_lines.h"
#include "modelbatch/loggers/metrics_logger.h"
#include "modelbatch/loggers/tensorboard.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

using Json = nlohmann::json;

absl::StatusOr<std::unique_ptr<MetricsLogger>> Open(const std::string& kind,
                                                    const std::string& path,
                                                    const Json& script) {
  std::optional<int64_t> resume;
  if (!script.at("resume").is_null()) resume = script.at("resume");
  if (kind == "csv") return OpenCsvLogger(path, script.at("columns"), resume);
  if (kind == "jsonl") return OpenJsonLinesLogger(path, resume);
  return OpenTensorBoardLogger(path, resume);
}

absl::Status LogEntry(const Json& json, MetricsLogger* logger) {
  const std::vector<int64_t> models = json.at("models");
  MetricsEntry entry;
  entry.step = json.at("step");
  entry.epoch = json.at("epoch");
  entry.models = models;
  for (const auto& [name, values] : json.at("metrics").items()) {
    Column& column = entry.metrics.emplace_back();
    column.name = name;
    for (const std::string text : values) {
      column.values.push_back(std::strtod(text.c_str(), nullptr));
    }
  }
  MB_RETURN_IF_ERROR(logger->Log(entry));
  if (json.at("flush")) MB_RETURN_IF_ERROR(logger->Flush());
  if (json.at("kill")) std::raise(SIGKILL);
  return absl::OkStatus();
}

AttributeValue ValueOf(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  return json.get<std::string>();
}

absl::Status Run(const std::string& kind, const std::string& path,
                 const std::string& script_path) {
  MB_ASSIGN_OR_RETURN(const std::string text, ReadFile(script_path));
  const Json script = Json::parse(text);
  MB_ASSIGN_OR_RETURN(const auto logger, Open(kind, path, script));
  for (const auto& [id, values] : script.at("hyper_parameters").items()) {
    Attributes attributes;
    for (const auto& [name, value] : values.items()) {
      attributes[name] = ValueOf(value);
    }
    MB_RETURN_IF_ERROR(logger->LogHyperParameters(std::stoll(id), attributes));
  }
  for (const Json& entry : script.at("entries")) {
    MB_RETURN_IF_ERROR(LogEntry(entry, logger.get()));
  }
  return logger->Flush();
}

}  // namespace
}  // namespace modelbatch

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: driver csv|jsonl|tensorboard PATH SCRIPT\n");
    return 2;
  }
  const absl::Status status = modelbatch::Run(argv[1], argv[2], argv[3]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
