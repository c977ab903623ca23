#include "modelbatch/model/initialize.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
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

// The one-sample Kolmogorov-Smirnov statistic against a distribution.
template <typename Cdf>
double KolmogorovSmirnov(std::vector<float> values, Cdf cdf) {
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  double distance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double p = cdf(double{values[i]});
    distance =
        std::max({distance, std::abs(p - i / n), std::abs((i + 1) / n - p)});
  }
  return distance;
}

double KolmogorovSmirnov(const std::vector<float>& values, double bound) {
  return KolmogorovSmirnov(
      values, [bound](double x) { return (x + bound) / (2 * bound); });
}

// 1.95 / sqrt(n): exceeded once in 1,000 by a true sample.
double Critical(const std::vector<float>& values) {
  return 1.95 / std::sqrt(static_cast<double>(values.size()));
}

// The standard normal distribution below x.
double Phi(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }

AttributeValue S(const char* text) { return std::string(text); }

// A linear layer, [out, in], with these attributes.
Layout LinearLayout(int64_t out, int64_t in, Attributes attributes) {
  attributes["out_features"] = out;
  ModelSpec spec({in});
  spec.AddOperator({"", "linear", {-1}, std::move(attributes)});
  return LayoutOf(spec);
}

// The weight of such a layer.
std::vector<float> Weight(int64_t out, int64_t in, Attributes attributes,
                          uint64_t seed = 7) {
  return Values(LinearLayout(out, in, std::move(attributes)), 0, seed);
}

// Mean and standard deviation within 5 standard errors of those of a normal
// distribution (the deviation's: sigma / sqrt(2 n)).
void ExpectMoments(const std::vector<float>& values, double mean, double std) {
  const double n = static_cast<double>(values.size());
  double sum = 0;
  for (float v : values) sum += v;
  EXPECT_NEAR(sum / n, mean, 5 * std / std::sqrt(n));
  double squares = 0;
  for (float v : values) squares += (v - sum / n) * (v - sum / n);
  EXPECT_NEAR(std::sqrt(squares / n), std, 5 * std / std::sqrt(2 * n));
}

TEST(InitialValue, LinearIsUniformWithinItsBound) {
  const Layout layout = LayoutOf(ModelSpec({100}).Linear(200));
  const std::vector<float> weight = Values(layout, 0, 7);
  ASSERT_EQ(weight.size(), 20000u);
  for (float w : weight) ASSERT_LE(std::abs(w), 0.1f);
  EXPECT_LT(KolmogorovSmirnov(weight, 0.1), Critical(weight));
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

TEST(InitialValue, ConstantsAreExact) {
  EXPECT_EQ(Weight(2, 2, {{"weight_init", S("zeros")}}),
            std::vector<float>(4, 0.0f));
  EXPECT_EQ(Weight(2, 2, {{"weight_init", S("ones")}}),
            std::vector<float>(4, 1.0f));
  EXPECT_EQ(
      Weight(2, 2, {{"weight_init", S("constant")}, {"weight_init_val", -0.1}}),
      std::vector<float>(4, -0.1f));
}

TEST(InitialValue, UniformFillsItsRange) {
  const std::vector<float> weight = Weight(200, 150,
                                           {{"weight_init", S("uniform")},
                                            {"weight_init_a", -1.0},
                                            {"weight_init_b", 3.0}});
  for (float w : weight) {
    ASSERT_GE(w, -1);
    ASSERT_LE(w, 3);
  }
  EXPECT_LT(KolmogorovSmirnov(weight, [](double x) { return (x + 1) / 4; }),
            Critical(weight));
}

TEST(InitialValue, NormalIsNormal) {
  const std::vector<float> weight = Weight(333, 301,  // an odd number of them
                                           {{"weight_init", S("normal")},
                                            {"weight_init_mean", 2.0},
                                            {"weight_init_std", 0.5}});
  ExpectMoments(weight, 2, 0.5);
  EXPECT_LT(
      KolmogorovSmirnov(weight, [](double x) { return Phi((x - 2) / 0.5); }),
      Critical(weight));
  // Neighbours, which share draws, are not correlated.
  for (size_t lag : {1, 2, 3, 4}) {
    const size_t n = weight.size() - lag;
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      sum += (weight[i] - 2) / 0.5 * ((weight[i + lag] - 2) / 0.5);
    }
    EXPECT_LT(std::abs(sum / n), 5 / std::sqrt(static_cast<double>(n)));
  }
}

TEST(InitialValue, NormalIsBoxAndMullers) {
  const uint64_t seed = 0x123456789abcdef0u;
  const std::vector<float> weight =
      Weight(3, 5, {{"weight_init", S("normal")}}, seed);
  const auto draw = [&](uint64_t element) {
    return static_cast<double>(
        PhiloxDraw(seed, RandomPurpose::kInitialize, 0, 0, element));
  };
  for (uint64_t e = 0; e < weight.size(); ++e) {
    const uint64_t even = e & ~uint64_t{1};
    const double radius =
        std::sqrt(-2 * std::log((draw(even) + 0.5) / 4294967296.0));
    const double angle = 2 * M_PI * draw(even + 1) / 4294967296.0;
    EXPECT_FLOAT_EQ(weight[e],
                    radius * (e % 2 == 0 ? std::cos(angle) : std::sin(angle)));
  }
}

TEST(InitialValue, ASharpNormalIsItsMean) {
  for (float w : Weight(3, 3,
                        {{"weight_init", S("normal")},
                         {"weight_init_mean", 0.25},
                         {"weight_init_std", 0.0}})) {
    EXPECT_EQ(w, 0.25f);
  }
}

TEST(InitialValue, TruncatedNormalIsTheNormalWithinItsRange) {
  struct Case {
    double mean, std, a, b;
  };
  for (const Case& c :
       {Case{0, 1, -2, 2}, Case{1, 0.02, 0.99, 1.1}, Case{0, 1, -0.5, 30},
        Case{0, 1, -1000, 1000}, Case{0, 1, 3, 4}, Case{0, 1, -9, -6},
        Case{0, 1, 0.1, 0.11}, Case{5, 2, -40, 1}}) {
    const std::vector<float> weight =
        Weight(200, 150,
               {{"weight_init", S("trunc_normal")},
                {"weight_init_mean", c.mean},
                {"weight_init_std", c.std},
                {"weight_init_a", c.a},
                {"weight_init_b", c.b}});
    for (float w : weight) {
      ASSERT_GE(w, static_cast<float>(c.a));
      ASSERT_LE(w, static_cast<float>(c.b));
    }
    // In the tail that is small, where probabilities keep their precision.
    const double lo = (c.a - c.mean) / c.std;
    const double hi = (c.b - c.mean) / c.std;
    const auto cdf = [&](double x) {
      const double z = (x - c.mean) / c.std;
      return lo > 0 ? (Phi(-lo) - Phi(-z)) / (Phi(-lo) - Phi(-hi))
                    : (Phi(z) - Phi(lo)) / (Phi(hi) - Phi(lo));
    };
    EXPECT_LT(KolmogorovSmirnov(weight, cdf), Critical(weight))
        << c.mean << " " << c.std << " " << c.a << " " << c.b;
  }
}

// So far out that no double holds the probability, the tail is exponential
// with mean std / distance.
TEST(InitialValue, TruncatedNormalFarOut) {
  const std::vector<float> weight = Weight(200, 150,
                                           {{"weight_init", S("trunc_normal")},
                                            {"weight_init_a", 1000.0},
                                            {"weight_init_b", 2000.0}});
  double sum = 0;
  for (float w : weight) {
    ASSERT_GE(w, 1000);
    sum += double{w} - 1000;
  }
  // An exponential's deviation is its mean; float's grid there is 6e-5.
  EXPECT_NEAR(sum / weight.size(), 1e-3, 5e-3 / std::sqrt(30000.0) + 1e-6);
}

TEST(InitialValue, XavierHasTorchsDeviation) {
  const std::vector<float> normal =
      Weight(300, 100,
             {{"weight_init", S("xavier_normal")}, {"weight_init_gain", 1.5}});
  ExpectMoments(normal, 0, 1.5 * std::sqrt(2.0 / 400));
  const std::vector<float> uniform =
      Weight(300, 100, {{"weight_init", S("xavier_uniform")}});
  EXPECT_LT(KolmogorovSmirnov(uniform, std::sqrt(6.0 / 400)),
            Critical(uniform));
}

TEST(InitialValue, KaimingHasTorchsDeviation) {
  const std::vector<float> normal =
      Weight(300, 100,
             {{"weight_init", S("kaiming_normal")},
              {"weight_init_mode", S("fan_out")},
              {"weight_init_nonlinearity", S("relu")}});
  ExpectMoments(normal, 0, std::sqrt(2.0 / 300));
  const std::vector<float> uniform =
      Weight(300, 100,
             {{"weight_init", S("kaiming_uniform")},
              {"weight_init_nonlinearity", S("tanh")}});
  EXPECT_LT(KolmogorovSmirnov(uniform, 5.0 / 3 * std::sqrt(3.0 / 100)),
            Critical(uniform));
}

// torch.nn.Linear's default is kaiming_uniform with a = sqrt(5).
TEST(InitialValue, KaimingGivesTheDefaultsBits) {
  EXPECT_EQ(Weight(64, 49, {}), Weight(64, 49,
                                       {{"weight_init", S("kaiming_uniform")},
                                        {"weight_init_a", std::sqrt(5.0)}}));
}

TEST(InitialValue, OrthogonalIsOrthogonal) {
  for (const auto& [out, in] : {std::pair<int, int>{64, 64},
                                {10, 200},
                                {200, 10},
                                {1, 9},
                                {9, 1},
                                {1, 1},
                                {37, 41}}) {
    const double gain = 1.7;
    const std::vector<float> q =
        Weight(out, in,
               {{"weight_init", S("orthogonal")}, {"weight_init_gain", gain}});
    // The shorter side's vectors: rows, or columns of a tall matrix.
    const int count = std::min(out, in);
    const int length = std::max(out, in);
    const auto at = [&, in = in, out = out](int vector, int i) {
      return double{out <= in ? q[vector * in + i] : q[i * in + vector]};
    };
    for (int a = 0; a < count; ++a) {
      for (int b = 0; b < count; ++b) {
        double dot = 0;
        for (int i = 0; i < length; ++i) dot += at(a, i) * at(b, i);
        EXPECT_NEAR(dot, a == b ? gain * gain : 0, 1e-5)
            << out << " x " << in << ": " << a << ", " << b;
      }
    }
  }
}

// Of a random rotation every element has mean 0 and variance 1 / n, and turning
// and mirroring are equally likely.
TEST(InitialValue, OrthogonalIsUniformOverRotations) {
  const int kSeeds = 4000;
  std::vector<double> sums(9), squares(9);
  int turns = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const std::vector<float> q =
        Weight(3, 3, {{"weight_init", S("orthogonal")}}, seed);
    for (int i = 0; i < 9; ++i) {
      sums[i] += q[i];
      squares[i] += double{q[i]} * q[i];
    }
    turns += q[0] * (q[4] * q[8] - q[5] * q[7]) -
                 q[1] * (q[3] * q[8] - q[5] * q[6]) +
                 q[2] * (q[3] * q[7] - q[4] * q[6]) >
             0;
  }
  for (int i = 0; i < 9; ++i) {
    EXPECT_NEAR(sums[i] / kSeeds, 0, 5 * std::sqrt(1.0 / 3 / kSeeds));
    // The square's variance: 3 / 15 - 1 / 9.
    EXPECT_NEAR(squares[i] / kSeeds, 1.0 / 3,
                5 * std::sqrt((0.2 - 1.0 / 9) / kSeeds));
  }
  EXPECT_NEAR(turns, kSeeds / 2, 158);
}

TEST(InitialValue, EveryInitializerIsDecidedBySeedAndParameter) {
  for (const char* name :
       {"uniform", "normal", "trunc_normal", "xavier_uniform", "xavier_normal",
        "kaiming_uniform", "kaiming_normal", "orthogonal"}) {
    const Attributes attributes = {{"weight_init", S(name)}};
    EXPECT_EQ(Weight(8, 9, attributes, 1), Weight(8, 9, attributes, 1)) << name;
    EXPECT_NE(Weight(8, 9, attributes, 1), Weight(8, 9, attributes, 2)) << name;
    ModelSpec two({8});
    for (int layer : {-1, 0}) {
      two.AddOperator(
          {"",
           "linear",
           {layer},
           {{"out_features", int64_t{8}}, {"weight_init", S(name)}}});
    }
    EXPECT_NE(Values(LayoutOf(two), 0, 1), Values(LayoutOf(two), 2, 1)) << name;
    // The bias, at index 1, does not notice.
    EXPECT_EQ(Values(LayoutOf(two), 1, 1),
              Values(LayoutOf(ModelSpec({8}).Linear(8)), 1, 1))
        << name;
  }
}

}  // namespace
}  // namespace modelbatch
