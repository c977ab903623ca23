#include "benchmarks/cuda/our_gemm.h"

#include <algorithm>

namespace modelbatch::benchmarks {

using cuda::Product;
using cuda::ProductProblem;

OurGemm MakeOurGemm(const GemmCase& gemm, const GemmGroup& group) {
  const bool weights = gemm.product == Product::kWeightGradient;
  OurGemm out;
  int64_t max_rows = 0;
  for (size_t i = 0; i < group.models.size(); ++i) {
    const GemmPlace& place = group.models[i];
    const int64_t rows = weights ? place.k : place.m;
    max_rows = std::max(max_rows, rows);
    out.rows.push_back(static_cast<int32_t>(rows));
    ProductProblem problem;
    problem.model = static_cast<int32_t>(i);
    problem.n = static_cast<int32_t>(place.n);
    problem.a = place.a;
    problem.b = place.b;
    problem.c = place.c;
    problem.ldc = problem.n;
    if (weights) {
      problem.m = static_cast<int32_t>(place.m);
      problem.lda = problem.m;
      problem.ldb = problem.n;
    } else {
      problem.k = static_cast<int32_t>(place.k);
      problem.lda = problem.k;
      problem.ldb = gemm.product == Product::kForward ? problem.k : problem.n;
    }
    out.problems.push_back(problem);
  }
  out.tiles = cuda::CutIntoTiles(gemm.product, out.problems, max_rows);
  return out;
}

}  // namespace modelbatch::benchmarks
