#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/plugin/header.h"
#include "modelbatch/plugin/named_values.h"
#include "modelbatch/plugin/sdk_calls.h"
#include "modelbatch/plugin/sdk_objects.h"
#include "modelbatch/tensor/dlpack.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::sdk {
namespace {

// A copy that lives as long as the process; the same for equal strings.
const char* Intern(const std::string& text) {
  static auto* const mutex = new std::mutex;
  static auto* const strings = new std::set<std::string>;
  const std::lock_guard<std::mutex> lock(*mutex);
  return strings->insert(text).first->c_str();
}

absl::Status CheckDataset(const Tensor& features, const Tensor* targets) {
  if (features.dtype() != DType::kFloat32 || features.shape().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "features: ", DTypeName(features.dtype()), " of shape ",
        ShapeToString(features.shape()), ", expected float32 [rows, ...]"));
  }
  if (targets == nullptr) return absl::OkStatus();
  const Shape& shape = targets->shape();
  const bool classes = targets->dtype() == DType::kInt64 && shape.size() == 1;
  const bool values = targets->dtype() == DType::kFloat32 && !shape.empty();
  if (!classes && !values) {
    return absl::InvalidArgumentError(
        absl::StrCat("targets: ", DTypeName(targets->dtype()), " of shape ",
                     ShapeToString(shape),
                     ", expected int64 [rows] or float32 [rows, ...]"));
  }
  if (shape[0] != features.shape()[0]) {
    return absl::InvalidArgumentError(
        absl::StrCat("targets: ", shape[0],
                     " rows, expected those of the "
                     "features: ",
                     features.shape()[0]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPointer(const void* pointer, const char* name) {
  if (pointer != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " is NULL"));
}

absl::Status PluginProbe(MB_ProbeArgs* args) {
  MB_SDK_CHECK_ARGS(MB_ProbeArgs, args, reason);
  const ProbeResult result = Definition().probe();
  args->score = result.score;
  args->device = Intern(result.device);
  args->reason = Intern(result.reason);
  return absl::OkStatus();
}

absl::Status BackendCreate(MB_BackendCreateArgs* args) {
  MB_SDK_CHECK_ARGS(MB_BackendCreateArgs, args, backend);
  MB_ASSIGN_OR_RETURN(
      const Attributes options,
      ToAttributes(args->options, args->num_options, "options"));
  MB_ASSIGN_OR_RETURN(std::shared_ptr<Backend> backend,
                      Definition().create(options));
  if (backend == nullptr) {
    return absl::InternalError("the plugin created a null backend");
  }
  Capabilities capabilities = backend->capabilities();
  args->backend = new MB_Backend(std::move(backend), std::move(capabilities));
  return absl::OkStatus();
}

absl::Status BackendCapabilities(MB_CapabilitiesArgs* args) {
  MB_SDK_CHECK_ARGS(MB_CapabilitiesArgs, args, features);
  MB_RETURN_IF_ERROR(CheckPointer(args->backend, "backend"));
  args->operators = args->backend->operators.get();
  args->losses = args->backend->losses.get();
  args->optimizers = args->backend->optimizers.get();
  args->precisions = args->backend->precisions.get();
  args->features = args->backend->features.get();
  return absl::OkStatus();
}

absl::Status DatasetCreate(MB_DatasetCreateArgs* args) {
  MB_RETURN_IF_ERROR(CheckPointer(args, "MB_DatasetCreateArgs"));
  // Both are taken before anything can fail, if the struct has them at all.
  absl::StatusOr<Tensor> features = absl::InvalidArgumentError("");
  absl::StatusOr<Tensor> targets = Tensor();
  if (MB_HAS(args, MB_DatasetCreateArgs, features)) {
    features = TensorFromDLPack(args->features, "features");
  }
  const bool has_targets =
      MB_HAS(args, MB_DatasetCreateArgs, targets) && args->targets != nullptr;
  if (has_targets) targets = TensorFromDLPack(args->targets, "targets");

  MB_SDK_CHECK_ARGS(MB_DatasetCreateArgs, args, dataset);
  MB_RETURN_IF_ERROR(CheckPointer(args->backend, "backend"));
  MB_RETURN_IF_ERROR(features.status());
  MB_RETURN_IF_ERROR(targets.status());
  MB_RETURN_IF_ERROR(
      CheckDataset(*features, has_targets ? &*targets : nullptr));
  const std::shared_ptr<Backend> backend = args->backend->backend;
  MB_ASSIGN_OR_RETURN(
      std::unique_ptr<Dataset> dataset,
      backend->CreateDataset(*std::move(features), *std::move(targets)));
  if (dataset == nullptr) {
    return absl::InternalError("the backend created a null dataset");
  }
  args->dataset = new MB_Dataset{backend, std::move(dataset)};
  return absl::OkStatus();
}

}  // namespace modelbatch::sdk
