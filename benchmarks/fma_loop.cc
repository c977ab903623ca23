#include "benchmarks/fma_loop.h"

namespace modelbatch::benchmarks {

#if defined(__x86_64__)
namespace {

constexpr int kChains = 12, kRepeats = 100;

// In assembly, so that the compiler can neither spill nor merge the chains, and
// needs no flag for the instruction set. Registers hold what they hold: zeros,
// ones or infinities take the same time.
#define MB_FMA(v, c) "vfmadd231ps %%" v "12, %%" v "13, %%" v c "\n"
#define MB_FMA_CHAINS(v)                                                       \
  asm volatile(MB_FMA(v, "0") MB_FMA(v, "1") MB_FMA(v, "2") MB_FMA(v, "3")     \
                   MB_FMA(v, "4") MB_FMA(v, "5") MB_FMA(v, "6") MB_FMA(v, "7") \
                       MB_FMA(v, "8") MB_FMA(v, "9") MB_FMA(v, "10")           \
                           MB_FMA(v, "11")::                                   \
                               : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",       \
                                 "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",       \
                                 "xmm10", "xmm11", "xmm12", "xmm13")

}  // namespace

double RunFmaLoop(int rounds) {
  const bool avx512 = __builtin_cpu_supports("avx512f");
  if (!avx512 && !__builtin_cpu_supports("fma")) return 0;
  for (int round = 0; round < rounds; ++round) {
    // No denormal numbers, which would be slower.
    asm volatile(
        "vxorps %%xmm12, %%xmm12, %%xmm12\n"
        "vxorps %%xmm13, %%xmm13, %%xmm13\n" ::
            : "xmm12", "xmm13");
    if (avx512) {
      for (int i = 0; i < kRepeats; ++i) MB_FMA_CHAINS("zmm");
    } else {
      for (int i = 0; i < kRepeats; ++i) MB_FMA_CHAINS("ymm");
    }
  }
  asm volatile("vzeroupper");
  return 2.0 * (avx512 ? 16 : 8) * kChains * kRepeats * rounds;
}

#undef MB_FMA_CHAINS
#undef MB_FMA
#else
double RunFmaLoop(int) { return 0; }
#endif

}  // namespace modelbatch::benchmarks
