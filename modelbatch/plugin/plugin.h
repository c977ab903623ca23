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

// `name_or_path`: a backend's name ("cpu"), looked for as search.h says, or,
// when it has a '/', the path of a shared library. The errors of FindPlugin and
// LoadPlugin; FailedPrecondition if the file's plugin has another name than its
// file says.
absl::StatusOr<std::shared_ptr<Plugin>> OpenPlugin(
    const std::string& name_or_path);

// OpenPlugin and Plugin::CreateBackend in one.
absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(
    const std::string& name_or_path, const Attributes& options = {});

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_PLUGIN_H_
