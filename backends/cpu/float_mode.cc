#include <xmmintrin.h>

#include "backends/cpu/kernels.h"

namespace modelbatch::cpu {

// MXCSR as the System V ABI starts a process: round to nearest, denormals kept
// (neither flush-to-zero nor denormals-are-zero), all exceptions masked.
ScopedFloatMode::ScopedFloatMode() : saved_(_mm_getcsr()) {
  constexpr uint32_t kInitial = 0x1F80;
  if (saved_ != kInitial) _mm_setcsr(kInitial);
}

// Not skipped even where nothing was changed: the exception flags may have been
// raised since.
ScopedFloatMode::~ScopedFloatMode() { _mm_setcsr(saved_); }

}  // namespace modelbatch::cpu
