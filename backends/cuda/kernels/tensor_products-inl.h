// The table's entries of one precision on tensor cores: for tf32_products.cu
// and bf16_products.cu.
#ifndef BACKENDS_CUDA_KERNELS_TENSOR_PRODUCTS_INL_H_
#define BACKENDS_CUDA_KERNELS_TENSOR_PRODUCTS_INL_H_

#include <type_traits>

#include "backends/cuda/kernels/kernels.h"
#include "backends/cuda/kernels/tensor_product.cuh"

namespace modelbatch::cuda {

// One precision on tensor cores in the shapes of TileShape. Warps have 32 x 32
// elements where the tile is large, so that 16 loads from shared memory feed 8
// instructions, else what makes two warps of a tile.
template <Precision kPrecision, Product kProduct, typename Args>
void FillTensorProducts(Kernel<Args> (&kernels)[4]) {
  constexpr bool kUpdates = std::is_same_v<Args, UpdatingProductArgs>;
  kernels[0] = {
      kUpdates ? "updating tensor product 64x64" : "tensor product 64x64",
      MODELBATCH_CUDA_FUNCTION(
          Args,
          (MultiplyTensorTiles<kPrecision, kProduct, 64, 64, 32, 32, Args>)),
      128};
  kernels[1] = {
      kUpdates ? "updating tensor product 32x32" : "tensor product 32x32",
      MODELBATCH_CUDA_FUNCTION(
          Args,
          (MultiplyTensorTiles<kPrecision, kProduct, 32, 32, 16, 32, Args>)),
      64};
  kernels[2] = {
      kUpdates ? "updating tensor product 64x16" : "tensor product 64x16",
      MODELBATCH_CUDA_FUNCTION(
          Args,
          (MultiplyTensorTiles<kPrecision, kProduct, 64, 16, 32, 16, Args>)),
      64};
  kernels[3] = {
      kUpdates ? "updating tensor product 16x64" : "tensor product 16x64",
      MODELBATCH_CUDA_FUNCTION(
          Args,
          (MultiplyTensorTiles<kPrecision, kProduct, 16, 64, 16, 32, Args>)),
      64};
}

template <Precision kPrecision>
void FillTensorProducts(Kernels& kernels) {
  auto& products = kernels.products[static_cast<int>(kPrecision)];
  FillTensorProducts<kPrecision, Product::kForward>(products[0]);
  FillTensorProducts<kPrecision, Product::kInputGradient>(products[1]);
  FillTensorProducts<kPrecision, Product::kWeightGradient>(products[2]);
  FillTensorProducts<kPrecision, Product::kWeightGradient>(
      kernels.updating_products[static_cast<int>(kPrecision)]);
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_TENSOR_PRODUCTS_INL_H_
