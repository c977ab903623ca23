#include "backends/cpu/kernels.h"

#include <cstring>

#include "backends/cpu/targets.h"

namespace modelbatch::cpu {

bool CpuHasAvx2() {
  static const bool has =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}

bool CpuHasAvx512() {
  static const bool has = CpuHasAvx2() && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq");
  return has;
}

const Kernels& GenericKernels() { return generic::Table(); }

const Kernels& BestKernels() {
  if (CpuHasAvx512()) return avx512::Table();
  return CpuHasAvx2() ? avx2::Table() : generic::Table();
}

const Kernels* FindKernels(const char* name) {
  if (std::strcmp(name, "avx512") == 0) {
    return CpuHasAvx512() ? &avx512::Table() : nullptr;
  }
  if (std::strcmp(name, "avx2") == 0) {
    return CpuHasAvx2() ? &avx2::Table() : nullptr;
  }
  if (std::strcmp(name, "generic") == 0) return &generic::Table();
  return nullptr;
}

}  // namespace modelbatch::cpu
