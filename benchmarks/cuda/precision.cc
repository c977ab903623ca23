#include "benchmarks/cuda/precision.h"

namespace modelbatch::benchmarks {

// The numbers are CUDA_R_32F and CUDA_R_16BF of library_types.h,
// CUBLAS_COMPUTE_32F, _FAST_16BF and _FAST_TF32 of cublas_api.h. Our bf16
// rounds operands that lie in memory as fp32: so does cuBLAS in the last entry.
const std::vector<Precision>& Precisions() {
  static const auto* const precisions = new std::vector<Precision>{
      {"fp32", Element::kFloat32, 0, 68, cuda::Precision::kFp32},
      {"tf32", Element::kFloat32, 0, 77, cuda::Precision::kTf32},
      {"bf16", Element::kBfloat16, 14, 68, {}},
      {"bf16_of_fp32", Element::kFloat32, 0, 75, cuda::Precision::kBf16},
  };
  return *precisions;
}

}  // namespace modelbatch::benchmarks
