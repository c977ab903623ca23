// Each update follows torch.optim's formula in double from the state before it,
// and SGD PyTorch's operations exactly.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "backends/cpu/kernels.h"
#include "backends/cpu/optimizer_args.h"
#include "backends/cpu/reference.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

constexpr int kSteps = 50;
constexpr int64_t kCounts[] = {1, 7, 8, 9, 64, 101};

// `got` is `before` plus the exact update, but for the update's own relative
// error and the roundings of the results. `part`: of the update, that the rest
// of it may cancel.
bool IsNear(double got, double exact, double before, double part = 0) {
  return std::abs(got - exact) <=
         1e-6 * std::abs(exact - before) +
             0x1p-22 *
                 std::max({std::abs(before), std::abs(exact), std::abs(part)});
}

template <typename Args>
double PartOf(const Args&, const reference::Optimized&) {
  return 0;
}
double PartOf(const RmsPropArgs& a, const reference::Optimized& old) {
  return a.lr * a.momentum * old.states[1];
}

template <typename Args>
using Kernel = void (*)(const Args&);
template <typename Args>
using Formula = reference::Optimized (*)(reference::Optimized, double,
                                         const Args&);
// Where an optimizer's arguments have their states.
template <typename Args>
using States = std::vector<float * Args::*>;

const States<SgdArgs> kSgdStates = {&SgdArgs::buffer};
const States<AdamArgs> kAdamStates = {&AdamArgs::exp_avg, &AdamArgs::exp_avg_sq,
                                      &AdamArgs::max_exp_avg_sq};
const States<NAdamArgs> kNAdamStates = {&NAdamArgs::exp_avg,
                                        &NAdamArgs::exp_avg_sq};
const States<RAdamArgs> kRAdamStates = {&RAdamArgs::exp_avg,
                                        &RAdamArgs::exp_avg_sq};
const States<RmsPropArgs> kRmsPropStates = {&RmsPropArgs::square_avg,
                                            &RmsPropArgs::momentum_buffer,
                                            &RmsPropArgs::grad_avg};
const States<AdagradArgs> kAdagradStates = {&AdagradArgs::sum};
const States<AdadeltaArgs> kAdadeltaStates = {&AdadeltaArgs::square_avg,
                                              &AdadeltaArgs::acc_delta};
const States<LionArgs> kLionStates = {&LionArgs::exp_avg};

class OptimizerTest : public EveryTable {
 protected:
  // kSteps updates of parameters, from states that are zeros.
  template <typename Args>
  void ExpectFormula(Kernel<Args> kernel, Formula<Args> formula,
                     const States<Args>& states, Args args) {
    for (const int64_t count : kCounts) {
      Random random(count);
      GuardedFloats param(count), grad(count), a(count), b(count), c(count);
      GuardedFloats* const arrays[] = {&a, &b, &c};
      param.Set(random.Normals(count));
      args.count = count, args.param = param.data(), args.grad = grad.data();
      for (size_t s = 0; s < states.size(); ++s) {
        args.*states[s] = arrays[s]->data();
      }
      for (args.step = 1; args.step <= kSteps; ++args.step) {
        // Of very different sizes, as a network's are.
        grad.Set(random.Normals(count, std::exp(random.Normal(3))));
        std::vector<reference::Optimized> before;
        for (int64_t e = 0; e < count; ++e) {
          before.push_back({param[e], {a[e], b[e], c[e]}});
        }
        kernel(args);
        for (int64_t e = 0; e < count; ++e) {
          const reference::Optimized& old = before[e];
          const auto exact = formula(old, grad[e], args);
          ASSERT_TRUE(
              IsNear(param[e], exact.param, old.param, PartOf(args, old)))
              << "step " << args.step << ": " << param[e] << ", "
              << exact.param;
          for (size_t s = 0; s < states.size(); ++s) {
            const double got = (*arrays[s])[e];
            ASSERT_TRUE(IsNear(got, exact.states[s], old.states[s]))
                << "step " << args.step << ", state " << s << ": " << got
                << ", " << exact.states[s];
          }
        }
      }
    }
  }

  // A learning rate that is wrong by a thousandth must not pass.
  template <typename Args>
  void ExpectRateIsSeen(Kernel<Args> kernel, Formula<Args> formula,
                        const States<Args>& states, Args args) {
    float param = 0.1f, grad = 1, numbers[3] = {};
    args.count = 1, args.param = &param, args.grad = &grad, args.lr = 0.1;
    for (size_t s = 0; s < states.size(); ++s) args.*states[s] = &numbers[s];
    kernel(args);
    EXPECT_TRUE(IsNear(param, formula({0.1f, {}}, 1, args).param, 0.1f));
    args.lr *= 1.001;
    EXPECT_FALSE(IsNear(param, formula({0.1f, {}}, 1, args).param, 0.1f));
  }

  // torch.optim.SGD's own operations in fp32, add(x, alpha) being one FMA.
  void ExpectSgd(SgdArgs args, int64_t count) {
    Random random(count);
    GuardedFloats param(count), grad(count), buffer(count, kNan);
    param.Set(random.Normals(count));
    std::vector<float> p = param.Values(), b(count);
    args.count = count, args.param = param.data(), args.grad = grad.data();
    args.buffer = args.momentum != 0 ? buffer.data() : nullptr;
    for (args.step = 1; args.step <= kSteps; ++args.step) {
      grad.Set(random.Normals(count));
      kernels_.sgd(args);
      for (int64_t e = 0; e < count; ++e) {
        const float old = p[e];
        const auto exact = reference::Sgd({old, {b[e]}}, grad[e], args);
        float g = args.maximize ? -grad[e] : grad[e];
        if (args.weight_decay != 0) {
          g = std::fma(p[e], static_cast<float>(args.weight_decay), g);
        }
        const float momentum = static_cast<float>(args.momentum);
        if (args.momentum != 0) {
          b[e] = args.step == 1
                     ? g
                     : std::fma(g, static_cast<float>(1 - args.dampening),
                                b[e] * momentum);
          g = args.nesterov ? std::fma(b[e], momentum, g) : b[e];
        }
        p[e] = std::fma(g, static_cast<float>(-args.lr), p[e]);
        ASSERT_TRUE(SameBits(param[e], p[e])) << args.step << " " << e;
        ASSERT_TRUE(IsNear(param[e], exact.param, old));
      }
    }
  }
};

template <typename Args>
Args WithBetas(double beta1, double beta2) {
  Args args;
  args.lr = 1e-3, args.beta1 = beta1, args.beta2 = beta2;
  return args;
}
template <typename Args>
Args AdamLike(double beta1 = 0.9, double beta2 = 0.999) {
  Args args = WithBetas<Args>(beta1, beta2);
  args.eps = 1e-8;
  return args;
}

TEST_P(OptimizerTest, SgdIsPyTorchs) {
  for (const int64_t count : kCounts) {
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
    args.maximize = true;
    ExpectSgd(args, count);
  }
}

TEST_P(OptimizerTest, AdamFollowsTheFormula) {
  const auto expect = [this](const AdamArgs& args) {
    ExpectFormula(kernels_.adam, reference::Adam, kAdamStates, args);
  };
  for (const bool amsgrad : {false, true}) {
    auto args = AdamLike<AdamArgs>();
    args.amsgrad = amsgrad;
    expect(args);
    args.weight_decay = 0.01;
    expect(args);
    args.decoupled = true;
    expect(args);
    args.beta1 = 0.3;  // lerp from the other end
    expect(args);
    args.maximize = true;
    expect(args);
    args.beta1 = 0, args.beta2 = 0.9;
    expect(args);
  }
}

TEST_P(OptimizerTest, AdamOfALateStep) {
  auto args = AdamLike<AdamArgs>();
  for (int64_t step : {1000, 1000000, 1000000000}) {
    float param = 1, grad = 0.5, m = 0.25, v = 0.125;
    args.count = 1, args.param = &param, args.grad = &grad;
    args.exp_avg = &m, args.exp_avg_sq = &v, args.step = step;
    kernels_.adam(args);
    const auto expected = reference::Adam({1, {0.25, 0.125}}, 0.5, args);
    EXPECT_TRUE(IsNear(param, expected.param, 1)) << step;
  }
}

// A dead unit's weights: no 0 / 0.
TEST_P(OptimizerTest, ZeroGradientsLeaveParametersAlone) {
  const auto expect = [](auto kernel, const auto& states, auto args) {
    float param = 1, grad = 0, numbers[3] = {}, product = 0;
    args.count = 1, args.param = &param, args.grad = &grad;
    args.lr = 1;
    for (size_t s = 0; s < states.size(); ++s) args.*states[s] = &numbers[s];
    if constexpr (std::is_same_v<decltype(args), NAdamArgs>) {
      args.mu_product = &product;
    }
    for (args.step = 1; args.step < 20; ++args.step) kernel(args);
    EXPECT_EQ(param, 1.0f);
  };
  RmsPropArgs rmsprop;
  rmsprop.alpha = 0.99, rmsprop.eps = 1e-8, rmsprop.momentum = 0.5;
  rmsprop.centered = true;
  AdagradArgs adagrad;
  adagrad.eps = 1e-10;
  AdadeltaArgs adadelta;
  adadelta.rho = 0.9, adadelta.eps = 1e-6;
  expect(kernels_.adam, kAdamStates, AdamLike<AdamArgs>());
  expect(kernels_.nadam, kNAdamStates, AdamLike<NAdamArgs>());
  expect(kernels_.radam, kRAdamStates, AdamLike<RAdamArgs>());
  expect(kernels_.rmsprop, kRmsPropStates, rmsprop);
  expect(kernels_.adagrad, kAdagradStates, adagrad);
  expect(kernels_.adadelta, kAdadeltaStates, adadelta);
  expect(kernels_.lion, kLionStates, WithBetas<LionArgs>(0.9, 0.99));
}

TEST_P(OptimizerTest, NAdamFollowsTheFormula) {
  float product = kNan;  // of no matter before the first step
  const auto expect = [&](NAdamArgs args) {
    args.mu_product = &product;
    ExpectFormula(kernels_.nadam, reference::NAdam, kNAdamStates, args);
    EXPECT_NEAR(product / reference::MuProduct(args, kSteps), 1, 1e-5);
  };
  auto args = AdamLike<NAdamArgs>();
  args.momentum_decay = 4e-3;
  expect(args);
  args.weight_decay = 0.01;
  expect(args);
  args.decoupled = true, args.maximize = true;
  expect(args);
  args.momentum_decay = 0.5, args.beta1 = 0.4;
  expect(args);
  args.momentum_decay = 0;
  expect(args);
}

// 0.96^(step momentum_decay), which is made without libm.
TEST_P(OptimizerTest, NAdamsMuIsTheFormula) {
  for (const int64_t step : {int64_t{2}, int64_t{3}, int64_t{10}, int64_t{999},
                             int64_t{1} << 20, int64_t{1} << 33}) {
    for (const double decay : {0.0, 1e-9, 4e-3, 0.1, 0.37, 16.9, 1e9, 1e300}) {
      auto args = AdamLike<NAdamArgs>(0.75);
      float product = 1;
      args.mu_product = &product;
      args.step = step, args.momentum_decay = decay;
      kernels_.nadam(args);
      const double expected = reference::Mu(args, step);
      EXPECT_NEAR(product, expected, 0x1.01p-25) << step << ", " << decay;
    }
  }
}

TEST_P(OptimizerTest, RAdamFollowsTheFormula) {
  const auto expect = [this](const RAdamArgs& args) {
    ExpectFormula(kernels_.radam, reference::RAdam, kRAdamStates, args);
  };
  auto args = AdamLike<RAdamArgs>();  // rectified from the sixth step on
  expect(args);
  args.weight_decay = 0.01;
  expect(args);
  args.decoupled = true, args.maximize = true;
  expect(args);
  args.beta1 = 0.3, args.beta2 = 0.8;
  expect(args);
  args.beta2 = 0.6;  // never
  expect(args);
  args.beta2 = 0;
  expect(args);
}

TEST_P(OptimizerTest, RmsPropFollowsTheFormula) {
  const auto expect = [this](RmsPropArgs args) {
    for (const bool centered : {false, true}) {
      args.centered = centered;
      ExpectFormula(kernels_.rmsprop, reference::RmsProp, kRmsPropStates, args);
    }
  };
  RmsPropArgs args;
  args.lr = 1e-2, args.alpha = 0.99, args.eps = 1e-8;
  expect(args);
  args.weight_decay = 0.01;
  expect(args);
  args.momentum = 0.9;
  expect(args);
  args.maximize = true, args.eps = 1e-3;
  expect(args);
  args.alpha = 0.4;  // lerp from the other end
  expect(args);
}

// sum(g g) - sum(g)^2 is 0 for equal gradients, but for roundings.
TEST_P(OptimizerTest, CenteredRmsPropTakesNoRootOfLessThanZero) {
  for (const float value : {1.0f, 0.1f, 0.3f, 1e-3f, 7.7f, 123.456f}) {
    float param = 1, grad = value, square = 0, average = 0;
    RmsPropArgs args;
    args.count = 1, args.param = &param, args.grad = &grad;
    args.square_avg = &square, args.grad_avg = &average;
    args.lr = 1e-9, args.alpha = 0.5, args.eps = 1e-3, args.centered = true;
    for (args.step = 1; args.step < 200; ++args.step) {
      kernels_.rmsprop(args);
      ASSERT_TRUE(std::isfinite(param)) << value << ", step " << args.step;
    }
  }
}

TEST_P(OptimizerTest, AdagradFollowsTheFormula) {
  const auto expect = [this](const AdagradArgs& args) {
    ExpectFormula(kernels_.adagrad, reference::Adagrad, kAdagradStates, args);
  };
  AdagradArgs args;
  args.lr = 1e-2, args.eps = 1e-10;
  expect(args);
  args.lr_decay = 0.1, args.weight_decay = 0.01;
  expect(args);
  args.initial_accumulator_value = 0.5, args.maximize = true;
  expect(args);
}

TEST_P(OptimizerTest, AdadeltaFollowsTheFormula) {
  const auto expect = [this](const AdadeltaArgs& args) {
    ExpectFormula(kernels_.adadelta, reference::Adadelta, kAdadeltaStates,
                  args);
  };
  AdadeltaArgs args;
  args.lr = 1, args.rho = 0.9, args.eps = 1e-6;
  expect(args);
  args.lr = 0.1, args.rho = 0.5, args.weight_decay = 0.01;
  expect(args);
  args.rho = 1, args.maximize = true;
  expect(args);
}

TEST_P(OptimizerTest, LionFollowsTheFormula) {
  const auto expect = [this](const LionArgs& args) {
    ExpectFormula(kernels_.lion, reference::Lion, kLionStates, args);
  };
  auto args = WithBetas<LionArgs>(0.9, 0.99);
  expect(args);
  args.weight_decay = 0.1;
  expect(args);
  args.maximize = true, args.beta1 = 0.5, args.beta2 = 0.1;
  expect(args);
  args.beta1 = 0;
  expect(args);
}

TEST_P(OptimizerTest, ARateWrongByATenthOfAPercentIsSeen) {
  RmsPropArgs rmsprop;
  rmsprop.alpha = 0.99, rmsprop.eps = 1e-8;
  AdagradArgs adagrad;
  adagrad.eps = 1e-10;
  AdadeltaArgs adadelta;
  adadelta.rho = 0.9, adadelta.eps = 1e-6;
  auto nadam = AdamLike<NAdamArgs>();
  float product = 0;
  nadam.mu_product = &product;
  ExpectRateIsSeen(kernels_.sgd, reference::Sgd, kSgdStates, SgdArgs());
  ExpectRateIsSeen(kernels_.adam, reference::Adam, kAdamStates,
                   AdamLike<AdamArgs>());
  ExpectRateIsSeen(kernels_.nadam, reference::NAdam, kNAdamStates, nadam);
  ExpectRateIsSeen(kernels_.radam, reference::RAdam, kRAdamStates,
                   AdamLike<RAdamArgs>());
  ExpectRateIsSeen(kernels_.rmsprop, reference::RmsProp, kRmsPropStates,
                   rmsprop);
  ExpectRateIsSeen(kernels_.adagrad, reference::Adagrad, kAdagradStates,
                   adagrad);
  ExpectRateIsSeen(kernels_.adadelta, reference::Adadelta, kAdadeltaStates,
                   adadelta);
  ExpectRateIsSeen(kernels_.lion, reference::Lion, kLionStates,
                   WithBetas<LionArgs>(0.9, 0.99));
}

MODELBATCH_ON_EVERY_TABLE(OptimizerTest);

}  // namespace
}  // namespace modelbatch::cpu::testing
