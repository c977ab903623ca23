// Each update follows PyTorch's formula in double from the state before it, and
// SGD PyTorch's operations exactly.
#include <cmath>

#include "backends/cpu/kernels.h"
#include "backends/cpu/reference.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

constexpr int kSteps = 50;

// `got` is `before` plus the exact update, but for the update's own relative
// error and the roundings of the results.
bool IsNear(double got, double exact, double before) {
  return std::abs(got - exact) <=
         1e-6 * std::abs(exact - before) +
             0x1p-22 * std::max(std::abs(before), std::abs(exact));
}

class OptimizerTest : public EveryTable {
 protected:
  void ExpectAdam(AdamArgs args, int64_t count) {
    Random random(count);
    GuardedFloats param(count), grad(count), m(count), v(count);
    param.Set(random.Normals(count));
    args.count = count;
    args.param = param.data(), args.grad = grad.data();
    args.exp_avg = m.data(), args.exp_avg_sq = v.data();
    for (args.step = 1; args.step <= kSteps; ++args.step) {
      // Of very different sizes, as a network's are.
      grad.Set(random.Normals(count, std::exp(random.Normal(3))));
      std::vector<reference::AdamState> before;
      for (int64_t e = 0; e < count; ++e)
        before.push_back({param[e], m[e], v[e]});
      kernels_.adam(args);
      for (int64_t e = 0; e < count; ++e) {
        const reference::AdamState& old = before[e];
        const auto exact = reference::Adam(old, grad[e], args);
        ASSERT_TRUE(IsNear(param[e], exact.param, old.param))
            << "step " << args.step << ": " << param[e] << ", " << exact.param;
        ASSERT_TRUE(IsNear(m[e], exact.exp_avg, old.exp_avg));
        ASSERT_TRUE(IsNear(v[e], exact.exp_avg_sq, old.exp_avg_sq));
      }
    }
  }

  // torch.optim.SGD's own operations in fp32, add(x, alpha) being one FMA.
  void ExpectSgd(SgdArgs args, int64_t count) {
    Random random(count);
    GuardedFloats param(count), grad(count), buffer(count, kNan);
    param.Set(random.Normals(count));
    std::vector<float> p = param.Values(), b(count);
    args.count = count, args.param = param.data(), args.grad = grad.data();
    args.buffer = args.momentum != 0 ? buffer.data() : nullptr;
    for (int step = 0; step < kSteps; ++step) {
      grad.Set(random.Normals(count));
      args.first = step == 0;
      kernels_.sgd(args);
      for (int64_t e = 0; e < count; ++e) {
        const float old = p[e];
        const auto exact = reference::Sgd({old, b[e]}, grad[e], args);
        float g = grad[e];
        if (args.weight_decay != 0) {
          g = std::fma(p[e], static_cast<float>(args.weight_decay), g);
        }
        const float momentum = static_cast<float>(args.momentum);
        if (args.momentum != 0) {
          b[e] = step == 0 ? g
                           : std::fma(g, static_cast<float>(1 - args.dampening),
                                      b[e] * momentum);
          g = args.nesterov ? std::fma(b[e], momentum, g) : b[e];
        }
        p[e] = std::fma(g, static_cast<float>(-args.lr), p[e]);
        ASSERT_TRUE(SameBits(param[e], p[e])) << step << " " << e;
        ASSERT_TRUE(IsNear(param[e], exact.param, old));
      }
    }
  }
};

TEST_P(OptimizerTest, AdamFollowsTheFormula) {
  for (int64_t count : {1, 7, 8, 9, 64, 101}) {
    AdamArgs args;
    args.lr = 1e-3, args.beta1 = 0.9, args.beta2 = 0.999, args.eps = 1e-8;
    ExpectAdam(args, count);
    args.weight_decay = 0.01;
    ExpectAdam(args, count);
    args.decoupled = true;
    ExpectAdam(args, count);
    args.beta1 = 0.3;  // lerp from the other end
    ExpectAdam(args, count);
    args.beta1 = 0, args.beta2 = 0.9;
    ExpectAdam(args, count);
  }
}

// The tolerance must not be so lax that a wrong rate passes.
TEST_P(OptimizerTest, AdamWithARateWrongByATenthOfAPercentIsSeen) {
  AdamArgs args;
  args.lr = 1e-2, args.beta1 = 0.9, args.beta2 = 0.999, args.eps = 1e-8;
  float param = 1, grad = 1, m = 0, v = 0;
  args.count = 1, args.param = &param, args.grad = &grad;
  args.exp_avg = &m, args.exp_avg_sq = &v;
  kernels_.adam(args);
  EXPECT_TRUE(IsNear(param, reference::Adam({1, 0, 0}, 1, args).param, 1));
  args.lr *= 1.001;
  EXPECT_FALSE(IsNear(param, reference::Adam({1, 0, 0}, 1, args).param, 1));
}

TEST_P(OptimizerTest, AdamOfALateStep) {
  AdamArgs args;
  args.lr = 1e-3, args.beta1 = 0.9, args.beta2 = 0.999, args.eps = 1e-8;
  for (int64_t step : {1000, 1000000, 1000000000}) {
    float param = 1, grad = 0.5, m = 0.25, v = 0.125;
    args.count = 1, args.param = &param, args.grad = &grad;
    args.exp_avg = &m, args.exp_avg_sq = &v, args.step = step;
    kernels_.adam(args);
    const auto expected = reference::Adam({1, 0.25, 0.125}, 0.5, args);
    EXPECT_TRUE(IsNear(param, expected.param, 1)) << step;
  }
}

TEST_P(OptimizerTest, AdamOfZeroGradientsStays) {
  AdamArgs args;
  args.lr = 1e-3, args.beta1 = 0.9, args.beta2 = 0.999, args.eps = 1e-8;
  float param = 1, grad = 0, m = 0, v = 0;
  args.count = 1, args.param = &param, args.grad = &grad;
  args.exp_avg = &m, args.exp_avg_sq = &v;
  kernels_.adam(args);
  EXPECT_EQ(param, 1.0f);
}

TEST_P(OptimizerTest, SgdIsPyTorchs) {
  for (int64_t count : {1, 7, 8, 9, 64, 101}) {
    SgdArgs args;
    args.lr = 0.01;
    ExpectSgd(args, count);
    args.weight_decay = 0.01;
    ExpectSgd(args, count);
    args.momentum = 0.9;
    ExpectSgd(args, count);
    args.dampening = 0.1;
    ExpectSgd(args, count);
    args.dampening = 0, args.nesterov = true;
    ExpectSgd(args, count);
  }
}

MODELBATCH_ON_EVERY_TABLE(OptimizerTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
