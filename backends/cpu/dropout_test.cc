// Dropout's mask is Philox's, element by element, however the rows are cut.
#include <cmath>

#include "backends/cpu/kernels.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"
#include "modelbatch/util/philox.h"

namespace modelbatch::cpu::testing {
namespace {

class DropoutTest : public EveryTable {
 protected:
  std::vector<float> Drop(int64_t rows, int64_t cols, const DropoutKey& key,
                          int64_t extra = 0) {
    Activations x(rows, cols, std::vector<float>(rows * cols, 1.0f), extra);
    Activations y(rows, cols);
    kernels_.dropout(rows, cols, x.matrix(), y.matrix(), key, false);
    return y.Values();
  }
};

TEST_P(DropoutTest, KeepsWhatPhiloxKeeps) {
  Random random(1);
  for (int trial = 0; trial < 60; ++trial) {
    const int64_t rows = random.Int(1, 40), cols = random.Int(1, 90);
    DropoutKey key;
    key.seed = random.Int(0, INT64_MAX);
    key.step = trial % 2 == 0 ? trial : random.Int(0, INT64_MAX);
    key.op = static_cast<uint32_t>(random.Int(0, kMaxPhiloxOp));
    key.p = random.Uniform(0, 1);
    const std::vector<float> y = Drop(rows, cols, key);
    const float scale = static_cast<float>(1 / (1 - key.p));
    for (int64_t e = 0; e < rows * cols; ++e) {
      const bool kept = PhiloxDraw(key.seed, RandomPurpose::kDropout, key.op,
                                   key.step, e) >= DropoutThreshold(key.p);
      ASSERT_TRUE(SameBits(y[e], kept ? scale : 0.0f))
          << rows << " x " << cols << " element " << e;
    }
  }
}

TEST_P(DropoutTest, FewerRowsAndWiderStridesKeepTheMask) {
  const DropoutKey key = {12345, 7, 3, 0.4};
  for (int64_t cols : {1, 3, 10, 16, 33, 128}) {
    const std::vector<float> all = Drop(64, cols, key);
    for (int64_t rows : {1, 2, 5, 31}) {
      std::vector<float> some = Drop(rows, cols, key, 1);
      EXPECT_TRUE(SameBits(
          some, std::vector<float>(all.begin(), all.begin() + rows * cols)));
    }
  }
}

TEST_P(DropoutTest, KeepsTheFractionItShould) {
  const int64_t rows = 500, cols = 401;
  for (double p : {0.1, 0.5, 0.9}) {
    int64_t kept = 0;
    for (float y : Drop(rows, cols, {99, 1, 0, p})) kept += y != 0;
    const double n = static_cast<double>(rows * cols);
    // Five standard deviations of the binomial distribution.
    EXPECT_NEAR(kept / n, 1 - p, 5 * std::sqrt(p * (1 - p) / n));
  }
}

TEST_P(DropoutTest, AllOrNothing) {
  for (float y : Drop(5, 21, {1, 2, 3, 0.0})) EXPECT_EQ(y, 1.0f);
  for (float y : Drop(5, 21, {1, 2, 3, 1.0})) {
    EXPECT_TRUE(SameBits(y, 0.0f));
  }
}

TEST_P(DropoutTest, DroppedNanIsZero) {
  Activations x(2, 20, std::vector<float>(40, kNan)), y(2, 20);
  kernels_.dropout(2, 20, x.matrix(), y.matrix(), {1, 1, 1, 1.0}, false);
  for (float v : y.Values()) EXPECT_EQ(v, 0.0f);
}

TEST_P(DropoutTest, AccumulatesAndWorksInPlace) {
  Random random(2);
  const DropoutKey key = {4, 5, 6, 0.3};
  const int64_t rows = 70, cols = 37;  // more than one buffer of draws
  Activations x(rows, cols, random.Normals(rows * cols)), y(rows, cols);
  Activations sum(rows, cols, random.Normals(rows * cols));
  std::vector<float> expected = sum.Values();
  kernels_.dropout(rows, cols, x.matrix(), y.matrix(), key, false);
  kernels_.dropout(rows, cols, x.matrix(), sum.matrix(), key, true);
  const std::vector<float> dropped = y.Values();
  for (size_t e = 0; e < expected.size(); ++e) expected[e] += dropped[e];
  EXPECT_TRUE(SameBits(sum.Values(), expected));
  kernels_.dropout(rows, cols, x.matrix(), x.matrix(), key, false);
  EXPECT_TRUE(SameBits(x.Values(), dropped));
}

MODELBATCH_ON_EVERY_TABLE(DropoutTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
