#include "backends/cpu/cpu_backend.h"
#include "modelbatch/plugin/sdk.h"
#include "modelbatch/util/version.h"

MODELBATCH_PLUGIN("cpu", modelbatch::kVersion, modelbatch::cpu::ProbeCpu,
                  modelbatch::cpu::CpuBackend::Create)
