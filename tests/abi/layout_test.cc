// The plugin ABI's layout on 64-bit Linux (LP64), as numbers: a change of
// c_api.h that would break a plugin built before fails here. A struct that is
// meant to grow gets new lines at its end; no line is ever changed within a
// major version.
#include <cstddef>
#include <cstdint>

#include "gtest/gtest.h"
#include "modelbatch/plugin/c_api.h"

namespace {

static_assert(sizeof(void*) == 8 && sizeof(size_t) == 8, "LP64 only");

#define FIELD(type, field, offset, size)                                     \
  EXPECT_EQ(offsetof(type, field), size_t{offset});                          \
  EXPECT_EQ(sizeof(static_cast<const type*>(nullptr)->field), size_t{size}); \
  EXPECT_EQ(MB_SIZE(type, field), size_t{offset} + size_t{size})
#define SIZE(type, size) EXPECT_EQ(sizeof(type), size_t{size})

TEST(AbiLayout, Version) {
  EXPECT_EQ(MB_ABI_MAJOR, 1);
  EXPECT_EQ(MB_ABI_MINOR, 1);
}

TEST(AbiLayout, HeaderIsFrozen) {
  FIELD(MB_Header, struct_size, 0, 8);
  FIELD(MB_Header, abi_major, 8, 4);
  FIELD(MB_Header, abi_minor, 12, 4);
  FIELD(MB_Header, extensions, 16, 8);
  SIZE(MB_Header, 24);
  FIELD(MB_Extension, struct_size, 0, 8);
  FIELD(MB_Extension, kind, 8, 4);
  FIELD(MB_Extension, next, 16, 8);
  SIZE(MB_Extension, 24);
}

// dlpack.h, version 1.0.
TEST(AbiLayout, DLPack) {
  FIELD(MB_DLPackVersion, major, 0, 4);
  FIELD(MB_DLPackVersion, minor, 4, 4);
  SIZE(MB_DLPackVersion, 8);
  FIELD(MB_DLDevice, device_type, 0, 4);
  FIELD(MB_DLDevice, device_id, 4, 4);
  SIZE(MB_DLDevice, 8);
  FIELD(MB_DLDataType, code, 0, 1);
  FIELD(MB_DLDataType, bits, 1, 1);
  FIELD(MB_DLDataType, lanes, 2, 2);
  SIZE(MB_DLDataType, 4);
  FIELD(MB_DLTensor, data, 0, 8);
  FIELD(MB_DLTensor, device, 8, 8);
  FIELD(MB_DLTensor, ndim, 16, 4);
  FIELD(MB_DLTensor, dtype, 20, 4);
  FIELD(MB_DLTensor, shape, 24, 8);
  FIELD(MB_DLTensor, strides, 32, 8);
  FIELD(MB_DLTensor, byte_offset, 40, 8);
  SIZE(MB_DLTensor, 48);
  FIELD(MB_DLManagedTensor, version, 0, 8);
  FIELD(MB_DLManagedTensor, manager_ctx, 8, 8);
  FIELD(MB_DLManagedTensor, deleter, 16, 8);
  FIELD(MB_DLManagedTensor, flags, 24, 8);
  FIELD(MB_DLManagedTensor, dl_tensor, 32, 48);
  SIZE(MB_DLManagedTensor, 80);
  EXPECT_EQ(MB_DL_CPU, 1);
  EXPECT_EQ(MB_DL_CUDA, 2);
  EXPECT_EQ(MB_DL_CUDA_HOST, 3);
  EXPECT_EQ(MB_DL_INT, 0);
  EXPECT_EQ(MB_DL_UINT, 1);
  EXPECT_EQ(MB_DL_FLOAT, 2);
  EXPECT_EQ(MB_DL_BFLOAT, 4);
}

TEST(AbiLayout, Models) {
  FIELD(MB_NamedValue, name, 0, 8);
  FIELD(MB_NamedValue, type, 8, 4);
  FIELD(MB_NamedValue, reserved, 12, 4);
  FIELD(MB_NamedValue, i, 16, 8);
  FIELD(MB_NamedValue, f, 24, 8);
  FIELD(MB_NamedValue, s, 32, 8);
  FIELD(MB_NamedValue, list, 40, 8);
  FIELD(MB_NamedValue, list_size, 48, 8);
  SIZE(MB_NamedValue, 56);
  FIELD(MB_Operator, name, 0, 8);
  FIELD(MB_Operator, kind, 8, 8);
  FIELD(MB_Operator, inputs, 16, 8);
  FIELD(MB_Operator, num_inputs, 24, 8);
  FIELD(MB_Operator, attributes, 32, 8);
  FIELD(MB_Operator, num_attributes, 40, 8);
  SIZE(MB_Operator, 48);
  FIELD(MB_Model, header, 0, 24);
  FIELD(MB_Model, id, 24, 8);
  FIELD(MB_Model, seed, 32, 8);
  FIELD(MB_Model, input_shape, 40, 8);
  FIELD(MB_Model, input_rank, 48, 8);
  FIELD(MB_Model, operators, 56, 8);
  FIELD(MB_Model, num_operators, 64, 8);
  SIZE(MB_Model, 72);
}

TEST(AbiLayout, Host) {
  FIELD(MB_HostApi, header, 0, 24);
  FIELD(MB_HostApi, host_version, 24, 8);
  FIELD(MB_HostApi, plugin_path, 32, 8);
  FIELD(MB_HostApi, log_context, 40, 8);
  FIELD(MB_HostApi, log, 48, 8);
  SIZE(MB_HostApi, 56);
}

TEST(AbiLayout, Calls) {
  FIELD(MB_ProbeArgs, header, 0, 24);
  FIELD(MB_ProbeArgs, score, 24, 4);
  FIELD(MB_ProbeArgs, device, 32, 8);
  FIELD(MB_ProbeArgs, reason, 40, 8);
  SIZE(MB_ProbeArgs, 48);
  FIELD(MB_BackendCreateArgs, header, 0, 24);
  FIELD(MB_BackendCreateArgs, options, 24, 8);
  FIELD(MB_BackendCreateArgs, num_options, 32, 8);
  FIELD(MB_BackendCreateArgs, backend, 40, 8);
  SIZE(MB_BackendCreateArgs, 48);
  FIELD(MB_CapabilitiesArgs, header, 0, 24);
  FIELD(MB_CapabilitiesArgs, backend, 24, 8);
  FIELD(MB_CapabilitiesArgs, operators, 32, 8);
  FIELD(MB_CapabilitiesArgs, losses, 40, 8);
  FIELD(MB_CapabilitiesArgs, optimizers, 48, 8);
  FIELD(MB_CapabilitiesArgs, precisions, 56, 8);
  FIELD(MB_CapabilitiesArgs, features, 64, 8);
  SIZE(MB_CapabilitiesArgs, 72);
  FIELD(MB_SessionCompileArgs, header, 0, 24);
  FIELD(MB_SessionCompileArgs, backend, 24, 8);
  FIELD(MB_SessionCompileArgs, models, 32, 8);
  FIELD(MB_SessionCompileArgs, num_models, 40, 8);
  FIELD(MB_SessionCompileArgs, loss, 48, 8);
  FIELD(MB_SessionCompileArgs, loss_attributes, 56, 8);
  FIELD(MB_SessionCompileArgs, num_loss_attributes, 64, 8);
  FIELD(MB_SessionCompileArgs, max_rows, 72, 8);
  FIELD(MB_SessionCompileArgs, options, 80, 8);
  FIELD(MB_SessionCompileArgs, num_options, 88, 8);
  FIELD(MB_SessionCompileArgs, session, 96, 8);
  SIZE(MB_SessionCompileArgs, 104);
  FIELD(MB_OptimizerArgs, header, 0, 24);
  FIELD(MB_OptimizerArgs, session, 24, 8);
  FIELD(MB_OptimizerArgs, optimizer, 32, 8);
  SIZE(MB_OptimizerArgs, 40);
  FIELD(MB_StateArgs, header, 0, 24);
  FIELD(MB_StateArgs, session, 24, 8);
  FIELD(MB_StateArgs, model, 32, 8);
  FIELD(MB_StateArgs, slot, 40, 8);
  FIELD(MB_StateArgs, parameter, 48, 8);
  FIELD(MB_StateArgs, tensor, 56, 8);
  SIZE(MB_StateArgs, 64);
  FIELD(MB_StateInfo, slot, 0, 8);
  FIELD(MB_StateInfo, parameter, 8, 8);
  FIELD(MB_StateInfo, dtype, 16, 4);
  FIELD(MB_StateInfo, reserved, 20, 4);
  FIELD(MB_StateInfo, shape, 24, 8);
  FIELD(MB_StateInfo, rank, 32, 8);
  SIZE(MB_StateInfo, 40);
  FIELD(MB_DescribeArgs, header, 0, 24);
  FIELD(MB_DescribeArgs, session, 24, 8);
  FIELD(MB_DescribeArgs, model, 32, 8);
  FIELD(MB_DescribeArgs, states, 40, 8);
  FIELD(MB_DescribeArgs, num_states, 48, 8);
  FIELD(MB_DescribeArgs, output_shape, 56, 8);
  FIELD(MB_DescribeArgs, output_rank, 64, 8);
  SIZE(MB_DescribeArgs, 72);
  FIELD(MB_DatasetCreateArgs, header, 0, 24);
  FIELD(MB_DatasetCreateArgs, backend, 24, 8);
  FIELD(MB_DatasetCreateArgs, features, 32, 8);
  FIELD(MB_DatasetCreateArgs, targets, 40, 8);
  FIELD(MB_DatasetCreateArgs, dataset, 48, 8);
  SIZE(MB_DatasetCreateArgs, 56);
}

TEST(AbiLayout, Steps) {
  FIELD(MB_Rows, rows, 0, 8);
  FIELD(MB_Rows, num_rows, 8, 8);
  FIELD(MB_Rows, offsets, 16, 8);
  SIZE(MB_Rows, 24);
  FIELD(MB_Column, name, 0, 8);
  FIELD(MB_Column, values, 8, 8);
  SIZE(MB_Column, 16);
  FIELD(MB_TrainStepArgs, header, 0, 24);
  FIELD(MB_TrainStepArgs, session, 24, 8);
  FIELD(MB_TrainStepArgs, dataset, 32, 8);
  FIELD(MB_TrainStepArgs, rows, 40, 24);
  FIELD(MB_TrainStepArgs, columns, 64, 8);
  FIELD(MB_TrainStepArgs, num_columns, 72, 8);
  FIELD(MB_TrainStepArgs, active, 80, 8);
  FIELD(MB_TrainStepArgs, flags, 88, 4);
  FIELD(MB_TrainStepArgs, reserved, 92, 4);
  FIELD(MB_TrainStepArgs, losses, 96, 8);
  FIELD(MB_TrainStepArgs, outcomes, 104, 8);
  SIZE(MB_TrainStepArgs, 112);
  FIELD(MB_TrainStepsArgs, header, 0, 24);
  FIELD(MB_TrainStepsArgs, session, 24, 8);
  FIELD(MB_TrainStepsArgs, dataset, 32, 8);
  FIELD(MB_TrainStepsArgs, rows, 40, 8);
  FIELD(MB_TrainStepsArgs, num_steps, 48, 8);
  FIELD(MB_TrainStepsArgs, columns, 56, 8);
  FIELD(MB_TrainStepsArgs, num_columns, 64, 8);
  FIELD(MB_TrainStepsArgs, active, 72, 8);
  FIELD(MB_TrainStepsArgs, losses, 80, 8);
  FIELD(MB_TrainStepsArgs, outcomes, 88, 8);
  FIELD(MB_TrainStepsArgs, num_made, 96, 8);
  SIZE(MB_TrainStepsArgs, 104);
  FIELD(MB_EvaluateArgs, header, 0, 24);
  FIELD(MB_EvaluateArgs, session, 24, 8);
  FIELD(MB_EvaluateArgs, dataset, 32, 8);
  FIELD(MB_EvaluateArgs, rows, 40, 24);
  FIELD(MB_EvaluateArgs, active, 64, 8);
  FIELD(MB_EvaluateArgs, losses, 72, 8);
  FIELD(MB_EvaluateArgs, correct, 80, 8);
  SIZE(MB_EvaluateArgs, 88);
  FIELD(MB_ForwardArgs, header, 0, 24);
  FIELD(MB_ForwardArgs, session, 24, 8);
  FIELD(MB_ForwardArgs, dataset, 32, 8);
  FIELD(MB_ForwardArgs, rows, 40, 24);
  FIELD(MB_ForwardArgs, output_offsets, 64, 8);
  FIELD(MB_ForwardArgs, num_outputs, 72, 8);
  FIELD(MB_ForwardArgs, flags, 80, 4);
  FIELD(MB_ForwardArgs, reserved, 84, 4);
  FIELD(MB_ForwardArgs, outputs, 88, 8);
  SIZE(MB_ForwardArgs, 96);
  FIELD(MB_BackwardArgs, header, 0, 24);
  FIELD(MB_BackwardArgs, session, 24, 8);
  FIELD(MB_BackwardArgs, dataset, 32, 8);
  FIELD(MB_BackwardArgs, rows, 40, 24);
  FIELD(MB_BackwardArgs, active, 64, 8);
  FIELD(MB_BackwardArgs, output_gradients, 72, 8);
  FIELD(MB_BackwardArgs, output_gradient_sizes, 80, 8);
  FIELD(MB_BackwardArgs, outcomes, 88, 8);
  SIZE(MB_BackwardArgs, 96);
  FIELD(MB_UpdateArgs, header, 0, 24);
  FIELD(MB_UpdateArgs, session, 24, 8);
  FIELD(MB_UpdateArgs, columns, 32, 8);
  FIELD(MB_UpdateArgs, num_columns, 40, 8);
  FIELD(MB_UpdateArgs, active, 48, 8);
  FIELD(MB_UpdateArgs, outcomes, 56, 8);
  SIZE(MB_UpdateArgs, 64);
  FIELD(MB_ZeroGradArgs, header, 0, 24);
  FIELD(MB_ZeroGradArgs, session, 24, 8);
  FIELD(MB_ZeroGradArgs, release, 32, 4);
  FIELD(MB_ZeroGradArgs, reserved, 36, 4);
  SIZE(MB_ZeroGradArgs, 40);
  FIELD(MB_SessionStatsArgs, header, 0, 24);
  FIELD(MB_SessionStatsArgs, session, 24, 8);
  FIELD(MB_SessionStatsArgs, state_bytes, 32, 8);
  FIELD(MB_SessionStatsArgs, workspace_bytes, 40, 8);
  FIELD(MB_SessionStatsArgs, plan, 48, 8);
  SIZE(MB_SessionStatsArgs, 56);
  FIELD(MB_TuneChoice, operation, 0, 8);
  FIELD(MB_TuneChoice, choice, 8, 8);
  FIELD(MB_TuneChoice, origin, 16, 8);
  FIELD(MB_TuneChoice, uses, 24, 8);
  FIELD(MB_TuneChoice, candidates, 32, 8);
  FIELD(MB_TuneChoice, default_seconds, 40, 8);
  FIELD(MB_TuneChoice, seconds, 48, 8);
  SIZE(MB_TuneChoice, 56);
  FIELD(MB_TuneArgs, header, 0, 24);
  FIELD(MB_TuneArgs, session, 24, 8);
  FIELD(MB_TuneArgs, options, 32, 8);
  FIELD(MB_TuneArgs, num_options, 40, 8);
  FIELD(MB_TuneArgs, choices, 48, 8);
  FIELD(MB_TuneArgs, num_choices, 56, 8);
  FIELD(MB_TuneArgs, notes, 64, 8);
  FIELD(MB_TuneArgs, seconds, 72, 8);
  SIZE(MB_TuneArgs, 80);
}

TEST(AbiLayout, Table) {
  FIELD(MB_PluginApi, header, 0, 24);
  FIELD(MB_PluginApi, name, 24, 8);
  FIELD(MB_PluginApi, version, 32, 8);
  FIELD(MB_PluginApi, build_id, 40, 8);
  FIELD(MB_PluginApi, sanitizer, 48, 8);
  FIELD(MB_PluginApi, error_code, 56, 8);
  FIELD(MB_PluginApi, error_message, 64, 8);
  FIELD(MB_PluginApi, error_destroy, 72, 8);
  FIELD(MB_PluginApi, plugin_probe, 80, 8);
  FIELD(MB_PluginApi, backend_create, 88, 8);
  FIELD(MB_PluginApi, backend_destroy, 96, 8);
  FIELD(MB_PluginApi, backend_capabilities, 104, 8);
  FIELD(MB_PluginApi, session_compile, 112, 8);
  FIELD(MB_PluginApi, session_destroy, 120, 8);
  FIELD(MB_PluginApi, session_set_optimizer, 128, 8);
  FIELD(MB_PluginApi, session_read_state, 136, 8);
  FIELD(MB_PluginApi, session_write_state, 144, 8);
  FIELD(MB_PluginApi, dataset_create, 152, 8);
  FIELD(MB_PluginApi, dataset_destroy, 160, 8);
  FIELD(MB_PluginApi, session_train_step, 168, 8);
  FIELD(MB_PluginApi, session_evaluate, 176, 8);
  FIELD(MB_PluginApi, session_forward, 184, 8);
  FIELD(MB_PluginApi, session_describe, 192, 8);
  FIELD(MB_PluginApi, session_stats, 200, 8);
  FIELD(MB_PluginApi, session_backward, 208, 8);
  FIELD(MB_PluginApi, session_update, 216, 8);
  FIELD(MB_PluginApi, session_zero_grad, 224, 8);
  FIELD(MB_PluginApi, session_tune, 232, 8);
  FIELD(MB_PluginApi, session_train_steps, 240, 8);
  SIZE(MB_PluginApi, 248);
}

TEST(AbiLayout, Numbers) {
  EXPECT_EQ(MB_VALUE_INT64, 0);
  EXPECT_EQ(MB_VALUE_FLOAT64, 1);
  EXPECT_EQ(MB_VALUE_BOOL, 2);
  EXPECT_EQ(MB_VALUE_STRING, 3);
  EXPECT_EQ(MB_VALUE_INT64_LIST, 4);
  EXPECT_EQ(MB_VALUE_FLOAT64_LIST, 5);
  EXPECT_EQ(MB_VALUE_BYTES, 6);
  EXPECT_EQ(MB_LOG_INFO, 0);
  EXPECT_EQ(MB_LOG_WARNING, 1);
  EXPECT_EQ(MB_LOG_ERROR, 2);
  EXPECT_EQ(MB_STEP_KEEP_GRADIENTS, 1);
  EXPECT_EQ(MB_STEP_NO_UPDATE, 2);
  EXPECT_EQ(MB_STEP_ACCUMULATE, 4);
  EXPECT_EQ(MB_FORWARD_TRAINING, 1);
  EXPECT_EQ(MB_MODEL_STEPPED, 0);
  EXPECT_EQ(MB_MODEL_INACTIVE, 1);
  EXPECT_EQ(MB_MODEL_EMPTY, 2);
  EXPECT_EQ(MB_MODEL_NON_FINITE_LOSS, 3);
  EXPECT_EQ(MB_MODEL_NON_FINITE_GRADIENT, 4);
  EXPECT_STREQ(MB_GET_PLUGIN_API_SYMBOL, "MB_GetPluginApi");
}

// absl/status/status.h's, which are gRPC's.
TEST(AbiLayout, ErrorCodes) {
  EXPECT_EQ(MB_OK, 0);
  EXPECT_EQ(MB_CANCELLED, 1);
  EXPECT_EQ(MB_UNKNOWN, 2);
  EXPECT_EQ(MB_INVALID_ARGUMENT, 3);
  EXPECT_EQ(MB_DEADLINE_EXCEEDED, 4);
  EXPECT_EQ(MB_NOT_FOUND, 5);
  EXPECT_EQ(MB_ALREADY_EXISTS, 6);
  EXPECT_EQ(MB_PERMISSION_DENIED, 7);
  EXPECT_EQ(MB_RESOURCE_EXHAUSTED, 8);
  EXPECT_EQ(MB_FAILED_PRECONDITION, 9);
  EXPECT_EQ(MB_ABORTED, 10);
  EXPECT_EQ(MB_OUT_OF_RANGE, 11);
  EXPECT_EQ(MB_UNIMPLEMENTED, 12);
  EXPECT_EQ(MB_INTERNAL, 13);
  EXPECT_EQ(MB_UNAVAILABLE, 14);
  EXPECT_EQ(MB_DATA_LOSS, 15);
  EXPECT_EQ(MB_UNAUTHENTICATED, 16);
}

}  // namespace
