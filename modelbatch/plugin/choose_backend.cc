#include "modelbatch/plugin/choose_backend.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/plugin/search.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Why a plugin was not taken: "cuda: 0, no device", "x: 20, lacks relu".
std::string PassedOver(const PluginReport& report, const std::string& why) {
  const std::string score =
      report.status.ok() ? absl::StrCat(report.probe.score, ", ") : "";
  return absl::StrCat(report.name, ": ", score, why);
}

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

}  // namespace

absl::StatusOr<BackendChoice> ChooseBackend(
    std::vector<PluginReport> reports, const Attributes& options,
    const std::function<absl::Status(const PluginReport&)>& fits) {
  std::sort(reports.begin(), reports.end(),
            [](const PluginReport& a, const PluginReport& b) {
              if (a.probe.score != b.probe.score) {
                return a.probe.score > b.probe.score;
              }
              return a.name < b.name;
            });
  BackendChoice choice;
  std::string taken;
  std::vector<std::string> others;
  for (const PluginReport& report : reports) {
    if (!report.can_run()) {
      others.push_back(PassedOver(report, report.obstacle()));
      continue;
    }
    if (choice.backend != nullptr) {
      others.push_back(absl::StrCat(report.name, ": ", report.probe.score));
      continue;
    }
    if (fits != nullptr) {
      if (const absl::Status status = fits(report); !status.ok()) {
        others.push_back(PassedOver(report, Message(status)));
        continue;
      }
    }
    absl::StatusOr<std::shared_ptr<Plugin>> plugin = LoadPlugin(report.path);
    if (!plugin.ok()) {
      others.push_back(PassedOver(report, Message(plugin.status())));
      continue;
    }
    auto backend = (*plugin)->CreateBackend(options);
    if (!backend.ok()) {
      others.push_back(PassedOver(report, Message(backend.status())));
      continue;
    }
    choice.plugin = *std::move(plugin);
    choice.backend = *std::move(backend);
    taken = absl::StrCat(report.name, " (score ", report.probe.score, ": ",
                         report.probe.reason);
  }
  if (choice.backend == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("\"", kAutoBackend, "\": none of the ", reports.size(),
                     " backends that were found can be used:\n  ",
                     absl::StrJoin(others, "\n  ")));
  }
  choice.reason = absl::StrCat(taken, others.empty() ? "" : "; ",
                               absl::StrJoin(others, "; "), ")");
  return choice;
}

absl::StatusOr<std::vector<PluginReport>> DescribeAllPlugins() {
  MB_ASSIGN_OR_RETURN(const std::vector<FoundPlugin> found, FindAllPlugins());
  std::vector<PluginReport> reports;
  for (const FoundPlugin& plugin : found) {
    reports.push_back(DescribePlugin(plugin.path, plugin.name));
  }
  return reports;
}

}  // namespace modelbatch
