// The calls of the ABI on the plugin side, before their errors and exceptions
// are converted. Each checks its arguments.
#ifndef MODELBATCH_PLUGIN_SDK_CALLS_H_
#define MODELBATCH_PLUGIN_SDK_CALLS_H_

#include "absl/status/status.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/plugin/sdk.h"

namespace modelbatch::sdk {

// sdk.cc. Valid once the plugin was exported.
const PluginDefinition& Definition();

// sdk_backend.cc
absl::Status PluginProbe(MB_ProbeArgs* args);
absl::Status BackendCreate(MB_BackendCreateArgs* args);
absl::Status BackendCapabilities(MB_CapabilitiesArgs* args);
absl::Status DatasetCreate(MB_DatasetCreateArgs* args);

// sdk_session.cc
absl::Status SessionCompile(MB_SessionCompileArgs* args);
absl::Status SessionSetOptimizer(MB_OptimizerArgs* args);
absl::Status SessionReadState(MB_StateArgs* args);
absl::Status SessionWriteState(MB_StateArgs* args);
absl::Status SessionTrainStep(MB_TrainStepArgs* args);
absl::Status SessionTrainSteps(MB_TrainStepsArgs* args);
absl::Status SessionEvaluate(MB_EvaluateArgs* args);
absl::Status SessionForward(MB_ForwardArgs* args);
absl::Status SessionDescribe(MB_DescribeArgs* args);
absl::Status SessionStats(MB_SessionStatsArgs* args);
absl::Status SessionBackward(MB_BackwardArgs* args);
absl::Status SessionUpdate(MB_UpdateArgs* args);
absl::Status SessionZeroGrad(MB_ZeroGradArgs* args);
absl::Status SessionTune(MB_TuneArgs* args);

// InvalidArgument unless `pointer` is there; `name` is the field's.
absl::Status CheckPointer(const void* pointer, const char* name);

}  // namespace modelbatch::sdk

// Checks the header of `args`, which in 1.0 (or the version in which it came)
// ends with `last_field`.
#define MB_SDK_CHECK_ARGS(type, args, last_field)                              \
  MB_RETURN_IF_ERROR(                                                          \
      ::modelbatch::CheckHeader((args) == nullptr ? nullptr : &(args)->header, \
                                MB_SIZE(type, last_field), #type))

#endif  // MODELBATCH_PLUGIN_SDK_CALLS_H_
