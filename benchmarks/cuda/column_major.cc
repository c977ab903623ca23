#include "benchmarks/cuda/column_major.h"

namespace modelbatch::benchmarks {

ColumnMajor ToColumnMajor(cuda::Product product, const GemmPlace& place) {
  ColumnMajor out;
  out.m = static_cast<int>(place.n);
  out.n = static_cast<int>(place.m);
  out.k = static_cast<int>(place.k);
  // w is [n, k] in the forward product; dy is [k, m] in the weights'.
  out.transpose_a = product == cuda::Product::kForward;
  out.transpose_b = product == cuda::Product::kWeightGradient;
  out.lda = out.transpose_a ? out.k : out.m;
  out.ldb = out.transpose_b ? out.n : out.k;
  out.ldc = out.m;
  return out;
}

}  // namespace modelbatch::benchmarks
