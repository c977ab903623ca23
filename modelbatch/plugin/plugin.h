// Backends by name:
//
//   auto backend = CreateBackend("cpu", {{"threads", int64_t{2}}});
//
// or, to know what was found and what it says of this machine:
//
//   auto plugin = OpenPlugin("cpu");
//   auto probe = (*plugin)->Probe();
//   auto backend = (*plugin)->CreateBackend();
//
// Thread-safe.
#ifndef MODELBATCH_PLUGIN_PLUGIN_H_
#define MODELBATCH_PLUGIN_PLUGIN_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/plugin/loader.h"

namespace modelbatch {

// `name_or_path`: a backend's name ("cpu"), looked for as search.h says; when
// it has a '/', the path of a shared library; or "auto": the plugin with the
// highest score of all that are found and create a backend here, equal ones by
// name (each is loaded for that, and stays so). The errors of FindPlugin and
// LoadPlugin; FailedPrecondition if the file's plugin has another name than its
// file says, or if "auto" finds none that runs: each with its reason.
absl::StatusOr<std::shared_ptr<Plugin>> OpenPlugin(
    const std::string& name_or_path);

// OpenPlugin and Plugin::CreateBackend in one; "auto" passes over a plugin that
// refuses the options. To choose by what a backend has: choose_backend.h.
absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(
    const std::string& name_or_path, const Attributes& options = {});

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_PLUGIN_H_
