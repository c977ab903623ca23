// What is no product of a linear layer, and the losses.
#include "backends/cuda/kernels/columns.cuh"
#include "backends/cuda/kernels/elementwise.cuh"
#include "backends/cuda/kernels/families.h"
#include "backends/cuda/kernels/layer_norm.cuh"
#include "backends/cuda/kernels/loss.cuh"

namespace modelbatch::cuda {

void AddLayers(Kernels& kernels) {
  kernels.apply_activation =
      MODELBATCH_CUDA_KERNEL(UnaryArgs, ApplyActivation, kElementThreads);
  kernels.derive_activation = MODELBATCH_CUDA_KERNEL(
      UnaryBackwardArgs, DeriveActivation, kElementThreads);
  kernels.add_or_copy =
      MODELBATCH_CUDA_KERNEL(AddArgs, AddOrCopy, kElementThreads);
  kernels.dropout =
      MODELBATCH_CUDA_KERNEL(DropoutArgs, ApplyDropout, kElementThreads);
  kernels.pack_rows =
      MODELBATCH_CUDA_KERNEL(PackArgs, PackRows, kElementThreads);
  kernels.unpack_rows =
      MODELBATCH_CUDA_KERNEL(PackArgs, UnpackRows, kElementThreads);
  kernels.look_for_large =
      MODELBATCH_CUDA_KERNEL(LookArgs, LookForLarge, kElementThreads);
  kernels.sum_columns =
      MODELBATCH_CUDA_KERNEL(ColumnSumArgs, SumColumns, kSumThreads);
  kernels.normalize_rows =
      MODELBATCH_CUDA_KERNEL(LayerNormArgs, NormalizeRows, kNormThreads);
  kernels.derive_normalized_rows = MODELBATCH_CUDA_KERNEL(
      LayerNormBackwardArgs, DeriveNormalizedRows, kNormThreads);
  kernels.sum_layer_norm_columns = MODELBATCH_CUDA_KERNEL(
      LayerNormBackwardArgs, SumLayerNormColumns, kSumThreads);
  kernels.cross_entropy =
      MODELBATCH_CUDA_KERNEL(LossArgs, ClassLoss<false>, kLossThreads);
  kernels.nll = MODELBATCH_CUDA_KERNEL(LossArgs, ClassLoss<true>, kLossThreads);
  kernels.mse =
      MODELBATCH_CUDA_KERNEL(LossArgs, MeanLoss<ValueLoss::kMse>, kLossThreads);
  kernels.smooth_l1 = MODELBATCH_CUDA_KERNEL(
      LossArgs, MeanLoss<ValueLoss::kSmoothL1>, kLossThreads);
  kernels.huber = MODELBATCH_CUDA_KERNEL(LossArgs, MeanLoss<ValueLoss::kHuber>,
                                         kLossThreads);
  kernels.bce_with_logits = MODELBATCH_CUDA_KERNEL(
      LossArgs, MeanLoss<ValueLoss::kBceWithLogits>, kLossThreads);
  kernels.add_to_evaluation =
      MODELBATCH_CUDA_KERNEL(EvaluateArgs, AddToEvaluation, kLossThreads);
}

}  // namespace modelbatch::cuda
