// The estimate against what the process then holds.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "modelbatch/modelbatch.h"

namespace modelbatch {
namespace {

constexpr int64_t kRows = 64;

int64_t ResidentBytes() {
  malloc_trim(0);
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("VmRSS:", 0) != 0) continue;
    int64_t kilobytes = 0;
    std::istringstream(line.substr(6)) >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

std::vector<ModelInstance> Models(int count) {
  std::vector<ModelInstance> models;
  for (int i = 0; i < count; ++i) {
    models.push_back(
        {i, DeriveSeed(1, i),
         ModelSpec({64}).Linear(64 + 32 * (i % 4)).Relu().Linear(10)});
  }
  return models;
}

TEST(MemoryUsage, ParametersAreThoseOfTheFormula) {
  // Weights and biases of torch.nn.Linear(64, 128) and (128, 10).
  const auto count =
      CountParameters(ModelSpec({64}).Linear(128).Relu().Linear(10));
  ASSERT_TRUE(count.ok());
  EXPECT_EQ(*count, 64 * 128 + 128 + 128 * 10 + 10);
  EXPECT_EQ(CountParameters(ModelSpec({64}).Linear(0)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

struct Case {
  const char* optimizer;
  OptimizerConfig hyper_parameters;
};

class MemoryUsageTest : public testing::TestWithParam<Case> {};

// Within a tenth, for each optimizer, with and without gradients. A state that
// no model needs takes nothing.
TEST_P(MemoryUsageTest, IsWhatTheProcessHolds) {
  const auto& [optimizer, hyper_parameters] = GetParam();
  auto backend = CreateBackend("cpu");
  ASSERT_TRUE(backend.ok()) << backend.status();
  for (const bool gradients : {false, true}) {
    const std::vector<ModelInstance> models = Models(500);
    const auto estimate =
        EstimateMemoryUsage(backend->get(), models, {"cross_entropy", {}},
                            kRows, optimizer, hyper_parameters, gradients);
    ASSERT_TRUE(estimate.ok()) << estimate.status();
    auto data =
        (*backend)->CreateDataset(Tensor::Zeros(DType::kFloat32, {kRows, 64}),
                                  Tensor::Zeros(DType::kInt64, {kRows}));
    ASSERT_TRUE(data.ok());
    const std::vector<int32_t> rows(kRows, 0);
    const int64_t before = ResidentBytes();
    auto batch = ModelBatch::Create(backend->get(), models,
                                    {"cross_entropy", {}}, kRows);
    ASSERT_TRUE(batch.ok()) << batch.status();
    std::vector<OptimizerConfig> configs(models.size());
    configs[7] = hyper_parameters;  // one is enough
    auto settings =
        OptimizerFactory(optimizer).CreateOptimizer(batch->get(), configs);
    ASSERT_TRUE(settings.ok()) << settings.status();
    ASSERT_TRUE((*batch)->TrainStep(**data, {rows, {}}, *settings).ok());
    if (gradients) {
      ASSERT_TRUE((*batch)->Accumulate(**data, {rows, {}}).ok());
    }
    const double used = static_cast<double>(ResidentBytes() - before);
    EXPECT_NEAR(static_cast<double>(estimate->total()) / used, 1, 0.1)
        << used << " bytes used, " << estimate->total() << " estimated";
    const auto stats = (*batch)->session().Stats();
    ASSERT_TRUE(stats.ok());
    // The backend's own account; it may align each model's block.
    EXPECT_NEAR(
        static_cast<double>(estimate->total() - estimate->descriptions) /
            (stats->state_bytes + stats->workspace_bytes),
        1, 0.01);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, MemoryUsageTest,
    testing::Values(Case{"sgd", {}}, Case{"sgd", {{"momentum", 0.9}}},
                    Case{"adam", {}}, Case{"adam", {{"amsgrad", 1}}},
                    Case{"adamw", {}}, Case{"adamw", {{"amsgrad", 1}}},
                    Case{"nadam", {}}, Case{"radam", {}}, Case{"rmsprop", {}},
                    Case{"rmsprop", {{"momentum", 0.9}}},
                    Case{"rmsprop", {{"centered", 1}}},
                    Case{"rmsprop", {{"momentum", 0.9}, {"centered", 1}}},
                    Case{"adagrad", {}}, Case{"adadelta", {}},
                    Case{"lion", {}}));

TEST(MemoryUsage, OfUnknownHyperParametersIsRefused) {
  auto backend = CreateBackend("cpu");
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ(
      EstimateMemoryUsage(backend->get(), Models(1), {"cross_entropy", {}},
                          kRows, "sgd", {{"amsgrad", 1}})
          .status()
          .code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace modelbatch
