// What the benchmark of grouped products counts, checks and asks for, on the
// host: its kernels on the emulator, BLAS's arguments on a loop.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "backends/cuda/emulator/emulated_gpu.h"
#include "benchmarks/cuda/column_major.h"
#include "benchmarks/cuda/exact_data.h"
#include "benchmarks/cuda/gemm_case.h"
#include "benchmarks/cuda/gemm_gate.h"
#include "benchmarks/cuda/our_gemm.h"

namespace modelbatch::benchmarks {
namespace {

using cuda::Product;
using cuda::emulator::EmulatedGpu;

constexpr Product kProducts[] = {Product::kForward, Product::kInputGradient,
                                 Product::kWeightGradient};

GemmCase Small(Product product, bool ragged = true) {
  return {product, &Precisions()[0], 32, 20, 5, ragged};
}

std::vector<float> ExactArray(uint64_t seed, int64_t size) {
  std::vector<float> values;
  for (int64_t i = 0; i < size; ++i) {
    values.push_back(static_cast<float>(ExactUnits(seed, i)) / 128);
  }
  return values;
}

template <typename T>
T* Upload(EmulatedGpu& gpu, const std::vector<T>& values) {
  const auto bytes = static_cast<int64_t>(values.size() * sizeof(T));
  void* const memory = *gpu.Allocate(bytes);
  EXPECT_TRUE(gpu.Upload(memory, values.data(), bytes).ok());
  EXPECT_TRUE(gpu.Synchronize().ok());  // `values` may be a temporary
  return static_cast<T*>(memory);
}

TEST(GemmGrid, HasTheSizesItPromisesAndNoNameTwice) {
  std::set<std::string> names;
  std::set<int64_t> widths, rows;
  std::set<int> models;
  for (const GemmCase& gemm : GemmCases(1e15)) {
    EXPECT_TRUE(names.insert(gemm.Name()).second) << gemm.Name();
    widths.insert(gemm.width);
    rows.insert(gemm.rows);
    models.insert(gemm.models);
    // The gate's condition; a ragged group has some that are longer.
    EXPECT_LE(std::max(gemm.width, gemm.rows), kMostExactTerms);
  }
  EXPECT_EQ(widths, (std::set<int64_t>{64, 128, 256, 512, 1024}));
  EXPECT_EQ(rows, (std::set<int64_t>{32, 128, 512}));
  EXPECT_EQ(models, (std::set<int>{8, 64, 256, 1024}));
}

TEST(GemmGrid, LeavesOutWhatDoesNotFit) {
  const size_t all = GemmCases(1e15).size();
  const std::vector<GemmCase> some = GemmCases(64e6);
  EXPECT_LT(some.size(), all);
  EXPECT_GT(some.size(), 0u);
  for (const GemmCase& gemm : some) {
    EXPECT_LE(MakeGroup(gemm).Bytes(*gemm.precision), 64e6) << gemm.Name();
  }
}

TEST(GemmGroup, CountsFlopAndBytesOfEachMatrixOnce) {
  GemmCase gemm = {Product::kForward, &Precisions()[0], 64, 32, 10, false};
  GemmGroup group = MakeGroup(gemm);
  // 2 m n k; x [32, 64], w [64, 64], y [32, 64], of four bytes.
  EXPECT_EQ(group.Flops(), 10.0 * 2 * 32 * 64 * 64);
  EXPECT_EQ(group.Bytes(*gemm.precision),
            10.0 * 4 * (32 * 64 + 64 * 64 + 32 * 64));
  gemm.product = Product::kWeightGradient;
  EXPECT_EQ(MakeGroup(gemm).Flops(), group.Flops());
  gemm.precision = &Precisions()[2];
  EXPECT_EQ(std::string(gemm.precision->name), "bf16");
  EXPECT_EQ(MakeGroup(gemm).Bytes(*gemm.precision),
            10.0 * 2 * (32 * 64 + 64 * 64 + 32 * 64));
}

TEST(GemmGroup, RaggedModelsDiffer) {
  std::set<int64_t> widths, rows;
  const GemmCase gemm = {Product::kForward, &Precisions()[0], 64, 32, 64, true};
  for (const GemmPlace& place : MakeGroup(gemm).models) {
    widths.insert(place.n);
    rows.insert(place.m);
    EXPECT_EQ(place.n % 8, 0);
  }
  EXPECT_EQ(widths, (std::set<int64_t>{32, 48, 64, 80}));
  EXPECT_GT(rows.size(), 10u);
  EXPECT_GE(*rows.begin(), 16);
  EXPECT_LT(*rows.rbegin(), 48);
}

TEST(ExactData, IsExactInEveryPrecisionAndSumsFitFloats) {
  int least = 0, most = 0;
  for (int64_t i = 0; i < 10000; ++i) {
    const int units = ExactUnits(3, i);
    least = std::min(least, units);
    most = std::max(most, units);
    const float value = static_cast<float>(units) / 128;
    EXPECT_EQ(RoundToBfloat16(value), value);
  }
  EXPECT_EQ(least, -128);
  EXPECT_EQ(most, 127);
  EXPECT_LE(kMostExactTerms * 128 * 128, int64_t{1} << 24);
}

// IEEE 754 in the upper half of a float's bits.
TEST(Gate, RoundsToTheNearestBfloat16) {
  EXPECT_EQ(RoundToBfloat16(1.00390625f), 1.0f);       // a tie: to even
  EXPECT_EQ(RoundToBfloat16(1.01171875f), 1.015625f);  // a tie: to even
  EXPECT_EQ(RoundToBfloat16(1.004f), 1.0078125f);
  EXPECT_EQ(RoundToBfloat16(-3.0f), -3.0f);
}

std::vector<float> RunOurs(const GemmCase& gemm, const GemmGroup& group) {
  EmulatedGpu gpu;
  const OurGemm ours = MakeOurGemm(gemm, group);
  std::vector<float> c(group.c_size, std::numeric_limits<float>::quiet_NaN());
  float* const device_c = Upload(gpu, c);
  cuda::ProductArgs args;
  args.problems = Upload(gpu, ours.problems);
  args.rows = Upload(gpu, ours.rows);
  args.a = Upload(gpu, ExactArray(kSeedOfA, group.a_size));
  args.b = Upload(gpu, ExactArray(kSeedOfB, group.b_size));
  args.c = device_c;
  for (const cuda::TileList& list : ours.tiles) {
    args.tiles = Upload(gpu, list.tiles);
    const absl::Status status = gpu.Launch(
        gpu.kernels().products[static_cast<int>(*gemm.precision->ours)]
                              [static_cast<int>(gemm.product)]
                              [static_cast<int>(list.shape)],
        static_cast<int64_t>(list.tiles.size()), args);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_TRUE(gpu.Download(c.data(), device_c,
                           static_cast<int64_t>(c.size() * sizeof(float)))
                  .ok());
  EXPECT_TRUE(gpu.Synchronize().ok());
  EXPECT_TRUE(gpu.CheckGuards().ok());
  return c;
}

TEST(Gate, PassesTheKernelsAndEveryElementIsWritten) {
  int precisions = 0;
  for (const Precision& precision : Precisions()) {
    if (!precision.ours) continue;
    ++precisions;
    for (const Product product : kProducts) {
      for (const bool ragged : {false, true}) {
        GemmCase gemm = Small(product, ragged);
        gemm.precision = &precision;
        const GemmGroup group = MakeGroup(gemm);
        const std::vector<float> c = RunOurs(gemm, group);
        const absl::Status status =
            CheckProduct(gemm, group, [&](int64_t index) { return c[index]; });
        EXPECT_TRUE(status.ok()) << gemm.Name() << ": " << status;
        for (const float value : c) ASSERT_TRUE(std::isfinite(value));
      }
    }
  }
  EXPECT_EQ(precisions, cuda::kNumPrecisions);
}

// What BLAS would do with the arguments.
std::vector<float> RunBlas(const GemmCase& gemm, const GemmGroup& group,
                           int64_t terms_left_out = 0) {
  const std::vector<float> a = ExactArray(kSeedOfA, group.a_size);
  const std::vector<float> b = ExactArray(kSeedOfB, group.b_size);
  std::vector<float> c(group.c_size);
  for (const GemmPlace& place : group.models) {
    const ColumnMajor blas = ToColumnMajor(gemm.product, place);
    for (int col = 0; col < blas.n; ++col) {
      for (int row = 0; row < blas.m; ++row) {
        float sum = 0;
        for (int k = 0; k < blas.k - terms_left_out; ++k) {
          const int64_t first = blas.transpose_a ? int64_t{row} * blas.lda + k
                                                 : int64_t{k} * blas.lda + row;
          const int64_t second = blas.transpose_b ? int64_t{k} * blas.ldb + col
                                                  : int64_t{col} * blas.ldb + k;
          sum += b[place.b + first] * a[place.a + second];
        }
        c[place.c + int64_t{col} * blas.ldc + row] = sum;
      }
    }
  }
  return c;
}

TEST(ColumnMajor, IsTheSameProduct) {
  for (const Product product : kProducts) {
    const GemmCase gemm = Small(product);
    const GemmGroup group = MakeGroup(gemm);
    const std::vector<float> c = RunBlas(gemm, group);
    const absl::Status status =
        CheckProduct(gemm, group, [&](int64_t index) { return c[index]; });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(c, RunOurs(gemm, group));
  }
}

TEST(Gate, RefusesAProductThatLacksATerm) {
  for (const Product product : kProducts) {
    const GemmCase gemm = Small(product);
    const GemmGroup group = MakeGroup(gemm);
    const std::vector<float> c = RunBlas(gemm, group, 1);
    const absl::Status status =
        CheckProduct(gemm, group, [&](int64_t index) { return c[index]; });
    EXPECT_TRUE(absl::IsDataLoss(status));
    EXPECT_NE(std::string(status.message()).find("model 0 has"),
              std::string::npos)
        << status;
  }
}

TEST(Gate, RefusesTheLastModelsProductAlone) {
  const GemmCase gemm = Small(Product::kForward);
  const GemmGroup group = MakeGroup(gemm);
  std::vector<float> c = RunBlas(gemm, group);
  for (size_t i = group.models.back().c; i < c.size(); ++i) c[i] = 0;
  EXPECT_TRUE(absl::IsDataLoss(
      CheckProduct(gemm, group, [&](int64_t index) { return c[index]; })));
}

}  // namespace
}  // namespace modelbatch::benchmarks
