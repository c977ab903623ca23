// The portable build of the kernels.
#include "backends/cpu/kernels-inl.h"
