#include "modelbatch/plugin/adapter.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/plugin/abi_call.h"
#include "modelbatch/plugin/abi_models.h"
#include "modelbatch/plugin/header.h"
#include "modelbatch/plugin/named_values.h"
#include "modelbatch/plugin/plugin_handle.h"
#include "modelbatch/plugin/plugin_session.h"
#include "modelbatch/tensor/dlpack.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status CheckNoZeroByte(const std::string& text, const char* what) {
  if (text.find('\0') == std::string::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " has a zero byte"));
}

absl::Status ReadList(const MB_PluginApi& api, const char* const* list,
                      const char* name, std::vector<std::string>* out) {
  if (list == nullptr) {
    return BrokenAbi(api, "backend_capabilities",
                     absl::StrCat(name, " is NULL").c_str());
  }
  for (; *list != nullptr; ++list) out->push_back(*list);
  return absl::OkStatus();
}

absl::StatusOr<Capabilities> ReadCapabilities(const MB_PluginApi& api,
                                              MB_Backend* backend) {
  MB_CapabilitiesArgs args = {};
  args.header = MakeHeader(MB_SIZE(MB_CapabilitiesArgs, features));
  args.backend = backend;
  MB_RETURN_IF_ERROR(
      CallPlugin(api, api.backend_capabilities, "backend_capabilities", &args));
  Capabilities result;
  MB_RETURN_IF_ERROR(
      ReadList(api, args.operators, "operators", &result.operators));
  MB_RETURN_IF_ERROR(ReadList(api, args.losses, "losses", &result.losses));
  MB_RETURN_IF_ERROR(
      ReadList(api, args.optimizers, "optimizers", &result.optimizers));
  MB_RETURN_IF_ERROR(
      ReadList(api, args.precisions, "precisions", &result.precisions));
  MB_RETURN_IF_ERROR(
      ReadList(api, args.features, "features", &result.features));
  return result;
}

// A default-constructed tensor: no targets.
bool IsNoTensor(const Tensor& tensor) {
  return tensor.raw() == nullptr && tensor.shape() == Shape{0};
}

class PluginBackend : public Backend {
 public:
  PluginBackend(std::shared_ptr<PluginHandle> handle, Capabilities capabilities)
      : handle_(std::move(handle)), capabilities_(std::move(capabilities)) {}

  Capabilities capabilities() const override { return capabilities_; }

  absl::StatusOr<std::unique_ptr<Session>> Compile(
      const CompileRequest& request) override {
    if (request.models.empty()) {
      return absl::InvalidArgumentError(
          "no models to compile, expected at least one");
    }
    MB_RETURN_IF_ERROR(CheckCStrings(request.models));
    MB_RETURN_IF_ERROR(CheckNoZeroByte(request.loss.kind, "the loss"));
    MB_RETURN_IF_ERROR(
        CheckCStrings(request.loss.attributes, "loss attributes"));
    MB_RETURN_IF_ERROR(CheckCStrings(request.options, "options"));

    const AbiModels models(request.models);
    const NamedValues loss_attributes(request.loss.attributes);
    const NamedValues options(request.options);
    MB_SessionCompileArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_SessionCompileArgs, session));
    args.backend = handle_->backend;
    args.models = models.data();
    args.num_models = models.size();
    args.loss = request.loss.kind.c_str();
    args.loss_attributes = loss_attributes.data();
    args.num_loss_attributes = loss_attributes.size();
    args.max_rows = request.max_rows;
    args.options = options.data();
    args.num_options = options.size();
    const MB_PluginApi& api = *handle_->api;
    MB_RETURN_IF_ERROR(
        CallPlugin(api, api.session_compile, "session_compile", &args));
    if (args.session == nullptr) {
      return BrokenAbi(api, "session_compile", "session is NULL");
    }
    return MakePluginSession(handle_, args.session, request.models);
  }

  absl::StatusOr<std::unique_ptr<Dataset>> CreateDataset(
      Tensor features, Tensor targets) override {
    MB_DatasetCreateArgs args = {};
    args.header = MakeHeader(MB_SIZE(MB_DatasetCreateArgs, dataset));
    args.backend = handle_->backend;
    // The plugin owns both from here on, also when it fails.
    const bool has_targets = !IsNoTensor(targets);
    args.features = TensorToDLPack(std::move(features));
    if (has_targets) args.targets = TensorToDLPack(std::move(targets));
    const MB_PluginApi& api = *handle_->api;
    MB_RETURN_IF_ERROR(
        CallPlugin(api, api.dataset_create, "dataset_create", &args));
    if (args.dataset == nullptr) {
      return BrokenAbi(api, "dataset_create", "dataset is NULL");
    }
    return std::make_unique<PluginDataset>(handle_, args.dataset);
  }

 private:
  const std::shared_ptr<PluginHandle> handle_;
  const Capabilities capabilities_;
};

}  // namespace

absl::StatusOr<ProbeResult> ProbePlugin(const MB_PluginApi* api) {
  MB_ProbeArgs args = {};
  args.header = MakeHeader(MB_SIZE(MB_ProbeArgs, reason));
  MB_RETURN_IF_ERROR(
      CallPlugin(*api, api->plugin_probe, "plugin_probe", &args));
  if (args.reason == nullptr) {
    return BrokenAbi(*api, "plugin_probe", "reason is NULL");
  }
  if (args.score < 0) {
    return BrokenAbi(*api, "plugin_probe", "score is negative");
  }
  ProbeResult result;
  result.score = args.score;
  result.device = args.device == nullptr ? "" : args.device;
  result.reason = args.reason;
  return result;
}

absl::StatusOr<std::unique_ptr<Backend>> CreatePluginBackend(
    const MB_PluginApi* api, const Attributes& options) {
  MB_RETURN_IF_ERROR(CheckCStrings(options, "options"));
  const NamedValues values(options);
  MB_BackendCreateArgs args = {};
  args.header = MakeHeader(MB_SIZE(MB_BackendCreateArgs, backend));
  args.options = values.data();
  args.num_options = values.size();
  MB_RETURN_IF_ERROR(
      CallPlugin(*api, api->backend_create, "backend_create", &args));
  if (args.backend == nullptr) {
    return BrokenAbi(*api, "backend_create", "backend is NULL");
  }
  auto handle = std::make_shared<PluginHandle>(api, args.backend);
  MB_ASSIGN_OR_RETURN(Capabilities capabilities,
                      ReadCapabilities(*api, handle->backend));
  return std::make_unique<PluginBackend>(std::move(handle),
                                         std::move(capabilities));
}

}  // namespace modelbatch
