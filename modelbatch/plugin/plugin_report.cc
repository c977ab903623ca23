#include "modelbatch/plugin/plugin_report.h"

#include <memory>

#include "modelbatch/plugin/loader.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status Describe(
    const std::string& name,
    const std::function<void(const std::string& stage)>& on_stage,
    PluginReport* report) {
  on_stage("loading");
  MB_ASSIGN_OR_RETURN(const std::shared_ptr<Plugin> plugin,
                      LoadPlugin(report->path, name));
  report->name = plugin->name();
  report->version = plugin->version();
  report->abi = plugin->abi();
  report->build_id = plugin->build_id();
  report->sanitizer = plugin->sanitizer();
  on_stage("plugin_probe");
  MB_ASSIGN_OR_RETURN(report->probe, plugin->Probe());
  if (report->probe.score <= 0) return absl::OkStatus();
  on_stage("backend_create");
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                      plugin->CreateBackend());
  report->capabilities = backend->capabilities();
  on_stage("backend_destroy");
  return absl::OkStatus();
}

}  // namespace

std::string PluginReport::obstacle() const {
  return status.ok() ? probe.reason : std::string(status.message());
}

PluginReport DescribePlugin(
    const std::string& path, const std::string& name,
    const std::function<void(const std::string& stage)>& on_stage) {
  PluginReport report;
  report.name = name;
  report.path = path;
  report.status = Describe(
      name, on_stage ? on_stage : [](const std::string&) {}, &report);
  return report;
}

}  // namespace modelbatch
