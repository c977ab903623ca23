// Compiled with -mavx2 -mfma: nothing here may run before CpuHasAvx2() was
// asked.
#define MODELBATCH_CPU_AVX2
#include "backends/cpu/kernels-inl.h"
