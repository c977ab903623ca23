// All models' states at once, and models of odd sizes beside each other.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "modelbatch/modelbatch.h"

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

class StatesTest : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = CreateBackend(BackendName());
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
    for (int32_t r = 0; r < kBatch; ++r) rows_.push_back(r);
    auto data = backend_->CreateDataset(Normals(1, {kBatch, kIn}),
                                        Normals(2, {kBatch, kOut}));
    ASSERT_TRUE(data.ok()) << data.status();
    data_ = *std::move(data);
  }

  // Three networks of different widths and rates, with an optimizer.
  std::unique_ptr<ModelBatch> Create(const std::string& optimizer = "adam") {
    std::vector<ModelInstance> models;
    for (int i = 0; i < 3; ++i) {
      models.push_back(
          {i, DeriveSeed(5, i),
           ModelSpec({kIn}).Linear(5 + 2 * i).Dropout(0.2 * i).Relu().Linear(
               kOut)});
    }
    auto batch = ModelBatch::Create(backend_.get(), std::move(models),
                                    {"mse", {}}, kBatch);
    EXPECT_TRUE(batch.ok()) << batch.status();
    auto made = OptimizerFactory(optimizer).CreateOptimizer(
        batch->get(), {{{"lr", 0.1}}, {{"lr", 0.2}}, {{"lr", 0.3}}});
    EXPECT_TRUE(made.ok()) << made.status();
    optimizers_.push_back(*std::move(made));
    return *std::move(batch);
  }
  void Train(ModelBatch* batch, int steps) {
    while (steps-- > 0) {
      ASSERT_TRUE(batch->TrainStep(*data_, {rows_, {}}, optimizers_[0]).ok());
    }
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Dataset> data_;
  std::vector<int32_t> rows_;
  std::vector<Optimizer> optimizers_;
};

void ExpectSame(const std::vector<ModelState>& a,
                const std::vector<ModelState>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].step, b[i].step);
    ASSERT_EQ(a[i].slots.size(), b[i].slots.size());
    for (const auto& [slot, tensors] : a[i].slots) {
      for (const auto& [name, tensor] : tensors) {
        const Tensor& other = b[i].slots.at(slot).at(name);
        ASSERT_EQ(tensor.shape(), other.shape());
        ASSERT_EQ(std::memcmp(tensor.raw(), other.raw(), tensor.byte_size()), 0)
            << "model " << i << " " << slot << " " << name;
      }
    }
  }
}

// Weights, moments and step counts (which decide masks and Adam's correction).
TEST_F(StatesTest, AnotherBatchGoesOnWithTheSameBits) {
  const auto first = Create();
  Train(first.get(), 4);
  const auto states = first->GetModelStates();
  ASSERT_TRUE(states.ok()) << states.status();
  ASSERT_EQ(states->size(), 3u);
  EXPECT_EQ((*states)[1].step, 4);
  EXPECT_EQ((*states)[1].slots.count("exp_avg_sq"), 1u);
  const auto second = Create();
  Train(second.get(), 1);
  ASSERT_TRUE(second->LoadModelStates(*states).ok());
  ExpectSame(*second->GetModelStates(), *states);
  Train(first.get(), 3);
  Train(second.get(), 3);
  ExpectSame(*second->GetModelStates(), *first->GetModelStates());
}

// Weights alone, without the moments, would go on with other numbers.
TEST_F(StatesTest, AStateThatDoesNotFitChangesNothing) {
  const auto batch = Create();
  Train(batch.get(), 2);
  const auto before = batch->GetModelStates();
  ASSERT_TRUE(before.ok());
  // Beside the state that is wrong, the others are of another time.
  Train(batch.get(), 1);
  const auto now = batch->GetModelStates();
  const auto refused = [&](std::vector<ModelState> states,
                           const std::string& message) {
    const absl::Status status = batch->LoadModelStates(states);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(status.message()).find(message), std::string::npos)
        << status;
    ExpectSame(*batch->GetModelStates(), *now);
  };
  const auto changed = [&](const auto& change) {
    std::vector<ModelState> states = *batch->GetModelStates();
    for (int i = 0; i < 3; ++i) {
      ModelState copy;
      copy.step = (*before)[i].step;
      for (const auto& [slot, tensors] : (*before)[i].slots) {
        for (const auto& [name, tensor] : tensors) {
          copy.slots[slot].emplace(name, tensor.Clone());
        }
      }
      states[i] = std::move(copy);
    }
    change(&states);
    return states;
  };
  refused(changed([](auto* s) { s->pop_back(); }),
          "there are 2 states, expected one a model, 3");
  refused(changed([](auto* s) { (*s)[2].slots["param"].erase("3.bias"); }),
          "model 2: the state has no param 3.bias");
  refused(changed([](auto* s) { (*s)[2].slots.erase("exp_avg"); }),
          "model 2: the state has no exp_avg 0.weight");
  refused(changed([](auto* s) {
            (*s)[1].slots["param"]["0.bias"] =
                Tensor::Zeros(DType::kFloat32, {4});
          }),
          "model 1: param 0.bias is float32 [4], expected float32 [7]");
  refused(changed([](auto* s) { (*s)[2].step = -1; }), "model 2: step is -1");
  refused(changed([](auto* s) {
            (*s)[0].slots["momentum_buffer"]["0.bias"] =
                Tensor::Zeros(DType::kFloat32, {5});
          }),
          "model 0: the state has momentum_buffer, which adam does not have");
  refused(changed([](auto* s) {
            (*s)[0].slots["param"]["1.bias"] =
                Tensor::Zeros(DType::kFloat32, {5});
          }),
          "model 0: the state has param 1.bias, which the model does not have");
}

// Groups that begin where the last odd size ended: elsewhere their products are
// silently wrong.
TEST_F(StatesTest, ModelsOfOddSizesComputeTheirOwnProducts) {
  std::vector<ModelInstance> models;
  for (int i = 0; i < 19; ++i) {
    models.push_back(
        {i, DeriveSeed(6, i), ModelSpec({kIn}).Linear(2 * i + 1).Linear(kOut)});
  }
  auto batch = ModelBatch::Create(backend_.get(), models, {"mse", {}}, kBatch);
  ASSERT_TRUE(batch.ok()) << batch.status();
  const Tensor inputs = Normals(3, {kBatch, kIn});
  const auto outputs = (*batch)->Forward(inputs);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  for (int i = 0; i < 19; ++i) {
    const int64_t width = 2 * i + 1;
    const auto value = [&](const char* name) {
      return *(*batch)->GetParameter(i, name);
    };
    const Tensor w0 = value("0.weight"), b0 = value("0.bias");
    const Tensor w1 = value("1.weight"), b1 = value("1.bias");
    for (int64_t r = 0; r < kBatch; ++r) {
      std::vector<double> hidden(width);
      for (int64_t j = 0; j < width; ++j) {
        hidden[j] = b0.data<float>()[j];
        for (int64_t k = 0; k < kIn; ++k) {
          hidden[j] += static_cast<double>(w0.data<float>()[j * kIn + k]) *
                       inputs.data<float>()[r * kIn + k];
        }
      }
      for (int64_t j = 0; j < kOut; ++j) {
        double sum = b1.data<float>()[j];
        for (int64_t k = 0; k < width; ++k) {
          sum += w1.data<float>()[j * width + k] * hidden[k];
        }
        EXPECT_NEAR(outputs->data<float>()[(i * kBatch + r) * kOut + j], sum,
                    2e-5)
            << "model " << i;
      }
    }
  }
}

}  // namespace
}  // namespace modelbatch
