#include "benchmarks/cuda/precision.h"

namespace modelbatch::benchmarks {

// The numbers are CUDA_R_32F and CUDA_R_16BF of library_types.h,
// CUBLAS_COMPUTE_32F and CUBLAS_COMPUTE_32F_FAST_TF32 of cublas_api.h.
const std::vector<Precision>& Precisions() {
  static const auto* const precisions = new std::vector<Precision>{
      {"fp32", Element::kFloat32, 0, 68, true},
      {"tf32", Element::kFloat32, 0, 77, false},
      {"bf16", Element::kBfloat16, 14, 68, false},
  };
  return *precisions;
}

}  // namespace modelbatch::benchmarks
