// The backend that a config asks for, with what a run records of it.
#ifndef MODELBATCH_CLI_OPEN_BACKEND_H_
#define MODELBATCH_CLI_OPEN_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/train/run_info.h"

namespace modelbatch {

struct OpenedBackend {
  std::unique_ptr<Backend> backend;
  RunInfo info;
};

// Errors name the config's file, line and key.
absl::StatusOr<OpenedBackend> OpenBackend(const ExperimentConfig& config);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_OPEN_BACKEND_H_
