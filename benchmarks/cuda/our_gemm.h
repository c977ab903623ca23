// A group as the kernels of backends/cuda take it.
//
//   const OurGemm ours = MakeOurGemm(gemm, group);
//   for (const TileList& list : ours.tiles) launch
//       products[precision][product][list.shape] with problems and rows
#ifndef BENCHMARKS_CUDA_OUR_GEMM_H_
#define BENCHMARKS_CUDA_OUR_GEMM_H_

#include <cstdint>
#include <vector>

#include "backends/cuda/schedule/problem.h"
#include "backends/cuda/schedule/tiles.h"
#include "benchmarks/cuda/gemm_case.h"

namespace modelbatch::benchmarks {

struct OurGemm {
  std::vector<cuda::ProductProblem> problems;
  std::vector<int32_t> rows;  // by model
  std::vector<cuda::TileList> tiles;
};

OurGemm MakeOurGemm(const GemmCase& gemm, const GemmGroup& group);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_OUR_GEMM_H_
