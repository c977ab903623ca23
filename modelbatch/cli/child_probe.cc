#include "modelbatch/cli/child_probe.h"

#include <sstream>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/util/child_process.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

// The child writes lines: {"stage": ...} before each call, and at the end
// {"report": ...}.
using Json = nlohmann::ordered_json;

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json ToJson(const PluginReport& report) {
  const Capabilities& has = report.capabilities;
  return {{"name", report.name},
          {"version", report.version},
          {"abi", report.abi},
          {"build_id", report.build_id},
          {"sanitizer", report.sanitizer},
          {"score", report.probe.score},
          {"device", report.probe.device},
          {"reason", report.probe.reason},
          {"operators", has.operators},
          {"losses", has.losses},
          {"optimizers", has.optimizers},
          {"precisions", has.precisions},
          {"features", has.features},
          {"code", static_cast<int>(report.status.code())},
          {"message", std::string(report.status.message())}};
}

// Throws Json::exception for what ToJson does not write.
void FromJson(const Json& json, PluginReport* report) {
  report->name = json.at("name");
  report->version = json.at("version");
  report->abi = json.at("abi");
  report->build_id = json.at("build_id");
  report->sanitizer = json.at("sanitizer");
  report->probe.score = json.at("score");
  report->probe.device = json.at("device");
  report->probe.reason = json.at("reason");
  Capabilities& has = report->capabilities;
  has.operators = json.at("operators").get<std::vector<std::string>>();
  has.losses = json.at("losses").get<std::vector<std::string>>();
  has.optimizers = json.at("optimizers").get<std::vector<std::string>>();
  has.precisions = json.at("precisions").get<std::vector<std::string>>();
  has.features = json.at("features").get<std::vector<std::string>>();
  report->status =
      absl::Status(static_cast<absl::StatusCode>(json.at("code").get<int>()),
                   json.at("message").get<std::string>());
}

// What the child said: its last stage, and whether it came to a report.
struct Answer {
  std::string stage;
  bool complete = false;
};

Answer ReadAnswer(const std::string& output, PluginReport* report) {
  Answer answer;
  std::istringstream lines(output);
  std::string line;
  while (std::getline(lines, line)) {
    try {
      const Json json = Json::parse(line);
      if (json.contains("report")) {
        FromJson(json["report"], report);
        answer.complete = true;
      } else {
        answer.stage = json.at("stage");
      }
    } catch (const Json::exception&) {
      // A line that was cut off, or a plugin that writes where it should not.
    }
  }
  return answer;
}

// "while it was loaded", "in plugin_probe".
std::string When(const Answer& answer) {
  if (answer.complete) return "at the end of the process";
  if (answer.stage == "loading") return "while it was loaded";
  return absl::StrCat("in ", answer.stage);
}

}  // namespace

PluginReport ProbeInChild(const std::string& path, const std::string& name,
                          int64_t seconds) {
  PluginReport report;
  const absl::StatusOr<ChildOutcome> child =
      RunSelf({kProbeChildCommand, "--", path, name}, seconds);
  Answer answer;
  if (child.ok()) answer = ReadAnswer(child->output, &report);
  if (report.name.empty()) report.name = name;
  report.path = path;
  if (!child.ok()) {
    report.status = child.status();
  } else if (child->timed_out) {
    report.status = absl::DeadlineExceededError(absl::StrCat(
        "it did not answer in ", seconds, " s: stopped ", When(answer)));
  } else if (child->signal != 0) {
    report.status = absl::AbortedError(
        absl::StrCat("it crashed ", When(answer), ": ", child->Describe()));
  } else if (!answer.complete || child->exit_code != 0) {
    report.status = absl::AbortedError(absl::StrCat(
        "it ended the process ", When(answer), ": ", child->Describe()));
  }
  return report;
}

int RunProbeChild(const std::string& path, const std::string& name) {
  if (absl::Status status = BecomeChild(); !status.ok()) {
    return ReportError(status);
  }
  const PluginReport report =
      DescribePlugin(path, name, [](const std::string& stage) {
        WriteToParent(Line({{"stage", stage}}));
      });
  WriteToParent(Line({{"report", ToJson(report)}}));
  return kExitOk;
}

}  // namespace modelbatch
