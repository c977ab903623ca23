// A product as BLAS takes it, column by column: the transpose, c^T = b^T a^T.
#ifndef BENCHMARKS_CUDA_COLUMN_MAJOR_H_
#define BENCHMARKS_CUDA_COLUMN_MAJOR_H_

#include "benchmarks/cuda/gemm_case.h"

namespace modelbatch::benchmarks {

// gemm(op_a, op_b, m, n, k, b, lda, a, ldb, c, ldc): BLAS's first matrix is our
// second.
struct ColumnMajor {
  bool transpose_a = false, transpose_b = false;
  int m = 0, n = 0, k = 0;
  int lda = 0, ldb = 0, ldc = 0;
};

ColumnMajor ToColumnMajor(cuda::Product product, const GemmPlace& place);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_COLUMN_MAJOR_H_
