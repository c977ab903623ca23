// The dropout masks that every backend uses (docs/operators.md), as factors.
#ifndef BACKENDS_LIBTORCH_DROPOUT_H_
#define BACKENDS_LIBTORCH_DROPOUT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "backends/cpu/kernels.h"

namespace modelbatch::libtorch {

// [n, rows, cols], one mask a key: 0 where an element is dropped, 1 / (1 - p)
// where it is kept; undefined when nothing is dropped for any key. Generated on
// the CPU, then copied to `device`.
at::Tensor DropoutFactors(const std::vector<cpu::DropoutKey>& keys,
                          int64_t rows, int64_t cols, at::Device device);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_DROPOUT_H_
