// What a plugin says, asked in a process of its own: one that crashes, hangs or
// ends the process, at any point from its constructors on, is only reported.
//
//   const PluginReport report = ProbeInChild(path, "cpu", 30);
//   if (!report.status.ok()) std::cerr << report.status.message();
#ifndef MODELBATCH_CLI_CHILD_PROBE_H_
#define MODELBATCH_CLI_CHILD_PROBE_H_

#include <cstdint>
#include <string>

#include "modelbatch/plugin/plugin_report.h"

namespace modelbatch {

// Of the command, hidden: what the child is started with.
inline constexpr char kProbeChildCommand[] = "describe-plugin";
// A driver may take seconds to start.
inline constexpr int64_t kProbeSeconds = 30;

// DescribePlugin in a child. Aborted when the plugin ended the child's process:
// with which signal or exit code, and in which call. DeadlineExceeded when it
// did not answer in `seconds`.
PluginReport ProbeInChild(const std::string& path, const std::string& name,
                          int64_t seconds);

// The child's side: answers its parent and returns the exit code.
int RunProbeChild(const std::string& path, const std::string& name);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_CHILD_PROBE_H_
