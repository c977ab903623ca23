// Training on the libtorch plugin against the cpu plugin, which shares none of
// its arithmetic: losses, outcomes and weights, norm-wise per tensor.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "modelbatch/loss/loss.h"
#include "modelbatch/modelbatch.h"
#include "modelbatch/util/logging.h"

namespace modelbatch {
namespace {

constexpr int64_t kInputs = 12, kClasses = 5, kDatasetRows = 96;
constexpr int64_t kBatch = 16;
constexpr int kSteps = 20;
// Norm-wise. Adam turns rounding into steps where a gradient is near zero;
// these models, at this learning rate, differ by less.
constexpr double kTolerance = 1e-5;

struct Case {
  std::string name;
  std::vector<ModelSpec> specs = {};
  std::string loss = "cross_entropy";
  std::string optimizer = "adam";
  std::vector<OptimizerConfig> configs = {};
  bool ragged = false;  // model i sees kBatch - i rows, the last one none
  Attributes loss_attributes = {};
};

struct Result {
  std::vector<std::vector<float>> losses;      // by step
  std::vector<std::vector<Outcome>> outcomes;  // by step
  std::vector<ModelState> states;
  EvaluateResult evaluated;
  std::vector<std::vector<float>> outputs;
};

template <typename T>
T Take(absl::StatusOr<T> result) {
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

// A fifth of the rows is ignored where the loss has an `ignore_index`.
std::unique_ptr<Dataset> MakeDataset(Backend& backend, const Case& test,
                                     int poisoned_row = -1) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> features(kDatasetRows * kInputs);
  for (float& x : features) x = normal(random);
  if (poisoned_row >= 0) {
    features[poisoned_row * kInputs] = std::numeric_limits<float>::quiet_NaN();
  }
  Tensor x = Tensor::FromVector(features, {kDatasetRows, kInputs});
  if (!FindLoss(test.loss)->classes) {
    std::vector<float> values(kDatasetRows * kClasses);
    for (float& y : values) y = normal(random);
    if (test.loss == "bce_with_logits") {
      for (float& y : values) y = 1 / (1 + std::exp(-3 * y));
    }
    return Take(backend.CreateDataset(
        std::move(x), Tensor::FromVector(values, {kDatasetRows, kClasses})));
  }
  std::vector<int64_t> classes(kDatasetRows);
  for (int64_t row = 0; row < kDatasetRows; ++row) {
    classes[row] = features[row * kInputs + 1] > 0 ? row % kClasses : 1;
    const auto it = test.loss_attributes.find("ignore_index");
    if (it != test.loss_attributes.end() && row % 5 == 3) {
      classes[row] = std::get<int64_t>(it->second);
    }
  }
  return Take(backend.CreateDataset(
      std::move(x), Tensor::FromVector(classes, {kDatasetRows})));
}

std::unique_ptr<ModelBatch> MakeBatch(Backend& backend, const Case& test) {
  std::vector<ModelInstance> models;
  for (size_t i = 0; i < test.specs.size(); ++i) {
    models.push_back({static_cast<int64_t>(i), 1000 + i, test.specs[i]});
  }
  return Take(ModelBatch::Create(&backend, std::move(models),
                                 {test.loss, test.loss_attributes}, kBatch));
}

Result Train(const std::string& plugin, const Case& test) {
  const std::unique_ptr<Backend> backend = Take(CreateBackend(plugin));
  const std::unique_ptr<Dataset> dataset = MakeDataset(*backend, test);
  const std::unique_ptr<ModelBatch> batch = MakeBatch(*backend, test);
  const int models = batch->num_models();
  std::vector<OptimizerConfig> configs = test.configs;
  configs.resize(models);
  const Optimizer optimizer = Take(
      OptimizerFactory(test.optimizer).CreateOptimizer(batch.get(), configs));
  Result run;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<int32_t> rows;
    std::vector<int64_t> offsets;
    if (test.ragged) offsets.push_back(0);
    for (int i = 0; i < (test.ragged ? models : 1); ++i) {
      const int count = test.ragged && i + 1 == models ? 0 : kBatch - i;
      for (int j = 0; j < count; ++j) {
        rows.push_back((step * 31 + i * 17 + j * 5) % kDatasetRows);
      }
      if (test.ragged) offsets.push_back(rows.size());
    }
    const absl::Status status =
        batch->TrainStep(*dataset, {rows, offsets}, optimizer);
    EXPECT_TRUE(status.ok()) << status;
    run.losses.push_back(batch->last_step().losses);
    run.outcomes.push_back(batch->last_step().outcomes);
  }
  for (int i = 0; i < models; ++i) {
    run.states.push_back(Take(batch->GetModelState(i)));
  }
  std::vector<int32_t> all(kDatasetRows);
  for (int64_t row = 0; row < kDatasetRows; ++row) all[row] = row;
  EXPECT_TRUE(batch->Evaluate(*dataset, {all, {}}, &run.evaluated).ok());
  std::vector<Tensor> outputs;
  EXPECT_TRUE(batch->Forward(*dataset, {all, {}}, &outputs).ok());
  for (const Tensor& output : outputs) {
    run.outputs.emplace_back(output.data<float>(),
                             output.data<float>() + output.size());
  }
  return run;
}

double Difference(const float* a, const float* b, int64_t size) {
  double difference = 0, norm = 0;
  for (int64_t e = 0; e < size; ++e) {
    difference += (a[e] - b[e]) * static_cast<double>(a[e] - b[e]);
    norm += b[e] * static_cast<double>(b[e]);
  }
  return std::sqrt(difference / std::max(norm, 1e-30));
}

void ExpectEqualRuns(const Result& a, const Result& b) {
  EXPECT_EQ(a.outcomes, b.outcomes);
  for (size_t step = 0; step < a.losses.size(); ++step) {
    for (size_t i = 0; i < a.losses[step].size(); ++i) {
      EXPECT_NEAR(a.losses[step][i], b.losses[step][i], 1e-5)
          << "step " << step << ", model " << i;
    }
  }
  for (size_t i = 0; i < a.states.size(); ++i) {
    EXPECT_EQ(a.states[i].step, b.states[i].step);
    for (const auto& [slot, tensors] : a.states[i].slots) {
      for (const auto& [name, value] : tensors) {
        const Tensor& other = b.states[i].slots.at(slot).at(name);
        EXPECT_LE(
            Difference(value.data<float>(), other.data<float>(), value.size()),
            kTolerance * (slot == "param" ? 1 : 10))
            << "model " << i << ", " << slot << " " << name;
      }
    }
    EXPECT_NEAR(a.evaluated.losses[i], b.evaluated.losses[i], 1e-5);
    EXPECT_EQ(a.evaluated.correct[i], b.evaluated.correct[i]);
    EXPECT_LE(Difference(a.outputs[i].data(), b.outputs[i].data(),
                         a.outputs[i].size()),
              kTolerance);
  }
}

ModelSpec Mlp(int64_t width) {
  return ModelSpec({kInputs}).Linear(width).Relu().Linear(kClasses);
}

// Every operator; the residual joins the shared input's two projections.
ModelSpec Everything(int64_t width, double p) {
  ModelSpec spec({3, kInputs / 3});
  spec.Flatten().Linear(width).LayerNorm().Gelu().Dropout(p).Linear(width);
  spec.Tanh().Add(4).Linear(width, /*bias=*/false).Gelu("tanh").Sigmoid();
  spec.Linear(kClasses);
  return spec;
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const std::vector<ModelSpec> equal(5, Mlp(24));
  cases.push_back({"Adam",
                   equal,
                   "cross_entropy",
                   "adam",
                   {{{"lr", 1e-3}},
                    {{"lr", 3e-3}},
                    {{"lr", 1e-3}, {"weight_decay", 0.01}},
                    {{"lr", 1e-3}, {"beta1", 0.5}, {"beta2", 0.99}},
                    {{"lr", 1e-3}, {"eps", 1e-4}}}});
  cases.push_back({"AdamW",
                   equal,
                   "cross_entropy",
                   "adamw",
                   {{{"lr", 1e-3}}, {{"weight_decay", 0.5}}}});
  cases.push_back({"Sgd",
                   equal,
                   "cross_entropy",
                   "sgd",
                   {{{"lr", 0.05}},
                    {{"lr", 0.05}, {"momentum", 0.9}},
                    {{"lr", 0.05}, {"momentum", 0.9}, {"nesterov", 1}},
                    {{"lr", 0.05}, {"momentum", 0.9}, {"dampening", 0.1}},
                    {{"lr", 0.05}, {"weight_decay", 0.1}}}});
  cases.push_back({"PlainSgd", equal, "mse", "sgd", {}});
  cases.push_back({"MixedWidths", {Mlp(8), Mlp(24), Mlp(8), Mlp(17), Mlp(24)}});
  cases.push_back({"OneModel", {Mlp(24)}});
  cases.push_back({"Mse", {Mlp(8), Mlp(24), Mlp(8)}, "mse"});
  cases.push_back({"Everything",
                   {Everything(16, 0.1), Everything(16, 0.5), Everything(16, 0),
                    Everything(23, 0.3)}});
  cases.push_back(
      {"DropoutOfTheSharedInput",
       {ModelSpec({kInputs}).Relu().Dropout(0.2).Linear(kClasses),
        ModelSpec({kInputs}).Relu().Dropout(0.4).Linear(kClasses)}});
  cases.push_back(
      {"DropoutOfAll",
       std::vector<ModelSpec>(
           2, ModelSpec({kInputs}).Linear(8).Dropout(1).Linear(kClasses))});
  cases.push_back({"Ragged", equal});
  cases.back().ragged = true;
  cases.push_back({"RaggedEverything",
                   {Everything(16, 0.1), Everything(16, 0.5),
                    Everything(16, 0.2), Everything(16, 0.3)},
                   "mse",
                   "adam",
                   {},
                   true});
  const auto add_loss = [&](const char* name, const char* loss,
                            Attributes attributes, bool ragged = false) {
    cases.push_back(
        {name, {Mlp(8), Mlp(24), Mlp(8)}, loss, "sgd", {}, ragged, attributes});
  };
  const AttributeValue weight = std::vector<double>{1, 0.5, 2, 0, 3};
  const AttributeValue ignored = int64_t{-100};
  add_loss("Weight", "cross_entropy", {{"weight", weight}});
  add_loss("LabelSmoothing", "cross_entropy", {{"label_smoothing", 0.2}});
  for (const bool ragged : {false, true}) {
    const std::string name = ragged ? "Ragged" : "";
    add_loss((name + "IgnoreIndex").c_str(), "cross_entropy",
             {{"ignore_index", ignored}}, ragged);
    add_loss((name + "CrossEntropyWithAll").c_str(), "cross_entropy",
             {{"weight", weight},
              {"ignore_index", int64_t{2}},
              {"label_smoothing", 0.1}},
             ragged);
    add_loss((name + "NllWithAll").c_str(), "nll",
             {{"weight", weight}, {"ignore_index", ignored}}, ragged);
    add_loss((name + "PosWeight").c_str(), "bce_with_logits",
             {{"pos_weight", weight}}, ragged);
  }
  add_loss("Nll", "nll", {});
  add_loss("BceWithLogits", "bce_with_logits", {});
  add_loss("L1", "l1", {});
  add_loss("Huber", "huber", {{"delta", 0.5}});
  add_loss("SmoothL1", "smooth_l1", {{"beta", 0.5}});
  add_loss("SmoothL1OfBetaZero", "smooth_l1", {{"beta", 0.0}});
  return cases;
}

class AgreementTest : public testing::TestWithParam<Case> {};

TEST_P(AgreementTest, TrainsAsCpuDoesAndWarnsOfNothing) {
  std::vector<std::string> messages;
  std::mutex mutex;
  SetLogSink(LogSeverity::kWarning, [&](LogSeverity, std::string_view text) {
    const std::lock_guard<std::mutex> lock(mutex);
    messages.emplace_back(text);
  });
  const Result run = Train("libtorch", GetParam());
  SetLogSink(LogSeverity::kError, nullptr);
  EXPECT_EQ(messages, std::vector<std::string>());
  ExpectEqualRuns(run, Train("cpu", GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, AgreementTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(LibTorchTest, ALearningRateWrongByATenthOfAPercentWouldBeSeen) {
  Case test = {"", std::vector<ModelSpec>(2, Mlp(24))};
  test.configs = {{{"lr", 1e-3}}, {{"lr", 1e-3}}};
  const Result right = Train("cpu", test);
  test.configs[1]["lr"] = 1.001e-3;
  const Result wrong = Train("libtorch", test);
  const Tensor& a = right.states[1].slots.at("param").at("2.bias");
  const Tensor& b = wrong.states[1].slots.at("param").at("2.bias");
  EXPECT_GT(Difference(b.data<float>(), a.data<float>(), a.size()), kTolerance);
}

// Of three models the middle one sees the poisoned row.
TEST(LibTorchTest, ANaNSkipsItsModelOnly) {
  const std::unique_ptr<Backend> backend = Take(CreateBackend("libtorch"));
  const Case test = {"", std::vector<ModelSpec>(3, Mlp(8))};
  const std::unique_ptr<Dataset> clean = MakeDataset(*backend, test);
  const std::unique_ptr<Dataset> poisoned = MakeDataset(*backend, test, 4);
  const std::vector<int32_t> rows = {0, 1, 2, 4, 5, 6};
  const std::vector<int64_t> offsets = {0, 2, 4, 6};
  const auto train = [&](const Dataset& dataset) {
    std::unique_ptr<ModelBatch> batch = MakeBatch(*backend, test);
    const Optimizer optimizer = Take(OptimizerFactory("adam").CreateOptimizer(
        batch.get(), std::vector<OptimizerConfig>(3)));
    EXPECT_TRUE(batch->TrainStep(dataset, {rows, offsets}, optimizer).ok());
    return batch;
  };
  const std::unique_ptr<ModelBatch> a = train(*clean), b = train(*poisoned);
  const std::unique_ptr<ModelBatch> untrained = MakeBatch(*backend, test);
  EXPECT_EQ(b->last_step().outcomes[1], Outcome::kNonFiniteLoss);
  for (int i = 0; i < 3; ++i) {
    ModelBatch& expected = i == 1 ? *untrained : *a;
    const Tensor x = Take(b->session().ReadState(i, "param", "0.weight"));
    const Tensor y = Take(expected.session().ReadState(i, "param", "0.weight"));
    EXPECT_LE(Difference(x.data<float>(), y.data<float>(), x.size()),
              i == 1 ? 0 : 1e-6);
    EXPECT_EQ(Take(b->session().ReadState(i, "step", "")).data<int64_t>()[0],
              i == 1 ? 0 : 1);
  }
}

TEST(LibTorchTest, SessionsRunOnSeveralThreads) {
  const Case one = {"", {Everything(16, 0.1), Everything(16, 0.5)}};
  const Case other = {"", {Mlp(8), Mlp(24), Mlp(8)}};
  const Result expected_one = Train("libtorch", one);
  const Result expected_other = Train("libtorch", other);
  Result run_one, run_other;
  std::thread thread([&] { run_one = Train("libtorch", one); });
  run_other = Train("libtorch", other);
  thread.join();
  ExpectEqualRuns(run_one, expected_one);
  ExpectEqualRuns(run_other, expected_other);
}

TEST(LibTorchTest, ADeviceThatIsNotThereIsUnavailable) {
  const absl::Status status =
      CreateBackend("libtorch", {{"device", std::string("cuda:63")}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_NE(status.message().find("cuda"), std::string::npos) << status;
  EXPECT_EQ(CreateBackend("libtorch", {{"device", std::string("tpu")}})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(CreateBackend("libtorch").ok());
}

}  // namespace
}  // namespace modelbatch
