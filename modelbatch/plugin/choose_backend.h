// The backend "auto": of the plugins that were found, the one with the highest
// score that can do what is asked.
//
//   MB_ASSIGN_OR_RETURN(BackendChoice choice,
//                       ChooseBackend(reports, {}, fits));
//   std::cout << choice.reason;  // "cpu (score 10: runs on every CPU; cuda: 0,
//                                // no device)"
#ifndef MODELBATCH_PLUGIN_CHOOSE_BACKEND_H_
#define MODELBATCH_PLUGIN_CHOOSE_BACKEND_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/plugin/loader.h"
#include "modelbatch/plugin/plugin_report.h"

namespace modelbatch {

// What a config says in place of a backend's name. A plugin of that name can
// be had by its path only.
inline constexpr char kAutoBackend[] = "auto";

struct BackendChoice {
  std::shared_ptr<Plugin> plugin;
  std::unique_ptr<Backend> backend;  // created with the options
  std::string reason;
};

// Tries them by score, equal ones by name. A plugin is passed over when it
// cannot run, when `fits` (null: anything does) says why it will not do, or
// when it does not create a backend with these options: it may not know them.
// FailedPrecondition when none is left: each with its reason, a line each.
absl::StatusOr<BackendChoice> ChooseBackend(
    std::vector<PluginReport> reports, const Attributes& options,
    const std::function<absl::Status(const PluginReport&)>& fits = nullptr);

// Reports of all plugins that search.h finds, each of which is loaded into this
// process. NotFound, with the folders, when there are none.
absl::StatusOr<std::vector<PluginReport>> DescribeAllPlugins();

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_CHOOSE_BACKEND_H_
