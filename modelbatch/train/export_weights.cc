#include "modelbatch/train/export_weights.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/weight_file.h"
#include "modelbatch/io/atomic_files.h"
#include "modelbatch/io/pytorch_state_dict.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/train/best_models.h"
#include "modelbatch/train/results.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;

std::string FileOf(const std::string& folder, int64_t id, WeightFormat format) {
  return absl::StrCat(
      folder, "/model_", id,
      format == WeightFormat::kPyTorch ? ".pt" : ".safetensors");
}

}  // namespace

absl::Status ExportWeights(const TrainedRun& run,
                           const std::vector<int>& models, WeightFormat format,
                           const std::string& folder) {
  const Population& population = run.experiment.population;
  std::error_code error;
  for (const int model : models) {
    const int64_t id = population.models[model].id;
    MB_RETURN_IF_ERROR(CheckHasWeights(run.experiment, run.state, model));
    const absl::Status fits =
        CheckWeights(run.state.models[model].best, population.layouts[model]);
    if (!fits.ok()) {
      return absl::DataLossError(
          absl::StrCat("the checkpoint's weights of model ", id, ": ",
                       std::string(fits.message())));
    }
    const std::string file = FileOf(folder, id, format);
    if (fs::exists(file, error)) {
      return absl::AlreadyExistsError(
          absl::StrCat(file, " is there already, expected another folder"));
    }
  }
  fs::create_directories(folder, error);
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot create the folder ", folder, ": ", error.message()));
  }
  MB_ASSIGN_OR_RETURN(AtomicFiles files, AtomicFiles::Create(folder));
  for (const int model : models) {
    const ModelRecord& record = run.state.models[model];
    std::vector<NamedTensor> tensors;
    for (const Parameter& parameter : population.layouts[model].parameters) {
      tensors.push_back({parameter.name, &record.best.at(parameter.name)});
    }
    const std::string file =
        FileOf(folder, population.models[model].id, format);
    MB_RETURN_IF_ERROR(
        format == WeightFormat::kPyTorch
            ? WritePyTorchStateDict(file, tensors, &files)
            : WriteSafetensors(
                  file, tensors,
                  WeightsMetadata(run.experiment, run.state, model), &files));
  }
  // All or none: half of the models would stand in the way of another attempt.
  return files.Commit();
}

}  // namespace modelbatch
