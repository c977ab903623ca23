// Prints the numbers of the rows that a run is tested on, a line each.
//   split_rows RUN/config.resolved.toml
#include <cstdint>
#include <cstdio>
#include <utility>

#include "absl/status/status.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/util/status_macros.h"

namespace {

absl::Status Print(const char* path) {
  MB_ASSIGN_OR_RETURN(modelbatch::ExperimentConfig config,
                      modelbatch::LoadExperiment(path));
  MB_ASSIGN_OR_RETURN(const modelbatch::Experiment experiment,
                      modelbatch::PrepareExperiment(std::move(config)));
  for (const int32_t row : experiment.split.test) std::printf("%d\n", row);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: split_rows CONFIG\n");
    return 2;
  }
  const absl::Status status = Print(argv[1]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
