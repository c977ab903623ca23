#include "modelbatch/train/run_checkpoint.h"

#include <numeric>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/search/population.h"
#include "modelbatch/train/merge_checkpoints.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// The models of the waves, and between them those of the whole checkpoint.
absl::StatusOr<std::vector<CheckpointPart>> ReadParts(
    const RunFolder& folder, const std::vector<WaveFile>& waves, int models) {
  std::vector<CheckpointPart> parts;
  int next = 0;
  // Read once for each gap: there are few, and each takes it apart.
  const auto fill_until = [&](int end) -> absl::Status {
    if (next < end && folder.HasWholeCheckpoint()) {
      MB_ASSIGN_OR_RETURN(Checkpoint whole,
                          ReadCheckpoint(folder.checkpoint()));
      MB_RETURN_IF_ERROR(CheckIsSliceable(whole));
      if (static_cast<int>(whole.ids.size()) != models) {
        return absl::DataLossError(absl::StrCat(folder.checkpoint(), " has ",
                                                whole.ids.size(),
                                                " models, expected ", models));
      }
      parts.push_back({next, SliceCheckpoint(std::move(whole), next, end)});
    }
    return absl::OkStatus();
  };
  for (const WaveFile& wave : waves) {
    MB_RETURN_IF_ERROR(fill_until(wave.begin));
    MB_ASSIGN_OR_RETURN(Checkpoint checkpoint, ReadCheckpoint(wave.path));
    if (static_cast<int>(checkpoint.ids.size()) != wave.end - wave.begin ||
        wave.end > models) {
      return absl::DataLossError(absl::StrCat(
          wave.path, " has ", checkpoint.ids.size(), " models of a run of ",
          models, ", not those of its name"));
    }
    parts.push_back({wave.begin, std::move(checkpoint)});
    next = wave.end;
  }
  MB_RETURN_IF_ERROR(fill_until(models));
  return parts;
}

}  // namespace

absl::StatusOr<Checkpoint> ReadRunCheckpoint(const RunFolder& folder,
                                             const ExperimentConfig& config) {
  MB_ASSIGN_OR_RETURN(const std::vector<WaveFile> waves, folder.Waves());
  if (waves.empty()) return ReadCheckpoint(folder.checkpoint());
  MB_ASSIGN_OR_RETURN(const Checkpoint any, ReadCheckpoint(waves[0].path));
  MB_ASSIGN_OR_RETURN(const Population population,
                      ExpandPopulation(config, any.input_shape));
  MB_ASSIGN_OR_RETURN(std::vector<CheckpointPart> parts,
                      ReadParts(folder, waves, population.size()));
  return MergeCheckpoints(std::move(parts), population.size(),
                          config.train.epochs);
}

absl::StatusOr<CheckpointOfModel> ReadCheckpointOfModel(
    const RunFolder& folder, const Experiment& experiment, int64_t id) {
  MB_ASSIGN_OR_RETURN(const std::vector<WaveFile> waves, folder.Waves());
  CheckpointOfModel found;
  for (const WaveFile& wave : waves) {
    if (id < wave.begin || id >= wave.end) continue;
    if (wave.end > experiment.population.size()) break;
    std::vector<int> models(wave.end - wave.begin);
    std::iota(models.begin(), models.end(), wave.begin);
    found.experiment = SomeModels(experiment, models);
    MB_ASSIGN_OR_RETURN(found.checkpoint, ReadCheckpoint(wave.path));
    return found;
  }
  if (!waves.empty() && !folder.HasWholeCheckpoint()) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder.path(), ": model ", id,
                     " has not begun: it waits for the models before it"));
  }
  found.experiment = experiment;
  MB_ASSIGN_OR_RETURN(found.checkpoint, ReadCheckpoint(folder.checkpoint()));
  return found;
}

}  // namespace modelbatch
