// What stands before every figure: the product is the right one. Of data that
// all precisions multiply exactly (exact_data.h) some elements of every group
// are computed in integers and must be equal; that the others were written at
// all is for the caller, who fills c with NaN first.
#ifndef BENCHMARKS_CUDA_GEMM_GATE_H_
#define BENCHMARKS_CUDA_GEMM_GATE_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "benchmarks/cuda/gemm_case.h"

namespace modelbatch::benchmarks {

// Seeds of a's and b's data.
inline constexpr uint64_t kSeedOfA = 1, kSeedOfB = 2;

// Element [row, col] of a model's product of exact data, before it is rounded
// to the precision's element.
double ExpectedElement(cuda::Product product, const GemmPlace& place,
                       int64_t row, int64_t col);

// To nearest, ties to even.
float RoundToBfloat16(float value);

// `read` gives the element at an index of c. DataLoss names the first element
// that is not as it should be.
absl::Status CheckProduct(const GemmCase& gemm, const GemmGroup& group,
                          const std::function<float(int64_t)>& read);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_CUDA_GEMM_GATE_H_
