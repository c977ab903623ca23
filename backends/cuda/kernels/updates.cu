// What happens to gradients, the optimizers, and from a step to the next.
#include <utility>

#include "backends/cuda/kernels/families.h"
#include "backends/cuda/kernels/gradients.cuh"
#include "backends/cuda/kernels/optimizer.cuh"
#include "backends/cuda/kernels/steps.cuh"

namespace modelbatch::cuda {
namespace {

template <int... kOptimizers>
void FillUpdates(Kernel<UpdateArgs> (&kernels)[kNumOptimizers],
                 std::integer_sequence<int, kOptimizers...>) {
  ((kernels[kOptimizers] = {"update",
                            MODELBATCH_CUDA_FUNCTION(
                                UpdateArgs,
                                (UpdateModels<Optimizer{kOptimizers}>)),
                            kStateThreads}),
   ...);
}

}  // namespace

void AddUpdates(Kernels& kernels) {
  kernels.find_non_finite =
      MODELBATCH_CUDA_KERNEL(StateArgs, FindNonFinite, kStateThreads);
  kernels.add_gradients =
      MODELBATCH_CUDA_KERNEL(StateArgs, AddGradients, kStateThreads);
  kernels.copy_gradients =
      MODELBATCH_CUDA_KERNEL(StateArgs, CopyGradients, kStateThreads);
  kernels.clip_elements =
      MODELBATCH_CUDA_KERNEL(ClipArgs, ClipElements, kStateThreads);
  kernels.find_norm_factor =
      MODELBATCH_CUDA_KERNEL(NormArgs, FindNormFactor, kStateThreads);
  kernels.scale_gradients =
      MODELBATCH_CUDA_KERNEL(ScaleArgs, ScaleGradients, kStateThreads);
  FillUpdates(kernels.updates,
              std::make_integer_sequence<int, kNumOptimizers>());
  kernels.advance_steps =
      MODELBATCH_CUDA_KERNEL(AdvanceArgs, AdvanceSteps, kStateThreads);
}

}  // namespace modelbatch::cuda
