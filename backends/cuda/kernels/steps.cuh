// Between two of several steps that the host submitted together: who goes on,
// and with which counts.
#ifndef BACKENDS_CUDA_KERNELS_STEPS_CUH_
#define BACKENDS_CUDA_KERNELS_STEPS_CUH_

#include "backends/cuda/kernels/device.cuh"

namespace modelbatch::cuda {

// A model that was given rows and did not step takes no further part.
__global__ void __launch_bounds__(kStateThreads)
    AdvanceSteps(AdvanceArgs args) {
  const int64_t model = int64_t{static_cast<int>(blockIdx.x)} * kStateThreads +
                        static_cast<int>(threadIdx.x);
  if (model >= args.models) return;
  const int32_t outcome = args.outcomes[model];
  const bool stepped = Steps(args.outcomes, args.bad, static_cast<int>(model));
  args.next_steps[model] = args.steps[model] + (stepped ? 1 : 0);
  const float product =
      stepped ? args.new_mu_product[model] : args.mu_product[model];
  args.next_mu_product[model] = product;
  // Of a model without parameters, which no block updates.
  args.next_new_mu_product[model] = product;
  if (!stepped && (outcome == kInactive || args.had_rows[model] != 0)) {
    args.next_outcomes[model] = kInactive;
    args.next_rows[model] = 0;
  }
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_STEPS_CUH_
