#include "backends/libtorch/libtorch_backend.h"
#include "modelbatch/plugin/sdk.h"
#include "modelbatch/util/version.h"

MODELBATCH_PLUGIN("libtorch", modelbatch::kVersion,
                  modelbatch::libtorch::ProbeLibTorch,
                  modelbatch::libtorch::LibTorchBackend::Create)
