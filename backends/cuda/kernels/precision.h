// The precisions that products are computed in. All else is fp32 in each of
// them: activations, biases, losses, sums over rows, parameters, the
// optimizers' state (docs/arithmetic.md has what a precision promises).
#ifndef BACKENDS_CUDA_KERNELS_PRECISION_H_
#define BACKENDS_CUDA_KERNELS_PRECISION_H_

#include <cstdint>

namespace modelbatch::cuda {

enum class Precision : int32_t {
  kFp32,  // one chain of fused multiply-adds: the bits of cpu
  kTf32,  // operands rounded to 11 bits of mantissa, sums in fp32
  kBf16,  // to 8 bits
};
inline constexpr int kNumPrecisions = 3;

// As compile option "precision" has them.
inline constexpr const char* kPrecisionNames[kNumPrecisions] = {"fp32", "tf32",
                                                                "bf16"};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_PRECISION_H_
