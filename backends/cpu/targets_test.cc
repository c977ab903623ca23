// The promise of kernels.h: every table computes the same bits, whatever the
// shape, the strides, the values and whatever lies in the padding.
#include "backends/cpu/targets.h"

#include <cmath>
#include <functional>

#include "backends/cpu/kernels.h"
#include "backends/cpu/optimizer_args.h"
#include "backends/cpu/testing.h"
#include "gtest/gtest.h"

namespace modelbatch::cpu::testing {
namespace {

// Runs `compute` with the same random numbers on every table, with two row
// strides and four kinds of padding, and expects the same bits from all.
using Compute = std::function<std::vector<float>(
    const Kernels& kernels, Random& random, int64_t extra, float padding)>;
void ExpectSameBits(int trials, const Compute& compute) {
  if (FindKernels("avx2") == nullptr) GTEST_SKIP() << "one table only";
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<float> expected;
    for (const char* name : {"generic", "avx2", "avx512"}) {
      if (FindKernels(name) == nullptr) continue;
      for (float padding : {0.0f, kNan, kInf, 1e-45f}) {
        for (int64_t extra : {0, 2}) {
          Random random(trial);
          const std::vector<float> got =
              compute(*FindKernels(name), random, extra, padding);
          if (expected.empty()) expected = got;
          ASSERT_TRUE(SameBits(got, expected))
              << name << " trial " << trial << " padding " << padding
              << " extra " << extra;
        }
      }
    }
  }
}

void Append(std::vector<float>& to, const std::vector<float>& values) {
  to.insert(to.end(), values.begin(), values.end());
}

std::vector<float> Values(Random& random, int64_t count) {
  return random.Bool() ? random.Wild(count) : random.Normals(count);
}

// 1 often; else up to three cache lines of columns.
int64_t Extent(Random& random) {
  return random.Int(0, 9) == 0 ? 1 : random.Int(1, 50);
}

TEST(TargetsTest, MathFunctionsOnAllExponents) {
  if (!CpuHasAvx2()) GTEST_SKIP() << "one table only";
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4099) {
    const uint32_t b = static_cast<uint32_t>(bits);
    x.push_back(0);
    std::memcpy(&x.back(), &b, sizeof(b));
  }
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<float> a(n), b(n);
  for (auto f :
       {&MathFunctions::exp, &MathFunctions::log, &MathFunctions::log1p,
        &MathFunctions::tanh, &MathFunctions::sigmoid, &MathFunctions::erf}) {
    (avx2::Math().*f)(n, x.data(), a.data());
    (generic::Math().*f)(n, x.data(), b.data());
    EXPECT_TRUE(SameBits(a, b));
    if (!CpuHasAvx512()) continue;
    (avx512::Math().*f)(n, x.data(), a.data());
    EXPECT_TRUE(SameBits(a, b));
  }
}

TEST(TargetsTest, Gemm) {
  ExpectSameBits(150, [](const Kernels& k, Random& random, int64_t extra,
                         float padding) {
    const int64_t m = Extent(random), n = Extent(random), p = Extent(random);
    Activations a(m, p, Values(random, m * p), extra, padding);
    Activations b(p, n, Values(random, p * n), extra, padding);
    Activations c(m, n, Values(random, m * n), extra, padding);
    GuardedFloats bias(n);
    bias.Set(Values(random, n));
    GemmArgs g;
    g.m = m, g.n = n, g.k = p;
    g.a = a.data(), g.a_row = a.ld(), g.a_col = 1;
    g.b = b.data(), g.b_row = b.ld(), g.b_padded = true;
    g.c = c.data(), g.c_row = c.ld(), g.c_padded = true;
    g.accumulate = random.Bool(), g.relu = random.Bool();
    if (random.Bool()) g.bias = bias.data();
    Activations y(m, n, Values(random, m * n), extra, padding);
    if (random.Bool()) g.relu_output = y.data();
    k.gemm(g);
    std::vector<float> result = c.Values();
    // The weight gradient, a^T b, into compact memory.
    GuardedFloats w(p * n, kNan);
    GemmArgs d;
    d.m = p, d.n = n, d.k = m;
    d.a = a.data(), d.a_row = 1, d.a_col = a.ld();
    d.b = y.data(), d.b_row = y.ld(), d.b_padded = true;
    d.c = w.data(), d.c_row = n;
    k.gemm(d);
    Append(result, w.Values());
    return result;
  });
}

TEST(TargetsTest, Elementwise) {
  for (Unary f : {Unary::kRelu, Unary::kGelu, Unary::kGeluTanh, Unary::kTanh,
                  Unary::kSigmoid}) {
    ExpectSameBits(40, [f](const Kernels& k, Random& random, int64_t extra,
                           float padding) {
      const int64_t rows = Extent(random), cols = Extent(random);
      Activations x(rows, cols, Values(random, rows * cols), extra, padding);
      Activations y(rows, cols, 0, padding);
      Activations dy(rows, cols, Values(random, rows * cols), extra, padding);
      Activations dx(rows, cols, Values(random, rows * cols), extra, padding);
      k.unary_forward(f, rows, cols, x.matrix(), y.matrix());
      k.unary_backward(f, rows, cols, x.matrix(), y.matrix(), dy.matrix(),
                       dx.matrix(), random.Bool());
      std::vector<float> result = y.Values();
      Append(result, dx.Values());
      return result;
    });
  }
}

TEST(TargetsTest, AddCopyColumnSumTranspose) {
  ExpectSameBits(
      100, [](const Kernels& k, Random& random, int64_t extra, float padding) {
        const int64_t rows = Extent(random), cols = Extent(random);
        Activations a(rows, cols, Values(random, rows * cols), extra, padding);
        Activations b(rows, cols, Values(random, rows * cols), 0, padding);
        Activations y(rows, cols, extra, padding);
        k.add(rows, cols, a.matrix(), b.matrix(), y.matrix());
        std::vector<float> result = y.Values();
        k.copy(rows, cols, a.matrix(), y.matrix());
        Append(result, y.Values());
        GuardedFloats sums(cols, kNan);
        k.column_sum(rows, cols, a.matrix(), sums.data());
        Append(result, sums.Values());
        GuardedFloats w(rows * cols);
        w.Set(a.Values());
        Activations t(cols, rows, extra, padding);
        k.transpose(rows, cols, w.data(), t.matrix());
        Append(result, t.Values());
        return result;
      });
}

TEST(TargetsTest, Dropout) {
  ExpectSameBits(100, [](const Kernels& k, Random& random, int64_t extra,
                         float padding) {
    const int64_t rows = Extent(random), cols = Extent(random);
    Activations x(rows, cols, Values(random, rows * cols), extra, padding);
    Activations y(rows, cols, Values(random, rows * cols), extra, padding);
    DropoutKey key;
    key.seed = random.Int(0, INT64_MAX), key.step = random.Int(0, INT64_MAX);
    key.op = static_cast<uint32_t>(random.Int(0, 1000));
    key.p = static_cast<double>(random.Int(0, 10)) / 10;
    k.dropout(rows, cols, x.matrix(), y.matrix(), key, random.Bool());
    return y.Values();
  });
}

TEST(TargetsTest, LayerNorm) {
  ExpectSameBits(100, [](const Kernels& k, Random& random, int64_t extra,
                         float padding) {
    const int64_t rows = Extent(random), cols = Extent(random);
    Activations x(rows, cols, Values(random, rows * cols), extra, padding);
    Activations y(rows, cols, extra, padding);
    Activations dy(rows, cols, Values(random, rows * cols), extra, padding);
    Activations dx(rows, cols, Values(random, rows * cols), extra, padding);
    GuardedFloats weight(cols), bias(cols), mean(rows), rstd(rows);
    GuardedFloats dweight(cols), dbias(cols);
    weight.Set(Values(random, cols));
    bias.Set(Values(random, cols));
    k.layer_norm_forward(rows, cols, 1e-5, x.matrix(), weight.data(),
                         bias.data(), y.matrix(), mean.data(), rstd.data());
    k.layer_norm_backward(rows, cols, x.matrix(), weight.data(), mean.data(),
                          rstd.data(), dy.matrix(), dx.matrix(), random.Bool(),
                          dweight.data(), dbias.data());
    std::vector<float> result = y.Values();
    Append(result, dx.Values());
    for (const GuardedFloats* f : {&mean, &rstd, &dweight, &dbias}) {
      Append(result, f->Values());
    }
    return result;
  });
}

TEST(TargetsTest, Losses) {
  ExpectSameBits(200, [](const Kernels& k, Random& random, int64_t extra,
                         float padding) {
    const int64_t rows = Extent(random), cols = Extent(random);
    Activations x(rows, cols, Values(random, rows * cols), extra, padding);
    Activations target(rows, cols, Values(random, rows * cols), extra, padding);
    Activations dx(rows, cols, extra, padding);
    GuardedFloats losses(rows, kNan);
    std::vector<int64_t> targets(rows), most(rows);
    for (int64_t& t : targets) t = random.Int(0, cols - 1);
    std::vector<float> result = {k.cross_entropy(
        rows, cols, x.matrix(), targets.data(), dx.matrix(), losses.data())};
    Append(result, dx.Values());
    Append(result, losses.Values());
    result.push_back(k.mse(rows, cols, x.matrix(), target.matrix(), dx.matrix(),
                           losses.data()));
    Append(result, dx.Values());
    Append(result, losses.Values());
    k.argmax(rows, cols, x.matrix(), most.data());
    Append(result, {most.begin(), most.end()});
    return result;
  });
}

TEST(TargetsTest, WeightedLossesOnClasses) {
  ExpectSameBits(200, [](const Kernels& k, Random& random, int64_t extra,
                         float padding) {
    ClassLossArgs args;
    args.rows = Extent(random), args.cols = Extent(random);
    const int64_t size = args.rows * args.cols;
    Activations x(args.rows, args.cols, Values(random, size), extra, padding);
    Activations w(1, args.cols, random.Normals(args.cols), extra, padding);
    Activations dx(args.rows, args.cols, extra, padding);
    GuardedFloats weights(args.rows), losses(args.rows, kNan);
    std::vector<int64_t> targets(args.rows);
    for (int64_t i = 0; i < args.rows; ++i) {
      targets[i] = random.Int(-1, args.cols - 1);
      weights[i] = targets[i] < 0 ? 0 : std::abs(random.Normal(1));
      args.total += weights[i];
    }
    args.x = x.matrix(), args.dx = dx.matrix();
    args.targets = targets.data(), args.row_weights = weights.data();
    args.row_losses = losses.data();
    if (random.Bool()) args.class_weights = w.data();
    if (random.Bool()) args.label_smoothing = random.Uniform(0, 1);
    std::vector<float> result;
    for (auto loss : {k.weighted_cross_entropy, k.nll}) {
      result.push_back(loss(args));
      Append(result, dx.Values());
      Append(result, losses.Values());
    }
    return result;
  });
}

TEST(TargetsTest, LossesOnValues) {
  ExpectSameBits(200, [](const Kernels& k, Random& random, int64_t extra,
                         float padding) {
    const int64_t rows = Extent(random), cols = Extent(random);
    Activations x(rows, cols, Values(random, rows * cols), extra, padding);
    Activations target(rows, cols, Values(random, rows * cols), extra, padding);
    Activations pos_weight(1, cols, random.Normals(cols), extra, padding);
    Activations dx(rows, cols, extra, padding);
    GuardedFloats losses(rows, kNan);
    const float width = std::abs(random.Normal(1));
    std::vector<float> result;
    const auto add = [&](float loss) {
      result.push_back(loss);
      Append(result, dx.Values());
      Append(result, losses.Values());
    };
    const Matrix a = x.matrix(), b = target.matrix(), d = dx.matrix();
    add(k.smooth_l1(rows, cols, 0, a, b, d, losses.data()));
    add(k.smooth_l1(rows, cols, width, a, b, d, losses.data()));
    add(k.huber(rows, cols, width, a, b, d, losses.data()));
    add(k.bce_with_logits(rows, cols, nullptr, a, b, d, losses.data()));
    add(k.bce_with_logits(rows, cols, pos_weight.data(), a, b, d,
                          losses.data()));
    return result;
  });
}

TEST(TargetsTest, Optimizers) {
  ExpectSameBits(2000, [](const Kernels& k, Random& random, int64_t, float) {
    const int64_t count = Extent(random);
    GuardedFloats param(count), grad(count), m(count), v(count), w(count);
    for (GuardedFloats* f : {&param, &grad, &m, &v, &w}) {
      f->Set(Values(random, count));
    }
    float product = static_cast<float>(random.Uniform(0, 1));
    // What every optimizer has, anew for each.
    const auto begin = [&](auto args) {
      args.count = count, args.param = param.data(), args.grad = grad.data();
      args.lr = random.Uniform(0, 0.1), args.maximize = random.Bool();
      args.weight_decay = random.Bool() ? random.Uniform(0, 0.1) : 0;
      args.step = random.Bool() ? 1 : random.Int(2, 1000);
      return args;
    };
    const auto with_betas = [&](auto args) {
      args = begin(args);
      args.exp_avg = m.data();
      args.beta1 = random.Uniform(0, 1), args.beta2 = random.Uniform(0.5, 1);
      return args;
    };
    const auto adam_like = [&](auto args) {
      args = with_betas(args);
      args.exp_avg_sq = v.data(), args.eps = 1e-8;
      args.decoupled = random.Bool();
      return args;
    };
    AdamArgs adam = adam_like(AdamArgs());
    adam.max_exp_avg_sq = w.data(), adam.amsgrad = random.Bool();
    NAdamArgs nadam = adam_like(NAdamArgs());
    nadam.mu_product = &product, nadam.momentum_decay = random.Uniform(0, 0.1);
    const RAdamArgs radam = adam_like(RAdamArgs());
    const LionArgs lion = with_betas(LionArgs());
    SgdArgs sgd = begin(SgdArgs());
    sgd.buffer = m.data();
    sgd.momentum = random.Bool() ? random.Uniform(0, 1) : 0;
    sgd.nesterov = random.Bool();
    sgd.dampening = sgd.nesterov ? 0 : random.Uniform(0, 1);
    RmsPropArgs rmsprop = begin(RmsPropArgs());
    rmsprop.square_avg = v.data(), rmsprop.momentum_buffer = m.data();
    rmsprop.grad_avg = w.data(), rmsprop.centered = random.Bool();
    rmsprop.alpha = random.Uniform(0, 1), rmsprop.eps = 1e-8;
    rmsprop.momentum = random.Bool() ? random.Uniform(0, 1) : 0;
    AdagradArgs adagrad = begin(AdagradArgs());
    adagrad.sum = v.data(), adagrad.eps = 1e-10;
    adagrad.lr_decay = random.Uniform(0, 1);
    adagrad.initial_accumulator_value = random.Uniform(0, 1);
    AdadeltaArgs adadelta = begin(AdadeltaArgs());
    adadelta.square_avg = v.data(), adadelta.acc_delta = w.data();
    adadelta.rho = random.Uniform(0, 1), adadelta.eps = 1e-6;
    const std::function<void()> updates[] = {
        [&] { k.adam(adam); },       [&] { k.nadam(nadam); },
        [&] { k.radam(radam); },     [&] { k.lion(lion); },
        [&] { k.sgd(sgd); },         [&] { k.rmsprop(rmsprop); },
        [&] { k.adagrad(adagrad); }, [&] { k.adadelta(adadelta); },
    };
    // One of them: the next would see little but NaNs.
    updates[random.Int(0, std::size(updates) - 1)]();
    std::vector<float> result = {
        k.all_below(1, count, kInf, {param.data(), 0}) ? 1.0f : 0, product};
    for (const GuardedFloats* f : {&param, &grad, &m, &v, &w}) {
      Append(result, f->Values());
    }
    return result;
  });
}

TEST(TargetsTest, Clip) {
  ExpectSameBits(300, [](const Kernels& k, Random& random, int64_t, float) {
    const int64_t count = random.Int(0, 99);
    GuardedFloats grad(count);
    grad.Set(Values(random, count));
    ClipArgs clip;
    clip.count = count, clip.grad = grad.data();
    if (random.Bool()) clip.scale = random.Uniform(-2, 2);
    if (random.Bool()) clip.value = random.Uniform(0, 2);
    if (random.Bool()) clip.norm = std::exp(random.Uniform(-90, 90));
    k.clip(clip);
    return grad.Values();
  });
}

TEST(TargetsTest, Names) {
  EXPECT_STREQ(GenericKernels().name, "generic");
  EXPECT_EQ(FindKernels("generic"), &GenericKernels());
  EXPECT_EQ(FindKernels("sse9"), nullptr);
  EXPECT_EQ(FindKernels("avx512") != nullptr, CpuHasAvx512());
  EXPECT_EQ(FindKernels("avx2") != nullptr, CpuHasAvx2());
  EXPECT_EQ(FindKernels(BestKernels().name), &BestKernels());
  EXPECT_STREQ(BestKernels().name, CpuHasAvx512() ? "avx512"
                                   : CpuHasAvx2() ? "avx2"
                                                  : "generic");
}

}  // namespace
}  // namespace modelbatch::cpu::testing
