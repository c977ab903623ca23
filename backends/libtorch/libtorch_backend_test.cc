// What is LibTorch's own, through the plugin, as a program uses it. That it
// trains what the other backends train: //tests/equivalence.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "modelbatch/modelbatch.h"

namespace modelbatch {
namespace {

constexpr int64_t kInputs = 12, kClasses = 5, kDatasetRows = 96;
constexpr int64_t kBatch = 16;
constexpr int kSteps = 20;

template <typename T>
T Take(absl::StatusOr<T> result) {
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

std::unique_ptr<Dataset> MakeDataset(Backend& backend, int poisoned_row = -1) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> features(kDatasetRows * kInputs);
  for (float& x : features) x = normal(random);
  if (poisoned_row >= 0) {
    features[poisoned_row * kInputs] = std::numeric_limits<float>::quiet_NaN();
  }
  std::vector<int64_t> classes(kDatasetRows);
  for (int64_t row = 0; row < kDatasetRows; ++row)
    classes[row] = row % kClasses;
  return Take(backend.CreateDataset(
      Tensor::FromVector(features, {kDatasetRows, kInputs}),
      Tensor::FromVector(classes, {kDatasetRows})));
}

std::unique_ptr<ModelBatch> MakeBatch(Backend& backend,
                                      const std::vector<ModelSpec>& specs) {
  std::vector<ModelInstance> models;
  for (size_t i = 0; i < specs.size(); ++i) {
    models.push_back({static_cast<int64_t>(i), 1000 + i, specs[i]});
  }
  return Take(ModelBatch::Create(&backend, std::move(models),
                                 {"cross_entropy", {}}, kBatch));
}

Optimizer MakeAdam(ModelBatch* batch) {
  return Take(OptimizerFactory("adam").CreateOptimizer(
      batch, std::vector<OptimizerConfig>(batch->num_models())));
}

// The trained models.
std::vector<ModelState> Train(const std::vector<ModelSpec>& specs,
                              const std::string& name = "libtorch") {
  const std::unique_ptr<Backend> backend = Take(CreateBackend(name));
  const std::unique_ptr<Dataset> dataset = MakeDataset(*backend);
  const std::unique_ptr<ModelBatch> batch = MakeBatch(*backend, specs);
  const Optimizer adam = MakeAdam(batch.get());
  for (int step = 0; step < kSteps; ++step) {
    std::vector<int32_t> rows;
    for (int j = 0; j < kBatch; ++j) {
      rows.push_back((step * 31 + j * 5) % kDatasetRows);
    }
    const absl::Status status = batch->TrainStep(*dataset, {rows, {}}, adam);
    EXPECT_TRUE(status.ok()) << status;
  }
  std::vector<ModelState> states;
  for (int i = 0; i < batch->num_models(); ++i) {
    states.push_back(Take(batch->GetModelState(i)));
  }
  return states;
}

// Norm-wise.
double Difference(const Tensor& a, const Tensor& b) {
  const float *x = a.data<float>(), *y = b.data<float>();
  double difference = 0, norm = 0;
  for (int64_t e = 0; e < a.size(); ++e) {
    difference += (x[e] - y[e]) * static_cast<double>(x[e] - y[e]);
    norm += y[e] * static_cast<double>(y[e]);
  }
  return std::sqrt(difference / std::max(norm, 1e-30));
}

void ExpectEqual(const std::vector<ModelState>& a,
                 const std::vector<ModelState>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].step, b[i].step);
    for (const auto& [name, value] : a[i].slots.at("param")) {
      EXPECT_LE(Difference(value, b[i].slots.at("param").at(name)), 1e-5)
          << "model " << i << ", " << name;
    }
  }
}

ModelSpec Mlp(int64_t width) {
  return ModelSpec({kInputs}).Linear(width).Relu().Linear(kClasses);
}

ModelSpec Residual(int64_t width, double p) {
  return ModelSpec({kInputs})
      .Linear(width)
      .LayerNorm()
      .Gelu()
      .Dropout(p)
      .Linear(width)
      .Add(3)
      .Linear(kClasses);
}

// Of three models the middle one sees the poisoned row.
TEST(LibTorchTest, ANaNSkipsItsModelOnly) {
  const std::unique_ptr<Backend> backend = Take(CreateBackend("libtorch"));
  const std::vector<ModelSpec> specs(3, Mlp(8));
  const std::unique_ptr<Dataset> clean = MakeDataset(*backend);
  const std::unique_ptr<Dataset> poisoned = MakeDataset(*backend, 4);
  const std::vector<int32_t> rows = {0, 1, 2, 4, 5, 6};
  const std::vector<int64_t> offsets = {0, 2, 4, 6};
  const auto train = [&](const Dataset& dataset) {
    std::unique_ptr<ModelBatch> batch = MakeBatch(*backend, specs);
    const Optimizer adam = MakeAdam(batch.get());
    EXPECT_TRUE(batch->TrainStep(dataset, {rows, offsets}, adam).ok());
    return batch;
  };
  const std::unique_ptr<ModelBatch> a = train(*clean), b = train(*poisoned);
  const std::unique_ptr<ModelBatch> untrained = MakeBatch(*backend, specs);
  EXPECT_EQ(b->last_step().outcomes[1], Outcome::kNonFiniteLoss);
  for (int i = 0; i < 3; ++i) {
    ModelBatch& expected = i == 1 ? *untrained : *a;
    const Tensor x = Take(b->session().ReadState(i, "param", "0.weight"));
    const Tensor y = Take(expected.session().ReadState(i, "param", "0.weight"));
    EXPECT_LE(Difference(x, y), i == 1 ? 0 : 1e-6);
    EXPECT_EQ(Take(b->session().ReadState(i, "step", "")).data<int64_t>()[0],
              i == 1 ? 0 : 1);
  }
}

// The relu overwrites what the dropout has made of a value that another
// operator reads, though nothing is dropped.
TEST(LibTorchTest, ADropoutOfNothingIsNotItsInput) {
  const std::vector<ModelSpec> specs(
      3,
      ModelSpec({kInputs}).Linear(8).Dropout(0).Relu().Add(0).Linear(kClasses));
  ExpectEqual(Train(specs), Train(specs, "cpu"));
}

// More models than a block holds, each with its own number of rows, some with
// none: every one ends as alone.
TEST(LibTorchTest, BlocksOfRaggedModelsAreEachTheirOwn) {
  constexpr int kModels = 9;
  const std::unique_ptr<Backend> backend =
      Take(CreateBackend("libtorch", {{"threads", int64_t{1}}}));
  const std::unique_ptr<Dataset> dataset = MakeDataset(*backend);
  // 4 copies of 300 x 300 parameters and more: three models are above a block.
  const ModelSpec wide =
      ModelSpec({kInputs}).Linear(300).Relu().Linear(300).Linear(kClasses);
  const auto rows_of = [](int model) {
    std::vector<int32_t> rows;
    for (int j = 0; j < (model * 7) % kBatch; ++j) {
      rows.push_back((model * 11 + j * 5) % kDatasetRows);
    }
    return rows;
  };
  const auto train = [&](const std::vector<int>& models) {
    std::vector<ModelInstance> instances;
    std::vector<int32_t> rows;
    std::vector<int64_t> offsets = {0};
    for (const int model : models) {
      instances.push_back({model, static_cast<uint64_t>(model), wide});
      for (const int32_t row : rows_of(model)) rows.push_back(row);
      offsets.push_back(static_cast<int64_t>(rows.size()));
    }
    std::unique_ptr<ModelBatch> batch = Take(ModelBatch::Create(
        backend.get(), std::move(instances), {"cross_entropy", {}}, kBatch));
    const Optimizer adam = MakeAdam(batch.get());
    for (int step = 0; step < 3; ++step) {
      EXPECT_TRUE(batch->TrainStep(*dataset, {rows, offsets}, adam).ok());
    }
    return batch;
  };
  std::vector<int> all(kModels);
  for (int i = 0; i < kModels; ++i) all[i] = i;
  const std::unique_ptr<ModelBatch> together = train(all);
  for (int i = 0; i < kModels; ++i) {
    const std::unique_ptr<ModelBatch> alone = train({i});
    EXPECT_EQ(together->last_step().outcomes[i],
              alone->last_step().outcomes[0]);
    EXPECT_NEAR(together->last_step().losses[i], alone->last_step().losses[0],
                1e-5);
    for (const char* name : {"0.weight", "3.bias"}) {
      EXPECT_LE(
          Difference(Take(together->session().ReadState(i, "param", name)),
                     Take(alone->session().ReadState(0, "param", name))),
          1e-5)
          << "model " << i << ", " << name;
    }
  }
}

TEST(LibTorchTest, SessionsRunOnSeveralThreads) {
  const std::vector<ModelSpec> one = {Residual(16, 0.1), Residual(16, 0.5)};
  const std::vector<ModelSpec> other = {Mlp(8), Mlp(24), Mlp(8)};
  const std::vector<ModelState> expected_one = Train(one);
  const std::vector<ModelState> expected_other = Train(other);
  std::vector<ModelState> run_one, run_other;
  std::thread thread([&] { run_one = Train(one); });
  run_other = Train(other);
  thread.join();
  ExpectEqual(run_one, expected_one);
  ExpectEqual(run_other, expected_other);
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
