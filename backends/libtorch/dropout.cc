#include "backends/libtorch/dropout.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace modelbatch::libtorch {

at::Tensor DropoutFactors(const std::vector<cpu::DropoutKey>& keys,
                          int64_t rows, int64_t cols, at::Device device) {
  if (std::all_of(keys.begin(), keys.end(),
                  [](const cpu::DropoutKey& key) { return key.p == 0; })) {
    return at::Tensor();
  }
  const int64_t models = static_cast<int64_t>(keys.size());
  const int64_t ld =
      (cols + cpu::kAlignFloats - 1) / cpu::kAlignFloats * cpu::kAlignFloats;
  at::Tensor factors = at::empty({models, rows, ld}, at::kFloat);
  // Dropout of ones: the same row for all.
  const std::vector<float> ones(ld, 1.0f);
  const cpu::Kernels& kernels = cpu::BestKernels();
  for (int64_t i = 0; i < models; ++i) {
    float* to = factors.mutable_data_ptr<float>() + i * rows * ld;
    kernels.dropout(rows, cols, {ones.data(), 0}, {to, ld}, keys[i],
                    /*accumulate=*/false);
  }
  return factors.narrow(2, 0, cols).to(device);
}

}  // namespace modelbatch::libtorch
