// The emulated tensor cores against a product in double of operands that were
// rounded by another formula, with the fragments as CUTLASS states them
// (include/cute/atom/mma_traits_sm80.hpp): as strides, where the emulator has
// the tables of the PTX ISA.
#include "backends/cuda/emulator/mma.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "backends/cuda/emulator/block_runner.h"
#include "backends/cuda/testing/rounding.h"

namespace modelbatch::cuda::emulator {
namespace {

using cuda::testing::RoundedTo;
using ::testing::HasSubstr;

constexpr int kLanes = 32;
constexpr float kInf = std::numeric_limits<float>::infinity();

float FloatOf(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// Powers of two, halves between two numbers of either format, any.
std::vector<float> Samples() {
  std::mt19937 random(3);
  std::vector<float> samples = {0.0f,        1.0f,           1.00390625f,
                                1.01171875f, 1.00048828125f, 1.00146484375f};
  for (int i = 0; i < 20000; ++i) {
    const uint32_t kept = random() & 0x807fffffu;
    const uint32_t exponent = (100 + random() % 56) << 23;
    const uint32_t tail = i % 3 == 0 ? 0x8000u : i % 3 == 1 ? 0x1000u : 0u;
    const uint32_t mask = i % 3 == 0   ? 0xffff0000u
                          : i % 3 == 1 ? 0xffffe000u
                                       : 0xffffffffu;
    samples.push_back(FloatOf((kept & mask) | exponent | tail));
  }
  return samples;
}

TEST(ToTf32, RoundsToElevenBitsTiesAwayFromZero) {
  for (const float x : Samples()) {
    ASSERT_EQ(FloatOf(ToTf32(x)), RoundedTo(Precision::kTf32, x)) << x;
  }
}

TEST(ToBf16, RoundsToEightBitsTiesToEven) {
  const std::vector<float> samples = Samples();
  for (size_t i = 1; i < samples.size(); ++i) {
    const uint32_t word = ToBf16(samples[i - 1], samples[i]);
    ASSERT_EQ(FloatOf(word << 16), RoundedTo(Precision::kBf16, samples[i - 1]));
    ASSERT_EQ(FloatOf(word & 0xffff0000u),
              RoundedTo(Precision::kBf16, samples[i]));
  }
}

TEST(Conversions, KeepWhatIsNotFiniteAndRoundTheLargestToInfinity) {
  const float max = std::numeric_limits<float>::max();
  const float nan = FloatOf(0xffffffffu), quiet = FloatOf(0x7f800001u);
  EXPECT_EQ(ToTf32(kInf), 0x7f800000u);
  EXPECT_EQ(ToTf32(-kInf), 0xff800000u);
  EXPECT_EQ(ToTf32(max), 0x7f800000u);
  EXPECT_EQ(ToTf32(nan), 0x7fffffffu);
  EXPECT_EQ(ToTf32(quiet), 0x7fffffffu);
  EXPECT_EQ(ToTf32(-0.0f), 0x80000000u);
  EXPECT_EQ(ToBf16(kInf, -kInf), 0xff807f80u);
  EXPECT_EQ(ToBf16(max, -max), 0xff807f80u);
  EXPECT_EQ(ToBf16(nan, quiet), 0x7fff7fffu);
  EXPECT_EQ(ToBf16(-0.0f, 0.0f), 0x8000u);
  // The smallest denormal of bf16, and half of it.
  EXPECT_EQ(ToBf16(FloatOf(0x00010000u), FloatOf(0x00008000u)), 1u);
}

// A layout ((4, 8), (2, 2, 2)) : ((t, g), (v0, v1, v2)): value v of a lane lies
// at the sum of its digits times the strides, in a matrix whose columns are
// stored one behind the other.
struct Strides {
  int t, g, v[3];
  int At(int lane, int value) const {
    return lane % 4 * t + lane / 4 * g + (value & 1) * v[0] +
           (value >> 1 & 1) * v[1] + (value >> 2 & 1) * v[2];
  }
};

struct Layout {
  int depth;        // k
  int of_a, of_b;   // elements of a lane
  Strides a, b, d;  // of a [16, k], b as [8, k], d [16, 8]
};
const Layout kTf32 = {
    8, 4, 2, {16, 1, {8, 64}}, {8, 1, {32}}, {32, 1, {16, 8}}};
const Layout kBf16 = {
    16, 8, 4, {32, 1, {16, 8, 128}}, {16, 1, {8, 64}}, {32, 1, {16, 8}}};

// d += a b by mma, one warp; a column by column, b row by row.
absl::Status RunMma(bool tf32, Order order, const std::vector<float>& a,
                    const std::vector<float>& b, std::vector<float>* d,
                    int threads = kLanes) {
  const Layout& layout = tf32 ? kTf32 : kBf16;
  RunOptions options;
  options.order = order;
  return RunBlocks(options, 1, threads, [&] {
    const int lane = static_cast<int>(ThreadIndex().x);
    const auto word = [&](const std::vector<float>& matrix,
                          const Strides& strides, int i) {
      if (tf32) return ToTf32(matrix[strides.At(lane, i)]);
      return ToBf16(matrix[strides.At(lane, 2 * i)],
                    matrix[strides.At(lane, 2 * i + 1)]);
    };
    uint32_t x[4], y[2];
    float sum[4];
    for (int i = 0; i < 4; ++i) x[i] = word(a, layout.a, i);
    for (int i = 0; i < 2; ++i) y[i] = word(b, layout.b, i);
    for (int i = 0; i < 4; ++i) sum[i] = (*d)[layout.d.At(lane, i)];
    tf32 ? MmaTf32(sum, x, y) : MmaBf16(sum, x, y);
    for (int i = 0; i < 4; ++i) (*d)[layout.d.At(lane, i)] = sum[i];
  });
}

class Mma : public ::testing::TestWithParam<bool> {};

TEST_P(Mma, MultipliesRoundedOperands) {
  const bool tf32 = GetParam();
  const int depth = tf32 ? 8 : 16;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 60; ++round) {
    const bool integers = round % 2 == 0;
    const auto draw = [&] {
      return integers ? std::round(20 * normal(random)) : normal(random);
    };
    std::vector<float> a(16 * depth), b(8 * depth), d(16 * 8);
    for (float& x : a) x = draw();
    for (float& x : b) x = draw();
    for (float& x : d) x = draw();
    const std::vector<float> before = d;
    const Order order = round % 3 == 0   ? Order::kAscending
                        : round % 3 == 1 ? Order::kDescending
                                         : Order::kRandom;
    ASSERT_TRUE(RunMma(tf32, order, a, b, &d).ok());
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 8; ++j) {
        double sum = before[i + 16 * j], size = std::abs(sum);
        for (int p = 0; p < depth; ++p) {
          const Precision precision =
              tf32 ? Precision::kTf32 : Precision::kBf16;
          const double term = RoundedTo(precision, a[i + 16 * p]) *
                              RoundedTo(precision, b[j + 8 * p]);
          sum += term;
          size += std::abs(term);
        }
        const double bound = integers ? 0 : size * std::ldexp(1, -24);
        ASSERT_LE(std::abs(d[i + 16 * j] - sum), bound) << i << ", " << j;
      }
    }
  }
}

TEST_P(Mma, ANanIsThatOfItsRowOrColumnOnly) {
  const bool tf32 = GetParam();
  const int depth = tf32 ? 8 : 16;
  std::vector<float> a(16 * depth, 1), b(8 * depth, 1), d(16 * 8, 0);
  a[3 + 16 * (depth - 1)] = std::numeric_limits<float>::quiet_NaN();
  b[5] = kInf;
  ASSERT_TRUE(RunMma(tf32, Order::kAscending, a, b, &d).ok());
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      const float x = d[i + 16 * j];
      if (i == 3) {
        EXPECT_TRUE(std::isnan(x));
      } else {
        EXPECT_EQ(x, j == 5 ? kInf : static_cast<float>(depth));
      }
    }
  }
}

TEST_P(Mma, ThatNotAllOfAWarpReachIsFound) {
  const std::vector<float> ones(16 * 16, 1);
  std::vector<float> d(16 * 8, 0);
  const absl::Status status =
      RunMma(GetParam(), Order::kAscending, ones, ones, &d, 16);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("16 in an mma for others of their warp"));
}

INSTANTIATE_TEST_SUITE_P(Types, Mma, ::testing::Values(true, false));

TEST(MmaTf32, FindsAnOperandThatIsNotRounded) {
  const absl::Status status = RunBlocks({}, 1, kLanes, [] {
    const uint32_t a[4] = {0x3f800000u, 0, 0, 0x3f800001u};
    const uint32_t b[2] = {0, 0};
    float d[4] = {};
    MmaTf32(d, a, b);
  });
  EXPECT_THAT(std::string(status.message()), HasSubstr("not rounded to tf32"));
}

}  // namespace
}  // namespace modelbatch::cuda::emulator
