// The products of linear layers in fp32.
#include <type_traits>

#include "backends/cuda/kernels/families.h"
#include "backends/cuda/kernels/product.cuh"

namespace modelbatch::cuda {
namespace {

// One product in the shapes of TileShape. A thread has 8 x 4 elements where the
// tile is large, so that three loads from shared memory feed 32 FMAs, else 4 x
// 4 so that a block has two warps.
template <Product kProduct, typename Args>
void FillProducts(Kernel<Args> (&kernels)[4]) {
  constexpr bool kUpdates = std::is_same_v<Args, UpdatingProductArgs>;
  kernels[0] = {kUpdates ? "updating product 64x64" : "product 64x64",
                MODELBATCH_CUDA_FUNCTION(
                    Args, (MultiplyTiles<kProduct, 64, 64, 8, false, Args>)),
                128};
  kernels[1] = {kUpdates ? "updating product 32x32" : "product 32x32",
                MODELBATCH_CUDA_FUNCTION(
                    Args, (MultiplyTiles<kProduct, 32, 32, 4, false, Args>)),
                64};
  kernels[2] = {kUpdates ? "updating product 64x16" : "product 64x16",
                MODELBATCH_CUDA_FUNCTION(
                    Args, (MultiplyTiles<kProduct, 64, 16, 4, false, Args>)),
                64};
  kernels[3] = {kUpdates ? "updating product 16x64" : "product 16x64",
                MODELBATCH_CUDA_FUNCTION(
                    Args, (MultiplyTiles<kProduct, 16, 64, 4, false, Args>)),
                64};
}

}  // namespace

void AddFp32Products(Kernels& kernels) {
  auto& fp32 = kernels.products[static_cast<int>(Precision::kFp32)];
  FillProducts<Product::kForward>(fp32[0]);
  FillProducts<Product::kInputGradient>(fp32[1]);
  FillProducts<Product::kWeightGradient>(fp32[2]);
  FillProducts<Product::kWeightGradient>(
      kernels.updating_products[static_cast<int>(Precision::kFp32)]);
  kernels.wide_product = {
      "product wide",
      MODELBATCH_CUDA_FUNCTION(
          ProductArgs, (MultiplyTiles<Product::kForward, 64, 64, 8, true>)),
      128};
}

}  // namespace modelbatch::cuda
