#include "backends/cuda/cuda_plugin.h"
#include "modelbatch/plugin/sdk.h"
#include "modelbatch/util/version.h"

MODELBATCH_PLUGIN("cuda", modelbatch::kVersion, modelbatch::cuda::ProbeCuda,
                  modelbatch::cuda::CreateCuda)
