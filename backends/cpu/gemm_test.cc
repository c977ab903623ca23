// Matrix products are the promised FMA chains, whatever the shape, strides and
// flags; and those chains are as exact as fp32 allows.
#include <libxsmm.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "backends/cpu/kernels.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

// One product with its operands. `transposed` reads a along columns, as the
// weight gradient does.
struct Problem {
  GemmArgs args;
  std::unique_ptr<GuardedFloats> a, b, c, bias, relu_output;
};

struct Shape {
  int64_t m, n, k;
  bool transposed = false, b_padded = false, c_padded = false;
  int64_t extra = 0;  // in the row strides
  bool accumulate = false, bias = false, relu = false, relu_output = false;
};

// A compact operand ends with its last element; a padded one with its last
// row's padding, which is NaN.
std::unique_ptr<GuardedFloats> Operand(Random& random, int64_t rows,
                                       int64_t cols, int64_t ld, bool padded,
                                       bool wild) {
  const int64_t last = padded ? RoundUp(cols, kAlignFloats) : cols;
  auto floats = std::make_unique<GuardedFloats>(
      rows == 0 ? 0 : (rows - 1) * ld + last, kNan);
  const std::vector<float> values =
      wild ? random.Wild(rows * cols) : random.Normals(rows * cols);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      (*floats)[i * ld + j] = values[i * cols + j];
    }
  }
  return floats;
}

Problem Make(Random& random, const Shape& s, bool wild = false) {
  Problem p;
  GemmArgs& g = p.args;
  g.m = s.m, g.n = s.n, g.k = s.k;
  g.accumulate = s.accumulate, g.relu = s.relu;
  g.b_padded = s.b_padded, g.c_padded = s.c_padded;
  const int64_t a_rows = s.transposed ? s.k : s.m;
  const int64_t a_cols = s.transposed ? s.m : s.k;
  const int64_t lda = a_cols + s.extra;
  g.a_row = s.transposed ? 1 : lda;
  g.a_col = s.transposed ? lda : 1;
  const auto stride = [&](bool padded) {
    return padded ? RoundUp(s.n, kAlignFloats) + kAlignFloats * s.extra
                  : s.n + s.extra;
  };
  g.b_row = stride(s.b_padded), g.c_row = stride(s.c_padded);
  p.a = Operand(random, a_rows, a_cols, lda, false, wild);
  p.b = Operand(random, s.k, s.n, g.b_row, s.b_padded, wild);
  p.c = Operand(random, s.m, s.n, g.c_row, s.c_padded, wild);
  g.a = p.a->data(), g.b = p.b->data(), g.c = p.c->data();
  if (s.bias) {
    p.bias = Operand(random, 1, s.n, s.n, false, wild);
    g.bias = p.bias->data();
  }
  if (s.relu_output) {
    p.relu_output = Operand(random, s.m, s.n, g.c_row, s.c_padded, wild);
    g.relu_output = p.relu_output->data();
  }
  return p;
}

// kernels.h, word by word.
std::vector<float> Chains(const GemmArgs& g) {
  std::vector<float> result;
  for (int64_t i = 0; i < g.m; ++i) {
    for (int64_t j = 0; j < g.n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < g.k; ++p) {
        sum =
            std::fma(g.a[i * g.a_row + p * g.a_col], g.b[p * g.b_row + j], sum);
      }
      if (g.accumulate) sum = g.c[i * g.c_row + j] + sum;
      if (g.bias != nullptr) sum += g.bias[j];
      if (g.relu && sum < 0) sum = 0;
      if (g.relu_output != nullptr && g.relu_output[i * g.c_row + j] <= 0) {
        sum = 0;
      }
      result.push_back(sum);
    }
  }
  return result;
}

std::vector<float> Result(const GemmArgs& g) {
  std::vector<float> result;
  for (int64_t i = 0; i < g.m; ++i) {
    for (int64_t j = 0; j < g.n; ++j) result.push_back(g.c[i * g.c_row + j]);
  }
  return result;
}

// What lies between the rows of a compact c stays as it was.
void ExpectGapsUntouched(const GemmArgs& g) {
  if (g.c_padded) return;
  for (int64_t i = 0; i + 1 < g.m; ++i) {
    for (int64_t j = g.n; j < g.c_row; ++j) {
      ASSERT_TRUE(std::isnan(g.c[i * g.c_row + j])) << i << " " << j;
    }
  }
}

std::string Describe(const Shape& s) {
  return "m " + std::to_string(s.m) + " n " + std::to_string(s.n) + " k " +
         std::to_string(s.k) + " transposed " + std::to_string(s.transposed) +
         " b_padded " + std::to_string(s.b_padded) + " c_padded " +
         std::to_string(s.c_padded) + " extra " + std::to_string(s.extra) +
         " accumulate " + std::to_string(s.accumulate) + " bias " +
         std::to_string(s.bias) + " relu " + std::to_string(s.relu) +
         " relu_output " + std::to_string(s.relu_output);
}

Shape RandomShape(Random& random, int64_t largest) {
  Shape s;
  s.m = random.Int(1, largest);
  s.n = random.Int(1, largest);
  s.k = random.Int(0, largest);
  s.transposed = random.Bool();
  s.b_padded = random.Bool();
  s.c_padded = random.Bool();
  s.extra = random.Int(0, 3);
  s.relu_output = random.Bool();
  s.accumulate = random.Bool();
  s.bias = random.Bool();
  s.relu = random.Bool();
  return s;
}

class GemmTest : public EveryTable {
 protected:
  // However the product is cut up.
  void ExpectChains(Random& random, const Shape& s, bool wild = false) {
    Problem p = Make(random, s, wild);
    const std::vector<float> expected = Chains(p.args);
    const std::vector<float> before(p.c->data(), p.c->data() + p.c->size());
    for (const GemmTiling& tiling :
         {GemmTiling{false, true}, GemmTiling{false, false},
          GemmTiling{true, true}, GemmTiling{true, false}}) {
      std::copy(before.begin(), before.end(), p.c->data());
      p.args.tiling = tiling;
      kernels_.gemm(p.args);
      ASSERT_TRUE(SameBits(Result(p.args), expected))
          << Describe(s) << " wide " << tiling.wide << " pack " << tiling.pack;
      ExpectGapsUntouched(p.args);
    }
  }
};

TEST_P(GemmTest, IsTheChainForEverySmallShape) {
  Random random(1);
  for (int64_t m = 1; m <= 20; ++m) {
    for (int64_t n = 1; n <= 34; ++n) {
      Shape s = RandomShape(random, 1);
      s.m = m, s.n = n, s.k = random.Int(0, 20);
      ExpectChains(random, s);
    }
  }
}

TEST_P(GemmTest, IsTheChainForRandomShapes) {
  Random random(2);
  for (int trial = 0; trial < 400; ++trial) {
    ExpectChains(random, RandomShape(random, 70));
  }
}

// Above one block of k, one block of rows.
TEST_P(GemmTest, IsTheChainForLargeShapes) {
  Random random(3);
  for (int64_t k : {255, 256, 257, 511, 513, 784, 1030}) {
    Shape s = RandomShape(random, 40);
    s.k = k;
    ExpectChains(random, s);
  }
  for (int64_t m : {239, 240, 241, 500}) {
    Shape s = RandomShape(random, 20);
    s.m = m, s.k = 300;
    ExpectChains(random, s);
  }
}

TEST_P(GemmTest, IsTheChainForNanInfAndDenormals) {
  Random random(4);
  for (int trial = 0; trial < 200; ++trial) {
    ExpectChains(random, RandomShape(random, 24), /*wild=*/true);
  }
}

TEST_P(GemmTest, AnEmptyChainIsPositiveZero) {
  Random random(5);
  const Problem p = Make(random, {3, 17, 0});
  kernels_.gemm(p.args);
  for (float v : Result(p.args)) {
    EXPECT_EQ(v, 0.0f);
    EXPECT_FALSE(std::signbit(v));
  }
}

TEST_P(GemmTest, ReluKeepsNan) {
  Random random(6);
  Shape s = {5, 20, 4};
  s.relu = true;
  const Problem p = Make(random, s);
  (*p.a)[0] = kNan;
  kernels_.gemm(p.args);
  for (int64_t j = 0; j < s.n; ++j) EXPECT_TRUE(std::isnan(p.args.c[j]));
  EXPECT_FALSE(std::isnan(p.args.c[p.args.c_row]));
}

// Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., (3.5) has
// k eps |A||B|; rounding errors of random sign grow with sqrt(k).
TEST_P(GemmTest, IsAsExactAsFp32Allows) {
  Random random(7);
  for (int64_t k : {10, 64, 256, 784}) {
    const Problem p = Make(random, {33, 47, k});
    const GemmArgs& g = p.args;
    kernels_.gemm(g);
    for (int64_t i = 0; i < g.m; ++i) {
      for (int64_t j = 0; j < g.n; ++j) {
        double sum = 0, magnitude = 0;
        for (int64_t q = 0; q < k; ++q) {
          const double term =
              static_cast<double>(g.a[i * g.a_row + q]) * g.b[q * g.b_row + j];
          sum += term;
          magnitude += std::abs(term);
        }
        const double bound = 0x1p-24 * std::sqrt(k) * magnitude;
        ASSERT_NEAR(g.c[i * g.c_row + j], sum, bound);
      }
    }
  }
}

// An independent implementation that keeps the chain as well, in its kernels
// for AVX2; those for AVX-512 do not. It is column-major: c^T = b^T a^T.
TEST_P(GemmTest, HasTheBitsOfLibxsmm) {
  libxsmm_init();  // else the first dispatch would choose again
  libxsmm_set_target_archid(LIBXSMM_X86_AVX2);
  Random random(8);
  int compared = 0;
  for (int trial = 0; trial < 100; ++trial) {
    Shape s;
    s.m = random.Int(1, 128), s.n = random.Int(1, 128);
    s.k = random.Int(1, 128);
    const Problem p = Make(random, s);
    const GemmArgs& g = p.args;
    const libxsmm_blasint ldb = g.b_row, lda = g.a_row, ldc = g.c_row;
    const float alpha = 1, beta = 0;
    const int flags = LIBXSMM_GEMM_FLAG_NONE, prefetch = LIBXSMM_PREFETCH_NONE;
    const libxsmm_smmfunction theirs = libxsmm_smmdispatch(
        s.n, s.m, s.k, &ldb, &lda, &ldc, &alpha, &beta, &flags, &prefetch);
    if (theirs == nullptr) continue;
    theirs(g.b, g.a, g.c);
    const std::vector<float> expected = Result(g);
    kernels_.gemm(g);
    ASSERT_TRUE(SameBits(Result(g), expected)) << Describe(s);
    ++compared;
  }
  if (compared == 0) GTEST_SKIP() << "libxsmm generates no code here";
}

MODELBATCH_ON_EVERY_TABLE(GemmTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
