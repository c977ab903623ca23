// The table of kernels (kernels.h), filled by whoever compiles their sources:
// MODELBATCH_CUDA_FUNCTION(args, kernel) makes the pointer that is launched.
#ifndef BACKENDS_CUDA_KERNELS_TABLE_INL_H_
#define BACKENDS_CUDA_KERNELS_TABLE_INL_H_

#include <utility>

#include "backends/cuda/kernels/columns.cuh"
#include "backends/cuda/kernels/elementwise.cuh"
#include "backends/cuda/kernels/gradients.cuh"
#include "backends/cuda/kernels/kernels.h"
#include "backends/cuda/kernels/layer_norm.cuh"
#include "backends/cuda/kernels/loss.cuh"
#include "backends/cuda/kernels/optimizer.cuh"
#include "backends/cuda/kernels/product.cuh"
#include "backends/cuda/kernels/steps.cuh"
#include "backends/cuda/kernels/tensor_product.cuh"

namespace modelbatch::cuda {

// One product in the shapes of TileShape. A thread has 8 x 4 elements where the
// tile is large, so that three loads from shared memory feed 32 FMAs, else 4 x
// 4 so that a block has two warps.
template <Product kProduct>
void FillProducts(Kernel<ProductArgs> (&kernels)[4]) {
  kernels[0] = {"product 64x64",
                MODELBATCH_CUDA_FUNCTION(ProductArgs,
                                         (MultiplyTiles<kProduct, 64, 64, 8>)),
                128};
  kernels[1] = {"product 32x32",
                MODELBATCH_CUDA_FUNCTION(ProductArgs,
                                         (MultiplyTiles<kProduct, 32, 32, 4>)),
                64};
  kernels[2] = {"product 64x16",
                MODELBATCH_CUDA_FUNCTION(ProductArgs,
                                         (MultiplyTiles<kProduct, 64, 16, 4>)),
                64};
  kernels[3] = {"product 16x64",
                MODELBATCH_CUDA_FUNCTION(ProductArgs,
                                         (MultiplyTiles<kProduct, 16, 64, 4>)),
                64};
}

// The same on tensor cores. Warps have 32 x 32 elements where the tile is
// large, so that 16 loads from shared memory feed 8 instructions, else what
// makes two warps of a tile.
template <Precision kPrecision, Product kProduct>
void FillTensorProducts(Kernel<ProductArgs> (&kernels)[4]) {
  kernels[0] = {
      "tensor product 64x64",
      MODELBATCH_CUDA_FUNCTION(
          ProductArgs,
          (MultiplyTensorTiles<kPrecision, kProduct, 64, 64, 32, 32>)),
      128};
  kernels[1] = {
      "tensor product 32x32",
      MODELBATCH_CUDA_FUNCTION(
          ProductArgs,
          (MultiplyTensorTiles<kPrecision, kProduct, 32, 32, 16, 32>)),
      64};
  kernels[2] = {
      "tensor product 64x16",
      MODELBATCH_CUDA_FUNCTION(
          ProductArgs,
          (MultiplyTensorTiles<kPrecision, kProduct, 64, 16, 32, 16>)),
      64};
  kernels[3] = {
      "tensor product 16x64",
      MODELBATCH_CUDA_FUNCTION(
          ProductArgs,
          (MultiplyTensorTiles<kPrecision, kProduct, 16, 64, 16, 32>)),
      64};
}

template <Precision kPrecision>
void FillTensorProducts(Kernel<ProductArgs> (&kernels)[3][4]) {
  FillTensorProducts<kPrecision, Product::kForward>(kernels[0]);
  FillTensorProducts<kPrecision, Product::kInputGradient>(kernels[1]);
  FillTensorProducts<kPrecision, Product::kWeightGradient>(kernels[2]);
}

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

inline Kernels MakeKernels() {
  Kernels k;
  auto& fp32 = k.products[static_cast<int>(Precision::kFp32)];
  FillProducts<Product::kForward>(fp32[0]);
  FillProducts<Product::kInputGradient>(fp32[1]);
  FillProducts<Product::kWeightGradient>(fp32[2]);
  FillTensorProducts<Precision::kTf32>(
      k.products[static_cast<int>(Precision::kTf32)]);
  FillTensorProducts<Precision::kBf16>(
      k.products[static_cast<int>(Precision::kBf16)]);
  k.wide_product = {
      "product wide",
      MODELBATCH_CUDA_FUNCTION(
          ProductArgs, (MultiplyTiles<Product::kForward, 64, 64, 8, true>)),
      128};
#define MODELBATCH_CUDA_KERNEL(args, kernel, threads) \
  {#kernel, MODELBATCH_CUDA_FUNCTION(args, (kernel)), threads}
  k.apply_activation =
      MODELBATCH_CUDA_KERNEL(UnaryArgs, ApplyActivation, kElementThreads);
  k.derive_activation = MODELBATCH_CUDA_KERNEL(
      UnaryBackwardArgs, DeriveActivation, kElementThreads);
  k.add_or_copy = MODELBATCH_CUDA_KERNEL(AddArgs, AddOrCopy, kElementThreads);
  k.dropout =
      MODELBATCH_CUDA_KERNEL(DropoutArgs, ApplyDropout, kElementThreads);
  k.pack_rows = MODELBATCH_CUDA_KERNEL(PackArgs, PackRows, kElementThreads);
  k.unpack_rows = MODELBATCH_CUDA_KERNEL(PackArgs, UnpackRows, kElementThreads);
  k.sum_columns =
      MODELBATCH_CUDA_KERNEL(ColumnSumArgs, SumColumns, kSumThreads);
  k.normalize_rows =
      MODELBATCH_CUDA_KERNEL(LayerNormArgs, NormalizeRows, kNormThreads);
  k.derive_normalized_rows = MODELBATCH_CUDA_KERNEL(
      LayerNormBackwardArgs, DeriveNormalizedRows, kNormThreads);
  k.sum_layer_norm_columns = MODELBATCH_CUDA_KERNEL(
      LayerNormBackwardArgs, SumLayerNormColumns, kSumThreads);
  k.cross_entropy =
      MODELBATCH_CUDA_KERNEL(LossArgs, ClassLoss<false>, kLossThreads);
  k.nll = MODELBATCH_CUDA_KERNEL(LossArgs, ClassLoss<true>, kLossThreads);
  k.mse =
      MODELBATCH_CUDA_KERNEL(LossArgs, MeanLoss<ValueLoss::kMse>, kLossThreads);
  k.smooth_l1 = MODELBATCH_CUDA_KERNEL(LossArgs, MeanLoss<ValueLoss::kSmoothL1>,
                                       kLossThreads);
  k.huber = MODELBATCH_CUDA_KERNEL(LossArgs, MeanLoss<ValueLoss::kHuber>,
                                   kLossThreads);
  k.bce_with_logits = MODELBATCH_CUDA_KERNEL(
      LossArgs, MeanLoss<ValueLoss::kBceWithLogits>, kLossThreads);
  k.add_to_evaluation =
      MODELBATCH_CUDA_KERNEL(EvaluateArgs, AddToEvaluation, kLossThreads);
  k.find_non_finite =
      MODELBATCH_CUDA_KERNEL(StateArgs, FindNonFinite, kStateThreads);
  k.add_gradients =
      MODELBATCH_CUDA_KERNEL(StateArgs, AddGradients, kStateThreads);
  k.copy_gradients =
      MODELBATCH_CUDA_KERNEL(StateArgs, CopyGradients, kStateThreads);
  k.clip_elements =
      MODELBATCH_CUDA_KERNEL(ClipArgs, ClipElements, kStateThreads);
  k.find_norm_factor =
      MODELBATCH_CUDA_KERNEL(NormArgs, FindNormFactor, kStateThreads);
  k.scale_gradients =
      MODELBATCH_CUDA_KERNEL(ScaleArgs, ScaleGradients, kStateThreads);
  k.advance_steps =
      MODELBATCH_CUDA_KERNEL(AdvanceArgs, AdvanceSteps, kStateThreads);
  FillUpdates(k.updates, std::make_integer_sequence<int, kNumOptimizers>());
#undef MODELBATCH_CUDA_KERNEL
  return k;
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_TABLE_INL_H_
