// What a plugin says of itself and of this machine, and why it cannot run.
//
//   for (const FoundPlugin& found : ListPlugins()) {
//     const PluginReport report = DescribePlugin(found.path, found.name);
//     if (report.status.ok()) std::cout << report.probe.device;
//   }
//
// DescribePlugin loads the plugin into this process: one that crashes takes the
// process along. The command asks a process of its own for each
// (modelbatch/cli/child_probe.h).
#ifndef MODELBATCH_PLUGIN_PLUGIN_REPORT_H_
#define MODELBATCH_PLUGIN_PLUGIN_REPORT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/probe.h"

namespace modelbatch {

// What could not be asked any more is empty.
struct PluginReport {
  std::string name;  // the plugin's own; as its file is called if unknown
  std::string path;
  std::string version;
  std::string abi;  // "1.0"
  std::string build_id;
  std::string sanitizer;
  ProbeResult probe;
  Capabilities capabilities;
  // OK also where the plugin says that it cannot run here (a score of 0);
  // else the error that ended the inquiry.
  absl::Status status;

  bool can_run() const { return status.ok() && probe.score > 0; }
  // Why not, where it cannot.
  std::string obstacle() const;
};

// Loads the plugin at `path`, probes it and, unless its score is 0, creates a
// backend without options. With a `name`, the plugin must be called so. Says in
// `on_stage`, which may be null, what it is about to do: "loading", ...
PluginReport DescribePlugin(
    const std::string& path, const std::string& name = "",
    const std::function<void(const std::string& stage)>& on_stage = nullptr);

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_PLUGIN_REPORT_H_
