#include "modelbatch/model/initialize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {
namespace {

Layout LayoutOf(const ModelSpec& spec) { return InferLayout(spec).value(); }

std::vector<float> Values(const Layout& layout, int index, uint64_t seed) {
  const Tensor value = InitialValue(layout, index, seed);
  return {value.data<float>(), value.data<float>() + value.size()};
}

// The one-sample Kolmogorov-Smirnov statistic against U(-bound, bound).
double KolmogorovSmirnov(std::vector<float> values, double bound) {
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  double distance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double cdf = (values[i] + bound) / (2 * bound);
    distance = std::max(
        {distance, std::abs(cdf - i / n), std::abs((i + 1) / n - cdf)});
  }
  return distance;
}

TEST(InitialValue, LinearIsUniformWithinItsBound) {
  const Layout layout = LayoutOf(ModelSpec({100}).Linear(200));
  const std::vector<float> weight = Values(layout, 0, 7);
  ASSERT_EQ(weight.size(), 20000u);
  for (float w : weight) ASSERT_LE(std::abs(w), 0.1f);
  // 1.95 / sqrt(n): exceeded once in 1,000 by a truly uniform sample.
  EXPECT_LT(KolmogorovSmirnov(weight, 0.1), 1.95 / std::sqrt(20000.0));
}

TEST(InitialValue, EachElementIsItsOwnDraw) {
  const Layout layout = LayoutOf(ModelSpec({3}).Linear(3));
  const uint64_t seed = 0x123456789abcdef0u;
  const std::vector<float> bias = Values(layout, 1, seed);
  const double bound = 1 / std::sqrt(3.0);
  for (uint64_t e = 0; e < bias.size(); ++e) {
    const uint32_t draw =
        PhiloxDraw(seed, RandomPurpose::kInitialize, /*op=*/1, 0, e);
    const double expected = (2 * (draw >> 8) * 0x1p-24 - 1) * bound;
    EXPECT_NEAR(bias[e], expected, 1e-7);
  }
}

TEST(InitialValue, DependsOnTheSeedAlone) {
  const Layout layout = LayoutOf(ModelSpec({10}).Linear(10).Linear(10));
  EXPECT_EQ(Values(layout, 0, 1), Values(layout, 0, 1));
  EXPECT_NE(Values(layout, 0, 1), Values(layout, 0, 2));
  EXPECT_NE(Values(layout, 0, 1), Values(layout, 2, 1));
}

TEST(InitialValue, LayerNormStartsAsTheIdentity) {
  const Layout layout = LayoutOf(ModelSpec({5}).LayerNorm());
  EXPECT_EQ(Values(layout, 0, 1), std::vector<float>(5, 1.0f));
  EXPECT_EQ(Values(layout, 1, 1), std::vector<float>(5, 0.0f));
}

}  // namespace
}  // namespace modelbatch
