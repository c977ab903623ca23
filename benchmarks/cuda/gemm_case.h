// The grid of grouped products that cuda_gemm_benchmark times: one product of a
// linear layer of N models.
#ifndef BENCHMARKS_CUDA_GEMM_CASE_H_
#define BENCHMARKS_CUDA_GEMM_CASE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "backends/cuda/schedule/problem.h"
#include "benchmarks/cuda/precision.h"

namespace modelbatch::benchmarks {

// c[m, n] = sum over k, of one model, and where its matrices lie in those of
// all models, in elements. Compact, row-major.
struct GemmPlace {
  int64_t m, n, k;
  int64_t a, b, c;
};

struct GemmCase {
  cuda::Product product = cuda::Product::kForward;
  const Precision* precision = nullptr;
  int64_t width = 0;  // of both sides of the layer
  int64_t rows = 0;
  int models = 0;
  // Each model's own width, from width / 2 to 5 / 4 of it, and rows, from half
  // to one and a half.
  bool ragged = false;

  std::string Name() const;  // "forward/fp32/width:64/rows:32/models:8/uniform"
};

// A case with its sizes.
struct GemmGroup {
  std::vector<GemmPlace> models;
  int64_t a_size = 0, b_size = 0, c_size = 0;  // elements

  double Flops() const;
  // Each matrix moved once.
  double Bytes(const Precision& precision) const;
};
GemmGroup MakeGroup(const GemmCase& gemm);

// All cases whose matrices take at most `most_bytes`.
std::vector<GemmCase> GemmCases(double most_bytes);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_GEMM_CASE_H_
