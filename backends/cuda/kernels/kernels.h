// The kernels as a device's table: launched by Gpu (gpu.h) with a struct of
// args.h. There are two tables with the same entries: code for CUDA devices,
// and the same sources for the emulator.
#ifndef BACKENDS_CUDA_KERNELS_KERNELS_H_
#define BACKENDS_CUDA_KERNELS_KERNELS_H_

#include "backends/cuda/kernels/args.h"
#include "backends/cuda/kernels/precision.h"

namespace modelbatch::cuda {

template <typename Args>
struct Kernel {
  const char* name = nullptr;
  const void* function = nullptr;
  int threads = 0;  // of a block
};

struct Kernels {
  // By Precision, Product and TileShape.
  Kernel<ProductArgs> products[kNumPrecisions][3][4];
  Kernel<UpdatingProductArgs> updating_products[kNumPrecisions][4];
  Kernel<ProductArgs> wide_product;  // fp32 forward, for all models at once
  Kernel<UnaryArgs> apply_activation;
  Kernel<UnaryBackwardArgs> derive_activation;
  Kernel<AddArgs> add_or_copy;
  Kernel<DropoutArgs> dropout;
  Kernel<PackArgs> pack_rows, unpack_rows;
  Kernel<LookArgs> look_for_large;
  Kernel<ColumnSumArgs> sum_columns;
  Kernel<LayerNormArgs> normalize_rows;
  Kernel<LayerNormBackwardArgs> derive_normalized_rows, sum_layer_norm_columns;
  Kernel<LossArgs> cross_entropy, nll;
  Kernel<LossArgs> mse, smooth_l1, huber, bce_with_logits;
  Kernel<EvaluateArgs> add_to_evaluation;
  Kernel<StateArgs> find_non_finite, add_gradients, copy_gradients;
  Kernel<ClipArgs> clip_elements;
  Kernel<NormArgs> find_norm_factor;
  Kernel<ScaleArgs> scale_gradients;
  Kernel<UpdateArgs> updates[kNumOptimizers];  // by Optimizer
  Kernel<AdvanceArgs> advance_steps;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_KERNELS_H_
