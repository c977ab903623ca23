// Compiled for AVX-512: nothing here may run before CpuHasAvx512() was asked.
#define MODELBATCH_CPU_AVX512
#include "backends/cpu/kernels-inl.h"
