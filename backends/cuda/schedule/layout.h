// Where a model's activations and their gradients lie in the workspace. Buffers
// that are never in use at the same time share memory.
#ifndef BACKENDS_CUDA_SCHEDULE_LAYOUT_H_
#define BACKENDS_CUDA_SCHEDULE_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "backends/cuda/schedule/fusion.h"
#include "backends/cuda/schedule/problem.h"
#include "backends/grouped/plan.h"

namespace modelbatch::cuda {

// Rows start at multiples of 16 bytes, the widest access of a thread; buffers
// at multiples of 128, a line of the L2 cache.
inline constexpr int64_t kRowAlign = 4;
inline constexpr int64_t kBufferAlign = 32;

struct ModelLayout {
  // By ValueId. Values that are the dataset's rows have offset 0 and its
  // stride; what is never in use has no columns.
  std::vector<MatrixPlace> values, gradients;
  std::vector<int64_t> stats;  // by operation: mean[max_rows], rstd[max_rows]
  int64_t end = 0;             // of the model's part of the workspace
};

// From `begin` on. A function of the model's own shape and of max_rows.
ModelLayout LayOut(const grouped::Plan& plan, const grouped::ModelPlan& model,
                   const BufferLifetimes& lifetimes, int64_t begin);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_SCHEDULE_LAYOUT_H_
