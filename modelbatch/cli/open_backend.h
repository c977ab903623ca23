// The backend that a config asks for, with what a run records of it.
#ifndef MODELBATCH_CLI_OPEN_BACKEND_H_
#define MODELBATCH_CLI_OPEN_BACKEND_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_info.h"

namespace modelbatch {

struct OpenedBackend {
  std::unique_ptr<Backend> backend;
  RunInfo info;
  // For "auto": what was taken and why, and why not the others.
  std::string choice;
};

// "auto" takes the best that has everything the experiment needs; each plugin
// is asked in a process of its own. Errors name the config's file, line and
// key.
absl::StatusOr<OpenedBackend> OpenBackend(const Experiment& experiment);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_OPEN_BACKEND_H_
