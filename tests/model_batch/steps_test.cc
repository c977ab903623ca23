// Several steps in one call of a ModelBatch: the bits of single ones, also when
// models have gone and the session's slots are others than the models.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "modelbatch/modelbatch.h"

namespace modelbatch {
namespace {

constexpr int kModels = 4;
constexpr int64_t kRows = 16, kIn = 5, kBatch = 6;

class StepsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = CreateBackend(std::getenv("MODELBATCH_TEST_BACKEND"));
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
    Tensor features = Tensor::Zeros(DType::kFloat32, {kRows, kIn});
    Tensor targets = Tensor::Zeros(DType::kFloat32, {kRows, 2});
    std::mt19937_64 random(3);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < features.size(); ++i) {
      features.data<float>()[i] = normal(random);
    }
    for (int64_t i = 0; i < targets.size(); ++i) {
      targets.data<float>()[i] = normal(random);
    }
    // Only model 1 sees the last row.
    features.data<float>()[(kRows - 1) * kIn] =
        std::numeric_limits<float>::quiet_NaN();
    dataset_ =
        *backend_->CreateDataset(std::move(features), std::move(targets));
    for (int s = 0; s < 4; ++s) {
      for (int m = 0; m < kModels; ++m) {
        offsets_[s].push_back(static_cast<int64_t>(rows_[s].size()));
        for (int r = 0; r <= (s + m) % 3; ++r) {
          rows_[s].push_back((3 * s + 5 * m + r) % (kRows - 1));
        }
        if (m == 1 && s == 2) rows_[s].push_back(kRows - 1);
      }
      offsets_[s].push_back(static_cast<int64_t>(rows_[s].size()));
    }
  }

  std::unique_ptr<ModelBatch> Create() {
    std::vector<ModelInstance> models;
    for (int m = 0; m < kModels; ++m) {
      models.push_back({m, DeriveSeed(5, m),
                        ModelSpec({kIn}).Linear(3 + m).Tanh().Linear(2)});
    }
    auto batch = ModelBatch::Create(backend_.get(), std::move(models),
                                    {"mse", {}}, kBatch);
    EXPECT_TRUE(batch.ok()) << batch.status();
    EXPECT_TRUE((*batch)->SetOptimizer("adam").ok());
    return *std::move(batch);
  }
  static Optimizer Adam(double lr) {
    std::vector<OptimizerConfig> configs;
    for (int m = 0; m < kModels; ++m) {
      configs.push_back({{"lr", lr * (1 + m)}, {"amsgrad", m == 2}});
    }
    return *Optimizer::Create("adam", {}, configs);
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Dataset> dataset_;
  std::vector<int32_t> rows_[4];
  std::vector<int64_t> offsets_[4];
};

TEST_F(StepsTest, AreTheBitsOfSingleSteps) {
  std::vector<Optimizer> optimizers;
  for (int s = 0; s < 4; ++s) optimizers.push_back(Adam(0.01 / (1 + s)));
  for (const bool removed : {false, true}) {
    const auto together = Create(), single = Create();
    for (ModelBatch* batch : {together.get(), single.get()}) {
      if (removed) {
        ASSERT_TRUE(batch->Remove(0).ok());
        ASSERT_TRUE(batch->Compact().ok());
      }
      ASSERT_TRUE(batch->SetActive(3, false).ok());
    }
    std::vector<BatchStep> steps;
    StepsResult expected;
    for (int s = 0; s < 4; ++s) {
      const RowSet rows = {rows_[s], offsets_[s]};
      steps.push_back({rows, &optimizers[s]});
      ASSERT_TRUE(single->TrainStep(*dataset_, rows, optimizers[s]).ok());
      const StepResult& step = single->last_step();
      for (int m = 0; m < kModels; ++m) {
        expected.losses.push_back(step.losses[m]);
        expected.outcomes.push_back(step.outcomes[m]);
        if (step.outcomes[m] == Outcome::kNonFiniteLoss) {
          ASSERT_TRUE(single->SetActive(m, false).ok());
        }
      }
    }
    const absl::Status status = together->TrainSteps(*dataset_, steps);
    ASSERT_TRUE(status.ok()) << status;
    const StepsResult& got = together->last_steps();
    EXPECT_EQ(got.made, 4);
    EXPECT_EQ(got.outcomes, expected.outcomes);
    ASSERT_EQ(got.losses.size(), expected.losses.size());
    EXPECT_EQ(std::memcmp(got.losses.data(), expected.losses.data(),
                          got.losses.size() * sizeof(float)),
              0);
    EXPECT_EQ(got.outcomes[2 * kModels + 1], Outcome::kNonFiniteLoss);
    EXPECT_EQ(got.outcomes[3 * kModels + 1], Outcome::kInactive);
    EXPECT_EQ(together->last_step().outcomes, single->last_step().outcomes);
    EXPECT_EQ(together->active()[1], 1);  // of the call only
    for (int m = removed; m < kModels; ++m) {
      const auto a = together->GetModelState(m), b = single->GetModelState(m);
      ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
      EXPECT_EQ(a->step, b->step) << m;
      ASSERT_EQ(a->slots.size(), b->slots.size()) << m;
      for (const auto& [slot, tensors] : a->slots) {
        for (const auto& [name, tensor] : tensors) {
          EXPECT_EQ(std::memcmp(tensor.raw(), b->slots.at(slot).at(name).raw(),
                                tensor.byte_size()),
                    0)
              << "model " << m << ", " << slot << " of " << name;
        }
      }
    }
  }
}

TEST_F(StepsTest, WhatDoesNotFitIsRefused) {
  const auto batch = Create();
  const Optimizer adam = Adam(0.01);
  Optimizer clipped = adam;
  ASSERT_TRUE(clipped.Set(0, "clip_norm", 1).ok());
  const Optimizer sgd =
      *Optimizer::Create("sgd", {}, std::vector<OptimizerConfig>(kModels));
  const RowSet rows = {rows_[0], offsets_[0]};
  const auto message = [&](const std::vector<BatchStep>& steps) {
    const absl::Status status = batch->TrainSteps(*dataset_, steps);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(batch->GetModelState(0)->step, 0);
    return std::string(status.message());
  };
  EXPECT_NE(message({}).find("no steps"), std::string::npos);
  EXPECT_NE(message({{rows, &adam}, {rows, nullptr}}).find("step 1 has no"),
            std::string::npos);
  EXPECT_NE(message({{rows, &adam}, {rows, &sgd}}).find("sgd"),
            std::string::npos);
  EXPECT_NE(message({{rows, &adam}, {rows, &clipped}}).find("step 1"),
            std::string::npos);
}

}  // namespace
}  // namespace modelbatch
