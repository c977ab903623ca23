// ModelBatch: the models' weights as files.
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/batch/model_batch_internal.h"
#include "modelbatch/batch/weight_file.h"
#include "modelbatch/io/pytorch_state_dict.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {

using batch_internal::InModel;

namespace {

constexpr char kParam[] = "param";

std::string FileOf(const std::string& folder, int model) {
  return absl::StrCat(folder, "/model_", model, ".pt");
}

}  // namespace

absl::Status ModelBatch::SaveAll(const std::string& path) {
  if (mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    const int error = errno;
    return absl::Status(error == ENOENT ? absl::StatusCode::kNotFound
                                        : absl::StatusCode::kPermissionDenied,
                        absl::StrCat("cannot make the folder ", path, ": ",
                                     std::strerror(error)));
  }
  for (int i = 0; i < num_models(); ++i) {
    if (removed(i)) continue;
    std::vector<Tensor> values;
    for (const Parameter& parameter : layouts_[i].parameters) {
      MB_ASSIGN_OR_RETURN(
          Tensor value,
          session_->ReadState(slots_.slot(i), kParam, parameter.name));
      values.push_back(std::move(value));
    }
    std::vector<NamedTensor> named;
    for (size_t p = 0; p < values.size(); ++p) {
      named.push_back({layouts_[i].parameters[p].name, &values[p]});
    }
    MB_RETURN_IF_ERROR(WritePyTorchStateDict(FileOf(path, i), named));
  }
  return absl::OkStatus();
}

absl::Status ModelBatch::LoadAll(const std::string& path) {
  // All files are read and checked before anything changes.
  std::vector<Weights> weights(num_models());
  for (int i = 0; i < num_models(); ++i) {
    if (removed(i)) continue;
    const std::string file = FileOf(path, i);
    const auto in_file = [&](const std::string& message) {
      return InModel(models_[i], absl::InvalidArgumentError(
                                     absl::StrCat(file, ": ", message)));
    };
    absl::StatusOr<Weights> read = ReadWeights(file);
    if (!read.ok()) return InModel(models_[i], read.status());
    const absl::Status fits = CheckWeights(*read, layouts_[i]);
    if (!fits.ok()) return in_file(std::string(fits.message()));
    weights[i] = *std::move(read);
  }
  WeightsChanged();
  for (int i = 0; i < num_models(); ++i) {
    for (const auto& [name, value] : weights[i]) {
      MB_RETURN_IF_ERROR(
          session_->WriteState(slots_.slot(i), kParam, name, value));
    }
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
