// The precisions in which products are timed: an entry each (precision.cc).
#ifndef BENCHMARKS_CUDA_PRECISION_H_
#define BENCHMARKS_CUDA_PRECISION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "backends/cuda/kernels/precision.h"

namespace modelbatch::benchmarks {

enum class Element { kFloat32, kBfloat16 };

struct Precision {
  const char* name;
  Element element;  // of all three matrices; sums are fp32
  int cublas_type;  // cudaDataType
  int cublas_compute;
  // backends/cuda's of these operands; none: it has no kernels for them.
  std::optional<cuda::Precision> ours;

  int64_t bytes() const { return element == Element::kFloat32 ? 4 : 2; }
};

const std::vector<Precision>& Precisions();

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_PRECISION_H_
