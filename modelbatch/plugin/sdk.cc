#include "modelbatch/plugin/sdk.h"

#include <mutex>
#include <string>
#include <string_view>

#include "modelbatch/plugin/build_id.h"
#include "modelbatch/plugin/header.h"
#include "modelbatch/plugin/sdk_calls.h"
#include "modelbatch/plugin/sdk_error.h"
#include "modelbatch/plugin/sdk_objects.h"
#include "modelbatch/util/logging.h"

namespace modelbatch {
namespace {

// What MB_GetPluginApi was told and made. Never destroyed: the host may call
// until the process ends.
struct Exported {
  std::mutex mutex;  // of `path`
  std::string path;
  std::string build_id;
  PluginDefinition definition = {};
  MB_PluginApi api = {};
};

Exported& GlobalExported() {
  static Exported* const exported = new Exported;
  return *exported;
}

template <typename T>
void Destroy(T* object) {
  try {
    delete object;
  } catch (...) {
    Log(LogSeverity::kError, "a destructor of the backend threw an exception");
  }
}

constexpr char kProbe[] = "plugin_probe";
constexpr char kCreate[] = "backend_create";
constexpr char kCapabilities[] = "backend_capabilities";
constexpr char kCompile[] = "session_compile";
constexpr char kSetOptimizer[] = "session_set_optimizer";
constexpr char kReadState[] = "session_read_state";
constexpr char kWriteState[] = "session_write_state";
constexpr char kDatasetCreate[] = "dataset_create";
constexpr char kTrainStep[] = "session_train_step";
constexpr char kTrainSteps[] = "session_train_steps";
constexpr char kEvaluate[] = "session_evaluate";
constexpr char kForward[] = "session_forward";
constexpr char kDescribe[] = "session_describe";
constexpr char kStats[] = "session_stats";
constexpr char kBackward[] = "session_backward";
constexpr char kUpdate[] = "session_update";
constexpr char kZeroGrad[] = "session_zero_grad";
constexpr char kTune[] = "session_tune";

MB_PluginApi MakeApi(const PluginDefinition& definition, const char* build_id) {
  MB_PluginApi api = {};
  api.header = MakeHeader(MB_SIZE(MB_PluginApi, session_train_steps));
  api.name = definition.name;
  api.version = definition.version;
  api.build_id = build_id;
  api.sanitizer = SanitizerName();
  api.error_code = ErrorCode;
  api.error_message = ErrorMessage;
  api.error_destroy = ErrorDestroy;
  api.plugin_probe = Entry<MB_ProbeArgs, sdk::PluginProbe, kProbe>;
  api.backend_create = Entry<MB_BackendCreateArgs, sdk::BackendCreate, kCreate>;
  api.backend_destroy = Destroy<MB_Backend>;
  api.backend_capabilities =
      Entry<MB_CapabilitiesArgs, sdk::BackendCapabilities, kCapabilities>;
  api.session_compile =
      Entry<MB_SessionCompileArgs, sdk::SessionCompile, kCompile>;
  api.session_destroy = Destroy<MB_Session>;
  api.session_set_optimizer =
      Entry<MB_OptimizerArgs, sdk::SessionSetOptimizer, kSetOptimizer>;
  api.session_read_state =
      Entry<MB_StateArgs, sdk::SessionReadState, kReadState>;
  api.session_write_state =
      Entry<MB_StateArgs, sdk::SessionWriteState, kWriteState>;
  api.dataset_create =
      Entry<MB_DatasetCreateArgs, sdk::DatasetCreate, kDatasetCreate>;
  api.dataset_destroy = Destroy<MB_Dataset>;
  api.session_train_step =
      Entry<MB_TrainStepArgs, sdk::SessionTrainStep, kTrainStep>;
  api.session_evaluate =
      Entry<MB_EvaluateArgs, sdk::SessionEvaluate, kEvaluate>;
  api.session_forward = Entry<MB_ForwardArgs, sdk::SessionForward, kForward>;
  api.session_describe =
      Entry<MB_DescribeArgs, sdk::SessionDescribe, kDescribe>;
  api.session_stats = Entry<MB_SessionStatsArgs, sdk::SessionStats, kStats>;
  api.session_backward =
      Entry<MB_BackwardArgs, sdk::SessionBackward, kBackward>;
  api.session_update = Entry<MB_UpdateArgs, sdk::SessionUpdate, kUpdate>;
  api.session_zero_grad =
      Entry<MB_ZeroGradArgs, sdk::SessionZeroGrad, kZeroGrad>;
  api.session_tune = Entry<MB_TuneArgs, sdk::SessionTune, kTune>;
  api.session_train_steps =
      Entry<MB_TrainStepsArgs, sdk::SessionTrainSteps, kTrainSteps>;
  return api;
}

// Learns where the plugin is and where its messages go. A host of another major
// version is not read: it refuses this plugin when it sees the table.
void ReadHost(const MB_HostApi* host, Exported* exported) {
  if (!CheckHeader(host == nullptr ? nullptr : &host->header,
                   MB_SIZE(MB_HostApi, log), "MB_HostApi")
           .ok()) {
    return;
  }
  if (host->plugin_path != nullptr) exported->path = host->plugin_path;
  if (host->log != nullptr) {
    SetLogSink(LogSeverity::kInfo,
               [log = host->log, context = host->log_context](
                   LogSeverity severity, std::string_view message) {
                 log(context, static_cast<int32_t>(severity),
                     std::string(message).c_str());
               });
  }
}

}  // namespace

const PluginDefinition& sdk::Definition() {
  return GlobalExported().definition;
}

const MB_PluginApi* ExportPlugin(const PluginDefinition& definition,
                                 const MB_HostApi* host) {
  try {
    Exported& exported = GlobalExported();
    const std::lock_guard<std::mutex> lock(exported.mutex);
    ReadHost(host, &exported);
    if (exported.api.header.struct_size == 0) {
      exported.definition = definition;
      exported.build_id = BuildIdOf(reinterpret_cast<const void*>(&MakeApi));
      exported.api = MakeApi(definition, exported.build_id.c_str());
    }
    return &exported.api;
  } catch (...) {
    return nullptr;
  }
}

std::string PluginPath() {
  Exported& exported = GlobalExported();
  const std::lock_guard<std::mutex> lock(exported.mutex);
  return exported.path;
}

}  // namespace modelbatch
