// A step made of its parts: each against a formula in double, and against what
// is known to go wrong elsewhere.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/modelbatch.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

constexpr int64_t kIn = 7, kOut = 3, kBatch = 12;

std::string BackendName() { return std::getenv("MODELBATCH_TEST_BACKEND"); }

Tensor Normals(uint64_t seed, Shape shape) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Tensor tensor = Tensor::Zeros(DType::kFloat32, std::move(shape));
  for (int64_t i = 0; i < tensor.size(); ++i) {
    tensor.data<float>()[i] = normal(random);
  }
  return tensor;
}

Tensor Filled(Shape shape, float value) {
  Tensor tensor = Tensor::Zeros(DType::kFloat32, std::move(shape));
  std::fill_n(tensor.data<float>(), tensor.size(), value);
  return tensor;
}

class PartsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = CreateBackend(BackendName());
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
  }

  void Create(const std::vector<ModelSpec>& specs,
              const std::string& loss = "mse") {
    std::vector<ModelInstance> models;
    for (size_t i = 0; i < specs.size(); ++i) {
      models.push_back({static_cast<int64_t>(i), DeriveSeed(5, i), specs[i]});
    }
    auto batch = ModelBatch::Create(backend_.get(), std::move(models),
                                    {loss, {}}, kBatch);
    ASSERT_TRUE(batch.ok()) << batch.status();
    batch_ = *std::move(batch);
  }
  void CreateLinear(int models) {
    Create(std::vector<ModelSpec>(models, ModelSpec({kIn}).Linear(kOut)));
  }
  void UseSgd(const std::vector<OptimizerConfig>& configs) {
    auto optimizer =
        OptimizerFactory("sgd").CreateOptimizer(batch_.get(), configs);
    ASSERT_TRUE(optimizer.ok()) << optimizer.status();
    sgd_ = std::make_unique<Optimizer>(*std::move(optimizer));
  }

  std::vector<float> Weights(int model, const std::string& name) {
    auto state = batch_->GetModelState(model);
    EXPECT_TRUE(state.ok()) << state.status();
    const Tensor& value = state->slots.at("param").at(name);
    return {value.data<float>(), value.data<float>() + value.size()};
  }
  std::vector<float> Gradient(int model, const std::string& name) {
    auto value = batch_->Gradient(model, name);
    EXPECT_TRUE(value.ok()) << value.status();
    if (!value.ok()) return {};
    return {value->data<float>(), value->data<float>() + value->size()};
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<ModelBatch> batch_;
  std::unique_ptr<Optimizer> sgd_;
};

// y = x w^T + b in double.
void ExpectLinear(const float* x, const std::vector<float>& w,
                  const std::vector<float>& b, const float* y) {
  for (int64_t r = 0; r < kBatch; ++r) {
    for (int64_t j = 0; j < kOut; ++j) {
      double sum = b[j];
      for (int64_t k = 0; k < kIn; ++k) {
        sum += static_cast<double>(x[r * kIn + k]) * w[j * kIn + k];
      }
      ASSERT_NEAR(y[r * kOut + j], sum, 1e-5);
    }
  }
}

TEST_F(PartsTest, ForwardOnSharedAndOnPerModelInputs) {
  CreateLinear(3);
  for (const bool shared : {true, false}) {
    const Tensor inputs =
        Normals(1, shared ? Shape{kBatch, kIn} : Shape{3, kBatch, kIn});
    const auto outputs = batch_->Forward(inputs);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    ASSERT_EQ(outputs->shape(), Shape({3, kBatch, kOut}));
    for (int i = 0; i < 3; ++i) {
      ExpectLinear(inputs.data<float>() + (shared ? 0 : i * kBatch * kIn),
                   Weights(i, "0.weight"), Weights(i, "0.bias"),
                   outputs->data<float>() + i * kBatch * kOut);
    }
  }
}

// dw = dy^T x and db = the sums of dy, whatever the loss was: a loss of the
// caller's own is given by its derivative.
TEST_F(PartsTest, BackwardFromTheCallersGradients) {
  CreateLinear(3);
  const Tensor inputs = Normals(2, {3, kBatch, kIn});
  const Tensor dy = Normals(3, {3, kBatch, kOut});
  ASSERT_TRUE(batch_->Forward(inputs).ok());
  ASSERT_TRUE(batch_->Backward(dy).ok());
  for (int i = 0; i < 3; ++i) {
    const std::vector<float> dw = Gradient(i, "0.weight");
    const std::vector<float> db = Gradient(i, "0.bias");
    for (int64_t j = 0; j < kOut; ++j) {
      double sum = 0;
      for (int64_t r = 0; r < kBatch; ++r) {
        sum += dy.data<float>()[(i * kBatch + r) * kOut + j];
      }
      EXPECT_NEAR(db[j], sum, 1e-5);
      for (int64_t k = 0; k < kIn; ++k) {
        double product = 0;
        for (int64_t r = 0; r < kBatch; ++r) {
          product += static_cast<double>(
                         dy.data<float>()[(i * kBatch + r) * kOut + j]) *
                     inputs.data<float>()[(i * kBatch + r) * kIn + k];
        }
        EXPECT_NEAR(dw[j * kIn + k], product, 1e-5);
      }
    }
  }
}

// Elsewhere the second backward pass overwrites the first.
TEST_F(PartsTest, GradientsAccumulateUntilTheyAreZeroed) {
  CreateLinear(2);
  UseSgd({{{"lr", 0.5}}, {{"lr", 0.25}}});
  const Tensor inputs = Normals(4, {kBatch, kIn});
  const Tensor ones = Filled({2, kBatch, kOut}, 1);
  for (int pass = 1; pass <= 3; ++pass) {
    ASSERT_TRUE(batch_->Forward(inputs).ok());
    ASSERT_TRUE(batch_->Backward(ones).ok());
    EXPECT_EQ(Gradient(1, "0.bias"),
              std::vector<float>(kOut, static_cast<float>(pass * kBatch)));
  }
  const std::vector<float> before = Weights(1, "0.bias");
  ASSERT_TRUE(batch_->Step(*sgd_).ok());
  const std::vector<float> after = Weights(1, "0.bias");
  for (int64_t j = 0; j < kOut; ++j) {
    EXPECT_FLOAT_EQ(after[j], before[j] - 0.25f * 3 * kBatch);
  }
  ASSERT_TRUE(batch_->ZeroGrad(/*set_to_none=*/false).ok());
  EXPECT_EQ(Gradient(1, "0.bias"), std::vector<float>(kOut, 0));
  ASSERT_TRUE(batch_->ZeroGrad().ok());
  EXPECT_EQ(batch_->Gradient(1, "0.bias").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// Elsewhere clipping after backward has no effect, and one model's norm clips
// all.
TEST_F(PartsTest, ClippingIsEachModelsOwn) {
  CreateLinear(3);
  const double infinity = std::numeric_limits<double>::infinity();
  UseSgd({{{"lr", 1}, {"clip_norm", 0.5}},
          {{"lr", 1}, {"clip_norm", infinity}},
          {{"lr", 1}, {"clip_value", 2}}});
  const Tensor inputs = Normals(5, {kBatch, kIn});
  ASSERT_TRUE(batch_->Forward(inputs).ok());
  ASSERT_TRUE(batch_->Backward(Normals(6, {3, kBatch, kOut})).ok());
  std::vector<std::vector<double>> gradients(3), steps(3);
  for (int i = 0; i < 3; ++i) {
    for (const char* name : {"0.weight", "0.bias"}) {
      for (const float g : Gradient(i, name)) gradients[i].push_back(g);
      for (const float w : Weights(i, name)) steps[i].push_back(w);
    }
  }
  ASSERT_TRUE(batch_->Step(*sgd_).ok());
  for (int i = 0; i < 3; ++i) {
    size_t e = 0;
    for (const char* name : {"0.weight", "0.bias"}) {
      for (const float w : Weights(i, name)) steps[i][e++] -= w;
    }
  }
  double squares = 0;
  for (const double g : gradients[0]) squares += g * g;
  ASSERT_GT(std::sqrt(squares), 0.5);
  // torch.nn.utils.clip_grad_norm_'s factor.
  const double factor = 0.5 / (std::sqrt(squares) + 1e-6);
  for (size_t e = 0; e < gradients[0].size(); ++e) {
    EXPECT_NEAR(steps[0][e], factor * gradients[0][e], 1e-6);
    EXPECT_NEAR(steps[1][e], gradients[1][e], 2e-6);
    EXPECT_NEAR(steps[2][e], std::min(2.0, std::max(-2.0, gradients[2][e])),
                1e-6);
  }
}

// Elsewhere the generator is forked around every forward pass, so that every
// step drops the same elements, and model 0's rate is taken for all.
TEST_F(PartsTest, MasksChangeWithEveryStepAndRatesAreEachModelsOwn) {
  const int64_t width = 400;
  std::vector<ModelSpec> specs;
  const std::vector<double> rates = {0, 0.9, 0.5};
  for (const double p : rates) {
    specs.push_back(ModelSpec({1}).Linear(width).Dropout(p));
  }
  Create(specs);
  UseSgd({{{"lr", 0}}, {{"lr", 0}}, {{"lr", 0}}});
  const Tensor one = Filled({1, 1}, 1);
  const auto kept = [&](const Tensor& outputs, int model) {
    std::vector<bool> result;
    for (int64_t j = 0; j < width; ++j) {
      result.push_back(outputs.data<float>()[model * width + j] != 0);
    }
    return result;
  };
  const auto step = [&] {
    ASSERT_TRUE(batch_->Backward(Filled({3, 1, width}, 1)).ok());
    ASSERT_TRUE(batch_->Step(*sgd_).ok());
    ASSERT_TRUE(batch_->ZeroGrad().ok());
  };
  const auto first = batch_->Forward(one);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto again = batch_->Forward(one);
  ASSERT_TRUE(again.ok());
  step();
  const auto second = batch_->Forward(one);
  ASSERT_TRUE(second.ok());
  for (int i = 0; i < 3; ++i) {
    const std::vector<bool> mask = kept(*first, i);
    // The masks of a step are drawn once.
    EXPECT_EQ(mask, kept(*again, i));
    EXPECT_EQ(mask != kept(*second, i), i > 0);
    const double share =
        static_cast<double>(std::count(mask.begin(), mask.end(), true)) / width;
    EXPECT_NEAR(share, 1 - rates[i], 5 * std::sqrt(0.25 / width));
  }
  // The gradient went through the masks of the forward pass.
  ASSERT_TRUE(batch_->Backward(Filled({3, 1, width}, 1)).ok());
  for (int i = 0; i < 3; ++i) {
    const std::vector<bool> mask = kept(*second, i);
    const std::vector<float> db = Gradient(i, "0.bias");
    for (int64_t j = 0; j < width; ++j) EXPECT_EQ(db[j] != 0, mask[j]);
  }
  batch_->Eval();
  const auto evaluated = batch_->Forward(one);
  ASSERT_TRUE(evaluated.ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(kept(*evaluated, i), std::vector<bool>(width, true));
  }
}

// Elsewhere one model's NaN keeps all from stepping.
TEST_F(PartsTest, ANanConcernsItsModelOnly) {
  CreateLinear(2);
  UseSgd({{{"lr", 0.1}}, {{"lr", 0.1}}});
  Tensor dy = Filled({2, kBatch, kOut}, 1);
  dy.data<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> before[] = {Weights(0, "0.bias"),
                                       Weights(1, "0.bias")};
  ASSERT_TRUE(batch_->Forward(Normals(7, {kBatch, kIn})).ok());
  ASSERT_TRUE(batch_->Backward(dy).ok());
  EXPECT_EQ(
      batch_->last_step().outcomes,
      std::vector<Outcome>({Outcome::kNonFiniteGradient, Outcome::kStepped}));
  ASSERT_TRUE(batch_->Step(*sgd_).ok());
  EXPECT_EQ(
      batch_->last_step().outcomes,
      std::vector<Outcome>({Outcome::kNonFiniteGradient, Outcome::kStepped}));
  EXPECT_EQ(Weights(0, "0.bias"), before[0]);
  EXPECT_NE(Weights(1, "0.bias"), before[1]);
}

// Means over each model's own rows and columns; the joined value is for people,
// the gradients carry no 1 / num_models.
TEST_F(PartsTest, LossesAndTheirReductions) {
  CreateLinear(2);
  const Tensor outputs = Normals(9, {2, kBatch, kOut});
  for (const bool shared : {true, false}) {
    const Tensor targets =
        Normals(10, shared ? Shape{kBatch, kOut} : Shape{2, kBatch, kOut});
    double losses[2] = {0, 0};
    std::vector<double> gradients;
    for (int64_t e = 0; e < outputs.size(); ++e) {
      const double d = static_cast<double>(outputs.data<float>()[e]) -
                       targets.data<float>()[e % targets.size()];
      losses[e / (kBatch * kOut)] += d * d / (kBatch * kOut);
      gradients.push_back(2 * d / (kBatch * kOut));
    }
    const auto mean = batch_->ComputeLoss(outputs, targets);
    ASSERT_TRUE(mean.ok()) << mean.status();
    EXPECT_NEAR(mean->value.data<double>()[0], (losses[0] + losses[1]) / 2,
                1e-6);
    for (int64_t e = 0; e < outputs.size(); ++e) {
      EXPECT_NEAR(mean->output_gradients.data<float>()[e], gradients[e], 1e-6);
    }
    const auto sum =
        batch_->ComputeLoss(outputs, targets, {"mse", {}}, Reduction::kSum);
    ASSERT_TRUE(sum.ok());
    EXPECT_NEAR(sum->value.data<double>()[0], losses[0] + losses[1], 1e-6);
    const auto none =
        batch_->ComputeLoss(outputs, targets, {"mse", {}}, Reduction::kNone);
    ASSERT_TRUE(none.ok());
    ASSERT_EQ(none->value.shape(), Shape({2}));
    for (int i = 0; i < 2; ++i) {
      EXPECT_NEAR(none->value.data<double>()[i], losses[i], 1e-6);
      EXPECT_NEAR(batch_->Metrics().at(absl::StrCat("loss_model_", i)),
                  losses[i], 1e-6);
    }
  }
}

// Elsewhere targets [batch, k] are taken for each model's own when batch and
// num_models are the same number.
TEST_F(PartsTest, TargetsOfAsManyRowsAsModelsAreStillShared) {
  CreateLinear(kBatch);
  const Tensor outputs = Filled({kBatch, kBatch, kOut}, 0);
  Tensor targets = Tensor::Zeros(DType::kFloat32, {kBatch, kOut});
  for (int64_t r = 0; r < kBatch; ++r) {
    for (int64_t j = 0; j < kOut; ++j) {
      targets.data<float>()[r * kOut + j] = static_cast<float>(r);
    }
  }
  const auto loss =
      batch_->ComputeLoss(outputs, targets, {"mse", {}}, Reduction::kNone);
  ASSERT_TRUE(loss.ok()) << loss.status();
  double squares = 0;
  for (int64_t r = 0; r < kBatch; ++r) squares += r * r;
  for (int64_t i = 0; i < kBatch; ++i) {
    EXPECT_NEAR(loss->value.data<double>()[i], squares / kBatch, 1e-9);
  }
  const auto own = batch_->ComputeLoss(outputs, targets, {"mse", {}},
                                       Reduction::kNone, TargetsOf::kPerModel);
  EXPECT_EQ(own.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(own.status().message()).find("[12, 12, 3]"),
            std::string::npos)
      << own.status();
}

// The parts make the whole: the same weights as TrainStep's, to rounding.
TEST_F(PartsTest, ForwardLossBackwardStepIsATrainStep) {
  const std::vector<OptimizerConfig> configs = {
      {{"lr", 0.3}, {"momentum", 0.9}}, {{"lr", 0.1}}};
  const std::vector<ModelSpec> specs = {
      ModelSpec({kIn}).Linear(8).Dropout(0.3).Relu().Linear(kOut),
      ModelSpec({kIn}).Linear(5).Dropout(0.6).Relu().Linear(kOut)};
  const Tensor inputs = Normals(11, {kBatch, kIn});
  std::vector<int64_t> labels;
  std::vector<int32_t> rows;
  for (int64_t r = 0; r < kBatch; ++r) {
    labels.push_back(r % kOut);
    rows.push_back(static_cast<int32_t>(r));
  }
  std::vector<std::vector<float>> results[2];
  for (const bool parts : {false, true}) {
    Create(specs, "cross_entropy");
    UseSgd(configs);
    auto data = backend_->CreateDataset(inputs.Clone(),
                                        Tensor::FromVector(labels, {kBatch}));
    ASSERT_TRUE(data.ok());
    for (int step = 0; step < 5; ++step) {
      if (!parts) {
        ASSERT_TRUE(batch_->TrainStep(**data, {rows, {}}, *sgd_).ok());
        continue;
      }
      const auto outputs = batch_->Forward(inputs);
      ASSERT_TRUE(outputs.ok()) << outputs.status();
      const auto loss =
          batch_->ComputeLoss(*outputs, Tensor::FromVector(labels, {kBatch}));
      ASSERT_TRUE(loss.ok()) << loss.status();
      ASSERT_TRUE(batch_->Backward(*loss).ok());
      ASSERT_TRUE(batch_->Step(*sgd_).ok());
      ASSERT_TRUE(batch_->ZeroGrad().ok());
    }
    for (int i = 0; i < 2; ++i) {
      for (const char* name : {"0.weight", "0.bias", "3.weight", "3.bias"}) {
        results[parts].push_back(Weights(i, name));
      }
    }
  }
  for (size_t t = 0; t < results[0].size(); ++t) {
    for (size_t e = 0; e < results[0][t].size(); ++e) {
      EXPECT_NEAR(results[0][t][e], results[1][t][e], 2e-6);
    }
  }
}

TEST_F(PartsTest, ARefusedCallChangesNothing) {
  CreateLinear(3);
  UseSgd({{{"lr", 0.1}}, {{"lr", 0.1}}, {{"lr", 0.1}}});
  ASSERT_TRUE(batch_->Remove(1).ok());
  ASSERT_TRUE(batch_->Compact().ok());
  auto data = backend_->CreateDataset(Normals(12, {kBatch, kIn}),
                                      Normals(13, {kBatch, kOut}));
  ASSERT_TRUE(data.ok());
  const std::vector<int32_t> rows = {0, 1, 2}, bad = {0, 999};
  ASSERT_TRUE(batch_->TrainStep(**data, {rows, {}}, *sgd_).ok());
  const auto metrics = batch_->Metrics();
  EXPECT_EQ(metrics.size(), 2u);
  EXPECT_FALSE(batch_->Step(*sgd_).ok());  // no gradients
  EXPECT_FALSE(batch_->TrainStep(**data, {bad, {}}, *sgd_).ok());
  EXPECT_EQ(batch_->Metrics(), metrics);
  // Gradients that are kept stay so, and are known to be.
  EXPECT_FALSE(batch_->Accumulate(**data, {bad, {}}).ok());
  EXPECT_TRUE(batch_->Reset(0).ok());
  ASSERT_TRUE(batch_->Accumulate(**data, {rows, {}}).ok());
  const std::vector<float> gradient = Gradient(2, "0.weight");
  EXPECT_FALSE(batch_->TrainStep(**data, {bad, {}}, *sgd_).ok());
  EXPECT_EQ(Gradient(2, "0.weight"), gradient);
  EXPECT_EQ(batch_->Reset(0).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(batch_->ZeroGrad().ok());
  EXPECT_TRUE(batch_->Reset(0).ok());
}

// Rows are evaluated in pieces of as many as a step may have, which is another
// model's business.
TEST_F(PartsTest, AnEvaluationIsTheSameInPiecesOfAnySize) {
  const int64_t count = 2000;
  const Tensor inputs = Normals(14, {count, kIn});
  std::vector<int64_t> labels;
  std::vector<int32_t> rows;
  for (int64_t r = 0; r < count; ++r) {
    labels.push_back((r * r + r / 7) % kOut);
    rows.push_back(static_cast<int32_t>(r));
  }
  const LossSpec loss = {"cross_entropy",
                         {{"weight", std::vector<double>{1e-6, 1e4, 0.3}}}};
  std::vector<double> losses;
  for (const int64_t max_rows : {1, 32, 48, 100, 2000}) {
    auto batch = ModelBatch::Create(backend_.get(),
                                    {{0, 1, ModelSpec({kIn}).Linear(kOut)}},
                                    loss, max_rows);
    ASSERT_TRUE(batch.ok()) << batch.status();
    auto data = backend_->CreateDataset(inputs.Clone(),
                                        Tensor::FromVector(labels, {count}));
    ASSERT_TRUE(data.ok());
    EvaluateResult result;
    ASSERT_TRUE((*batch)->Evaluate(**data, {rows, {}}, &result).ok());
    losses.push_back(result.losses[0]);
  }
  for (const double value : losses) {
    if (BackendName() == "cpu") {
      EXPECT_EQ(value, losses[0]);
    } else {
      EXPECT_NEAR(value, losses[0], 1e-6 * losses[0]);
    }
  }
}

// Elsewhere these two collide.
TEST_F(PartsTest, NamesThatDifferInADotOnly) {
  ModelSpec spec({kIn});
  spec.AddOperator({"a.b", "linear", {-1}, {{"out_features", kIn}}});
  spec.AddOperator({"a_b", "linear", {0}, {{"out_features", kIn}}});
  Create({spec});
  auto state = batch_->GetModelState(0);
  ASSERT_TRUE(state.ok()) << state.status();
  state->slots["param"]["a.b.bias"] = Filled({kIn}, 1);
  state->slots["param"]["a_b.bias"] = Filled({kIn}, 2);
  ASSERT_TRUE(batch_->LoadModelState(0, *state).ok());
  const std::string folder = TestFolder() + "/names";
  ASSERT_TRUE(batch_->SaveAll(folder).ok());
  Create({spec});
  ASSERT_TRUE(batch_->LoadAll(folder).ok());
  EXPECT_EQ(Weights(0, "a.b.bias"), std::vector<float>(kIn, 1));
  EXPECT_EQ(Weights(0, "a_b.bias"), std::vector<float>(kIn, 2));
}

int64_t StateBytes(ModelBatch& batch) {
  const auto stats = batch.session().Stats();
  EXPECT_TRUE(stats.ok()) << stats.status();
  return stats.ok() ? stats->state_bytes : 0;
}

// Until a step in which a model has amsgrad, there is no third state; then it
// is in the states of those that use it.
TEST_F(PartsTest, AStateIsThereFromWhenAModelNeedsIt) {
  CreateLinear(3);
  auto adam = OptimizerFactory("adam").CreateOptimizer(
      batch_.get(), std::vector<OptimizerConfig>(3));
  ASSERT_TRUE(adam.ok()) << adam.status();
  auto data = backend_->CreateDataset(Normals(1, {kBatch, kIn}),
                                      Normals(2, {kBatch, kOut}));
  ASSERT_TRUE(data.ok()) << data.status();
  std::vector<int32_t> rows(kBatch);
  std::iota(rows.begin(), rows.end(), 0);
  const auto step = [&] {
    const absl::Status status = batch_->TrainStep(**data, {rows, {}}, *adam);
    ASSERT_TRUE(status.ok()) << status;
  };
  const auto has_it = [&](int model) {
    return batch_->GetModelState(model)->slots.count("max_exp_avg_sq") > 0;
  };
  step();
  const int64_t three = StateBytes(*batch_);  // parameters and two states
  EXPECT_FALSE(has_it(0));
  EXPECT_FALSE(has_it(1));

  ASSERT_TRUE(adam->Set(1, "amsgrad", 1).ok());
  EXPECT_EQ(StateBytes(*batch_), three);
  step();
  EXPECT_EQ(StateBytes(*batch_), three / 3 * 4);
  EXPECT_FALSE(has_it(0));
  EXPECT_TRUE(has_it(1));

  // States with and without it go into a batch that has not held it yet, and
  // the other way round.
  const auto states = batch_->GetModelStates();
  ASSERT_TRUE(states.ok()) << states.status();
  step();
  const std::vector<float> expected = Weights(1, "0.weight");
  ASSERT_TRUE(batch_->SetOptimizer("adam").ok());
  EXPECT_EQ(StateBytes(*batch_), three);
  ASSERT_TRUE(batch_->LoadModelState(0, (*states)[0]).ok());
  EXPECT_EQ(StateBytes(*batch_), three);
  EXPECT_FALSE(has_it(0));
  ASSERT_TRUE(batch_->LoadModelStates(*states).ok());
  EXPECT_TRUE(has_it(1));
  step();
  EXPECT_EQ(Weights(1, "0.weight"), expected);
  ASSERT_TRUE(batch_->LoadModelState(1, (*states)[0]).ok());
  EXPECT_FALSE(has_it(1));
}

TEST_F(PartsTest, MistakesAreNamed) {
  using absl::StatusCode;
  const auto expect = [](const absl::Status& status, StatusCode code,
                         const std::string& text) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(std::string(status.message()).find(text), std::string::npos)
        << status;
  };
  CreateLinear(2);
  UseSgd({{}, {}});
  const Tensor inputs = Normals(8, {kBatch, kIn});
  const Tensor dy = Filled({2, kBatch, kOut}, 1);
  expect(batch_->Backward(dy), StatusCode::kFailedPrecondition,
         "Forward in training mode");
  expect(batch_->Step(*sgd_), StatusCode::kFailedPrecondition, "no gradients");
  expect(batch_->Forward(Normals(8, {kBatch, kIn + 1})).status(),
         StatusCode::kInvalidArgument, "[batch, *[7]]");
  expect(batch_->Forward(Normals(8, {3, kBatch, kIn})).status(),
         StatusCode::kInvalidArgument, "[2, batch, *[7]]");
  expect(batch_->Forward(Tensor::Zeros(DType::kInt64, {kBatch, kIn})).status(),
         StatusCode::kInvalidArgument, "int64");
  expect(batch_->Forward(Normals(8, {kBatch + 1, kIn})).status(),
         StatusCode::kInvalidArgument, absl::StrCat("at most the ", kBatch));
  ASSERT_TRUE(batch_->Forward(inputs).ok());
  expect(batch_->Backward(Filled({1, kBatch, kOut}, 1)),
         StatusCode::kInvalidArgument, "[2, 12, 3]");
  expect(batch_->Backward(Filled({2, kBatch, kOut + 1}, 1)),
         StatusCode::kInvalidArgument, "[2, 12, 3]");
  ASSERT_TRUE(batch_->Backward(dy).ok());
  expect(batch_->Replace(0, batch_->model(1)), StatusCode::kFailedPrecondition,
         "ZeroGrad");
  ASSERT_TRUE(batch_->Step(*sgd_).ok());
  expect(batch_->Backward(dy), StatusCode::kFailedPrecondition,
         "Forward in training mode");
  ASSERT_TRUE(batch_->ZeroGrad().ok());
  batch_->Eval();
  // Any number of rows in evaluation mode, and nothing to go back from.
  ASSERT_TRUE(batch_->Forward(Normals(8, {3 * kBatch, kIn})).ok());
  expect(batch_->Backward(Filled({2, 3 * kBatch, kOut}, 1)),
         StatusCode::kFailedPrecondition, "training mode");
  Create({ModelSpec({kIn}).Linear(3), ModelSpec({kIn}).Linear(4)});
  expect(batch_->Forward(inputs).status(), StatusCode::kInvalidArgument,
         "outputs of model 0 are [3] a row, of model 1 [4]");
}

}  // namespace
}  // namespace modelbatch
