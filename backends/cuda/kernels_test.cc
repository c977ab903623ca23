// The kernels' own corners, beyond what whole steps reach: any bits as input,
// any alignment, lengths of sums around those of a slice, and the numbers that
// the formulas are compiled for one by one.
#include "backends/cpu/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "backends/cpu/targets.h"
#include "backends/cpu/testing.h"
#include "backends/cuda/device_memory.h"
#include "backends/cuda/emulator/emulated_gpu.h"
#include "backends/cuda/kernels/args.h"
#include "backends/cuda/kernels/precision.h"
#include "backends/cuda/schedule/tiles.h"
#include "modelbatch/util/philox.h"

#define MODELBATCH_CPU_ONE_LANE
#include "backends/cpu/math-inl.h"

namespace modelbatch::cuda {
namespace {

using cpu::testing::Random;
using cpu::testing::SameBits;
using emulator::EmulatedGpu;
using emulator::Order;

template <typename T>
DeviceArray<T> OnDevice(EmulatedGpu& gpu, const std::vector<T>& values) {
  DeviceArray<T> array;
  EXPECT_TRUE(array.Allocate(&gpu, static_cast<int64_t>(values.size())).ok());
  EXPECT_TRUE(gpu.Upload(array.data(), values.data(), array.bytes()).ok());
  EXPECT_TRUE(gpu.Synchronize().ok());
  return array;
}

template <typename T>
std::vector<T> ToHost(EmulatedGpu& gpu, const DeviceArray<T>& array) {
  std::vector<T> values(array.size());
  EXPECT_TRUE(gpu.Download(values.data(), array.data(), array.bytes()).ok());
  EXPECT_TRUE(gpu.Synchronize().ok());
  return values;
}

// A group of products on the device, each matrix an allocation's worth apart
// from the others by a few floats of any alignment.
struct Layout {
  std::vector<ProductProblem> problems;
  std::vector<int32_t> rows;
  int64_t a = 0, b = 0, c = 0;
};

int64_t Take(Random& random, int64_t& size, int64_t count) {
  const int64_t offset = size + random.Int(0, 3);
  size = offset + count;
  return offset;
}

class Products : public ::testing::TestWithParam<Product> {};

TEST_P(Products, HaveTheBitsOfTheCpu) {
  const Product product = GetParam();
  const bool weights = product == Product::kWeightGradient;
  const bool forward = product == Product::kForward;
  Random random(static_cast<uint64_t>(product));
  const std::vector<int64_t> depths = {1, 2, 15, 16, 17, 31, 32, 33, 50, 300};
  for (int round = 0; round < 40; ++round) {
    EmulatedGpu gpu({round % 2 == 0 ? Order::kRandom : Order::kDescending,
                     static_cast<uint64_t>(round)});
    const int32_t max_rows = static_cast<int32_t>(random.Int(1, 80));
    Layout layout;
    std::vector<int32_t> index;  // rows of the dataset that each model sees
    std::vector<int64_t> begin;
    const bool indexed =
        !weights && forward ? random.Bool() : weights && random.Bool();
    const int32_t dataset_rows = 50;
    const auto data_width = static_cast<int32_t>(random.Int(1, 70));
    const int models = static_cast<int>(random.Int(1, 4));
    for (int m = 0; m < models; ++m) {
      ProductProblem p;
      p.model = m;
      const auto rows = static_cast<int32_t>(
          m == 1    ? 0
          : weights ? std::min<int64_t>(max_rows, depths[random.Int(0, 9)])
                    : random.Int(1, max_rows));
      layout.rows.push_back(rows);
      begin.push_back(static_cast<int64_t>(index.size()));
      for (int i = 0; i < rows; ++i) {
        index.push_back(static_cast<int32_t>(random.Int(0, dataset_rows - 1)));
      }
      const auto k = static_cast<int32_t>(
          indexed && forward ? data_width : depths[random.Int(0, 9)]);
      const auto n = static_cast<int32_t>(
          indexed && weights ? data_width : random.Int(1, 140));
      p.n = n;
      const auto pad = static_cast<int32_t>(random.Int(0, 4));
      if (weights) {
        p.m = static_cast<int32_t>(random.Int(1, 140));
        p.lda = p.m + pad;
        p.ldb = indexed ? n : n + pad;
        p.ldc = n;
        p.a = Take(random, layout.a, max_rows * p.lda);
        p.b = indexed ? 0 : Take(random, layout.b, max_rows * p.ldb);
        p.c = Take(random, layout.c, int64_t{p.m} * p.ldc);
      } else {
        p.k = k;
        p.lda = indexed ? k : k + pad;
        p.ldb = forward ? k : n;
        p.ldc = n + pad;
        p.a = indexed ? 0 : Take(random, layout.a, max_rows * p.lda);
        p.b = Take(random, layout.b, int64_t{n} * k);
        p.c = Take(random, layout.c, max_rows * p.ldc);
        if (forward && random.Bool()) p.bias = Take(random, layout.b, n);
      }
      layout.problems.push_back(p);
    }
    if (indexed && forward) layout.a = dataset_rows * data_width;
    if (indexed && weights) layout.b = dataset_rows * data_width;
    const std::vector<float> a = random.Wild(layout.a);
    const std::vector<float> b = random.Wild(layout.b);
    std::vector<float> c = random.Wild(layout.c);
    const bool accumulate = product == Product::kInputGradient && random.Bool();
    const bool relu = forward && random.Bool();

    const auto device_a = OnDevice(gpu, a), device_b = OnDevice(gpu, b),
               device_c = OnDevice(gpu, c);
    const auto problems = OnDevice(gpu, layout.problems);
    const auto rows = OnDevice(gpu, layout.rows);
    const auto device_index = OnDevice(gpu, index);
    const auto device_begin = OnDevice(gpu, begin);
    ProductArgs args;
    args.problems = problems.data();
    args.rows = rows.data();
    args.a = device_a.data();
    args.b = device_b.data();
    args.c = device_c.data();
    args.params = device_b.data();
    args.accumulate = accumulate;
    args.activation = relu ? Activation::kRelu : Activation::kNone;
    if (indexed) {
      args.index = device_index.data();
      args.begin = device_begin.data();
    }
    for (const TileList& list :
         CutIntoTiles(product, layout.problems, max_rows)) {
      const auto tiles = OnDevice(gpu, list.tiles);
      args.tiles = tiles.data();
      const absl::Status status =
          gpu.Launch(gpu.kernels().products[static_cast<int>(Precision::kFp32)]
                                           [static_cast<int>(product)]
                                           [static_cast<int>(list.shape)],
                     tiles.size(), args);
      ASSERT_TRUE(status.ok()) << status;
    }

    // The same on the cpu, from gathered rows.
    for (const ProductProblem& p : layout.problems) {
      const int32_t m_rows = layout.rows[p.model];
      if (m_rows == 0) continue;
      const auto gather = [&](const std::vector<float>& from, int64_t offset,
                              int32_t ld, int32_t cols, bool by_index) {
        std::vector<float> out;
        for (int i = 0; i < m_rows; ++i) {
          const int64_t row = by_index ? index[begin[p.model] + i] : i;
          const float* const at = from.data() + offset + row * ld;
          out.insert(out.end(), at, at + cols);
        }
        return out;
      };
      cpu::GemmArgs gemm;
      gemm.n = p.n;
      std::vector<float> left, right;
      if (weights) {
        left = gather(a, p.a, p.lda, p.m, false);
        right = gather(b, p.b, p.ldb, p.n, indexed);
        gemm.m = p.m, gemm.k = m_rows;
        gemm.a_row = 1, gemm.a_col = p.m;
      } else {
        left = gather(a, p.a, p.lda, p.k, indexed);
        gemm.m = m_rows, gemm.k = p.k;
        gemm.a_row = p.k, gemm.a_col = 1;
        for (int64_t e = 0; e < int64_t{p.n} * p.k; ++e) {
          const int64_t j = e % p.n, i = e / p.n;
          right.push_back(b[p.b + (forward ? j * p.k + i : e)]);
        }
      }
      gemm.a = left.data();
      gemm.b = right.data();
      gemm.b_row = p.n;
      gemm.c = c.data() + p.c;
      gemm.c_row = p.ldc;
      gemm.accumulate = accumulate;
      gemm.bias = p.bias >= 0 ? b.data() + p.bias : nullptr;
      gemm.relu = relu;
      cpu::BestKernels().gemm(gemm);
    }
    // What lies between the matrices as well.
    ASSERT_TRUE(SameBits(ToHost(gpu, device_c), c)) << "round " << round;
    ASSERT_TRUE(gpu.CheckGuards().ok());
  }
}

INSTANTIATE_TEST_SUITE_P(All, Products,
                         ::testing::Values(Product::kForward,
                                           Product::kInputGradient,
                                           Product::kWeightGradient));

// Updates in epilogues rest on it: whoever makes a factor notes its model where
// it is not below the limit, and only then.
TEST(LargeFactors, AreNotedWhereTheyAreMade) {
  const float limit = kFactorLimit, below = std::nextafter(limit, 0.0f);
  const float inf = std::numeric_limits<float>::infinity();
  const int32_t rows = 19, cols = 70, models = 2;
  const auto noted = [&](float value, int32_t col, auto launch) {
    EmulatedGpu gpu;
    std::vector<float> w(models * cols, 1.0f);
    w[cols + col] = value;  // of model 1
    const auto device_w = OnDevice(gpu, w);
    const auto large = OnDevice(gpu, std::vector<int32_t>(models, 0));
    const auto device_rows = OnDevice(gpu, std::vector<int32_t>(models, rows));
    launch(gpu, device_w.data(), device_rows.data(), large.data());
    const std::vector<int32_t> found = ToHost(gpu, large);
    EXPECT_EQ(found[0], 0);
    return found[1] != 0;
  };
  // Rows of w, in a launch of their own.
  const auto look = [&](EmulatedGpu& gpu, const float* w, const int32_t*,
                        int32_t* large) {
    const auto one = OnDevice(gpu, std::vector<int32_t>(models, 1));
    const auto places = OnDevice(
        gpu, std::vector<MatrixPlace>{{0, cols, cols}, {cols, cols, cols}});
    LookArgs args;
    args.grid = {one.data(), 1};
    args.x = {w, places.data(), nullptr, nullptr};
    args.large = large;
    ASSERT_TRUE(gpu.Launch(gpu.kernels().look_for_large, models, args).ok());
  };
  // x w^T, or dy w, with x and dy of one column of ones: w, in every row.
  const auto multiply = [&](Precision precision, Product product) {
    return [=](EmulatedGpu& gpu, const float* w, const int32_t* device_rows,
               int32_t* large) {
      std::vector<ProductProblem> problems(models);
      for (int32_t m = 0; m < models; ++m) {
        ProductProblem& p = problems[m];
        p.model = m;
        p.n = cols;
        p.k = 1;
        p.lda = 1;
        p.b = m * cols;
        p.ldb = product == Product::kForward ? 1 : cols;
        p.c = m * rows * cols;
        p.ldc = cols;
      }
      const auto ones = OnDevice(gpu, std::vector<float>(rows, 1.0f));
      const auto c =
          OnDevice(gpu, std::vector<float>(models * rows * cols, 0.0f));
      const auto device_problems = OnDevice(gpu, problems);
      ProductArgs args;
      args.problems = device_problems.data();
      args.rows = device_rows;
      args.a = ones.data();
      args.b = w;
      args.c = c.data();
      args.large = large;
      for (const TileList& list : CutIntoTiles(product, problems, rows)) {
        const auto tiles = OnDevice(gpu, list.tiles);
        args.tiles = tiles.data();
        ASSERT_TRUE(
            gpu.Launch(gpu.kernels().products[static_cast<int>(precision)]
                                             [static_cast<int>(product)]
                                             [static_cast<int>(list.shape)],
                       tiles.size(), args)
                .ok());
      }
    };
  };
  for (const int32_t col : {0, 31, 63, 64, 69}) {
    for (const float value : {limit, -limit, 3e38f, inf, -inf, std::nanf("")}) {
      EXPECT_TRUE(noted(value, col, look)) << value << " at " << col;
    }
    for (const float value : {below, -below, 0.0f}) {
      EXPECT_FALSE(noted(value, col, look)) << value << " at " << col;
    }
    for (const Precision precision :
         {Precision::kFp32, Precision::kTf32, Precision::kBf16}) {
      for (const Product product :
           {Product::kForward, Product::kInputGradient}) {
        const auto launch = multiply(precision, product);
        for (const float value : {limit, -limit, inf, std::nanf("")}) {
          EXPECT_TRUE(noted(value, col, launch)) << value << " at " << col;
        }
        // bf16 and tf32 round the operand.
        for (const float value : {0x1.fep39f, -0x1.fep39f}) {
          EXPECT_FALSE(noted(value, col, launch)) << value << " at " << col;
        }
      }
      if (precision != Precision::kFp32) continue;
      EXPECT_FALSE(noted(below, col, multiply(precision, Product::kForward)));
    }
  }
}

// One number at a time the functions have the bits of the vectors: all
// exponents, both signs, and what is special.
TEST(Formulas, OfOneNumberHaveTheBitsOfTheVectors) {
  const cpu::MathFunctions& math = cpu::generic::Math();
  std::vector<float> x;
  Random random(7);
  for (uint32_t bits = 0; bits < 0xfff00000u; bits += 48271) {
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    x.push_back(value);
  }
  for (const float wild : random.Wild(20000)) x.push_back(wild);
  const auto check = [&](void (*vector)(int64_t, const float*, float*),
                         float (*one)(float), const char* name) {
    std::vector<float> expected(x.size());
    vector(static_cast<int64_t>(x.size()), x.data(), expected.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_TRUE(SameBits(one(x[i]), expected[i])) << name << " " << x[i];
    }
  };
  namespace lane = cpu::lane;
  check(
      math.exp, [](float v) { return lane::Exp(v); }, "exp");
  check(
      math.log, [](float v) { return lane::Log(v); }, "log");
  check(
      math.log1p, [](float v) { return lane::Log1p(v); }, "log1p");
  check(
      math.tanh, [](float v) { return lane::Tanh(v); }, "tanh");
  check(
      math.sigmoid, [](float v) { return lane::Sigmoid(v); }, "sigmoid");
  check(
      math.erf, [](float v) { return lane::Erf(v); }, "erf");
}

// The device's own Philox against Random123's.
TEST(Dropout, DrawsTheMasksOfPhilox) {
  EmulatedGpu gpu;
  const uint64_t seed = 0x123456789abcdef0u;
  const int64_t step = (int64_t{5} << 32) + 77;
  constexpr uint32_t kOp = 9;
  constexpr double kP = 0.37;
  constexpr int kRows = 21, kCols = 13;
  DropoutMask mask;
  mask.key[0] = static_cast<uint32_t>(seed);
  mask.key[1] = static_cast<uint32_t>(seed >> 32);
  mask.op = static_cast<uint32_t>(RandomPurpose::kDropout) << 24 | kOp;
  mask.scale = 2;
  mask.threshold = DropoutThreshold(kP);
  const auto masks = OnDevice(gpu, std::vector<DropoutMask>{mask});
  const auto steps = OnDevice(gpu, std::vector<int64_t>{step});
  const auto rows = OnDevice(gpu, std::vector<int32_t>{kRows});
  const auto places =
      OnDevice(gpu, std::vector<MatrixPlace>{{0, kCols + 3, kCols}});
  const auto x = OnDevice(gpu, std::vector<float>(kRows * (kCols + 3), 1));
  DropoutArgs args;
  args.grid = {rows.data(), 2};
  args.masks = masks.data();
  args.steps = steps.data();
  args.x = {x.data(), places.data(), nullptr, nullptr};
  args.y = {x.data(), places.data()};
  ASSERT_TRUE(gpu.Launch(gpu.kernels().dropout, 2, args).ok());
  const std::vector<float> y = ToHost(gpu, x);
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kCols + 3; ++j) {
      const uint32_t draw =
          PhiloxDraw(seed, RandomPurpose::kDropout, kOp, step, i * kCols + j);
      const float expected = j >= kCols                     ? 1.0f
                             : draw >= DropoutThreshold(kP) ? 2.0f
                                                            : 0.0f;
      ASSERT_EQ(y[i * (kCols + 3) + j], expected) << i << ", " << j;
    }
  }
}

}  // namespace
}  // namespace modelbatch::cuda
