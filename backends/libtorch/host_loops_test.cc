#include "backends/libtorch/host_loops.h"

#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "backends/libtorch/optimizer.h"

namespace modelbatch::libtorch {
namespace {

using grouped::OptimizerKind;

TEST(HostLoopsTest, OneValueThatIsNotFiniteIsSeenWhereverItIs) {
  for (const float bad : {std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    for (int64_t i = 0; i < 67; ++i) {
      std::vector<float> values(67, std::numeric_limits<float>::max());
      EXPECT_TRUE(AllFinite(values.data(), 67));
      values[i] = bad;
      EXPECT_FALSE(AllFinite(values.data(), 67)) << bad << " at " << i;
    }
  }
  EXPECT_TRUE(AllFinite(nullptr, 0));
}

// Devices have LibTorch's operations, hosts the loop: both make one update.
// (That it is torch.optim's: //tests/equivalence.)
TEST(HostLoopsTest, UpdatesAreThoseOfTheOperations) {
  constexpr int kModels = 5;
  constexpr int64_t kSize = 131;
  // lr, beta1, beta2, eps, weight_decay, amsgrad, maximize
  const std::array<std::vector<double>, 7> values = {
      {{1e-3, 1e-2, 0.1, 1e-3, 3e-4},
       {0.9, 0.3, 0.9, 0, 0.8},
       {0.999, 0.99, 0.9, 0.999, 0.999},
       {1e-8, 1e-6, 1e-3, 1e-8, 1e-8},
       {0, 0.1, 0, 0.01, 1e-3},
       {0, 0, 1, 0, 1},
       {0, 1, 0, 0, 1}}};
  for (const OptimizerKind kind :
       {OptimizerKind::kAdam, OptimizerKind::kAdamW}) {
    grouped::UpdateRule rule;
    rule.optimizer = kind;
    for (size_t c = 0; c < values.size(); ++c) {
      rule.columns[c] = values[c].data();
    }
    ASSERT_TRUE(HasHostUpdate(rule));
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    // parameter, three states
    std::array<std::vector<float>, 4> loop, operations;
    for (std::vector<float>& matrix : loop) matrix.assign(kModels * kSize, 0);
    for (float& x : loop[0]) x = normal(random);
    operations = loop;
    for (int64_t step = 0; step < 3; ++step) {
      std::vector<float> gradient(kModels * kSize);
      for (float& x : gradient) x = normal(random);
      std::vector<float> scratch = gradient;
      const auto tensor = [&](std::vector<float>& matrix) {
        return at::from_blob(matrix.data(), {kModels, kSize}, at::kFloat);
      };
      UpdateTensors tensors = {tensor(operations[0]),
                               tensor(scratch),
                               {tensor(operations[1]), tensor(operations[2]),
                                tensor(operations[3])}};
      std::vector<int> models;
      for (int i = 0; i < kModels; ++i) {
        models.push_back(i);
        HostRow row;
        row.gradient = &gradient[i * kSize];
        row.parameter = &loop[0][i * kSize];
        for (int s = 0; s < 3; ++s) row.states[s] = &loop[s + 1][i * kSize];
        UpdateOnHost(rule, i, step, kSize, row);
      }
      Update(rule, models, std::vector<int64_t>(kModels, step), tensors);
      for (size_t m = 0; m < loop.size(); ++m) {
        for (int64_t e = 0; e < kModels * kSize; ++e) {
          // Of two roundings: LibTorch's operations may fuse multiply and add.
          EXPECT_NEAR(loop[m][e], operations[m][e],
                      4e-7 * (1 + std::abs(operations[m][e])))
              << "matrix " << m << ", model " << e / kSize;
        }
      }
    }
  }
}

}  // namespace
}  // namespace modelbatch::libtorch
