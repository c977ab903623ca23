// Reads an experiment and its data, and writes what the models would be given.
//   dump_data EXPERIMENT.toml TO.safetensors
#include <cstdio>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/util/status_macros.h"

namespace {

absl::Status Dump(const char* from, const char* to) {
  MB_ASSIGN_OR_RETURN(const modelbatch::ExperimentConfig read,
                      modelbatch::LoadExperiment(from));
  MB_ASSIGN_OR_RETURN(const modelbatch::Experiment experiment,
                      modelbatch::PrepareExperiment(read));
  // What a run that is repeated from its resolved config would be given.
  MB_ASSIGN_OR_RETURN(
      modelbatch::ExperimentConfig config,
      modelbatch::ParseExperiment(modelbatch::ExperimentToToml(read),
                                  "/resolved.toml"));
  if (modelbatch::ConfigFingerprint(config) !=
      modelbatch::ConfigFingerprint(read)) {
    return absl::InternalError("the resolved config is another one");
  }
  MB_ASSIGN_OR_RETURN(const modelbatch::Experiment again,
                      modelbatch::PrepareExperiment(config));
  if (again.data_fingerprint != experiment.data_fingerprint) {
    return absl::InternalError("the resolved config has other data");
  }
  return modelbatch::WriteSafetensors(to,
                                      {{"features", &experiment.data->features},
                                       {"targets", &experiment.data->targets}},
                                      {});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: dump_data EXPERIMENT.toml TO.safetensors\n");
    return 2;
  }
  const absl::Status status = Dump(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
