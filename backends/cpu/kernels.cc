#include "backends/cpu/kernels.h"

#include <cstring>

#include "backends/cpu/targets.h"

namespace modelbatch::cpu {

bool CpuHasAvx2() {
  static const bool has =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}

const Kernels& GenericKernels() { return generic::Table(); }

const Kernels& BestKernels() {
  return CpuHasAvx2() ? avx2::Table() : generic::Table();
}

const Kernels* FindKernels(const char* name) {
  if (std::strcmp(name, "avx2") == 0) {
    return CpuHasAvx2() ? &avx2::Table() : nullptr;
  }
  if (std::strcmp(name, "generic") == 0) return &generic::Table();
  return nullptr;
}

}  // namespace modelbatch::cpu
