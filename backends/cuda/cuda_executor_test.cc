// What the executor promises beside its numbers: what crosses to the device in
// a step, and what it says when there is not enough memory or a kernel fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/emulator/emulated_gpu.h"
#include "modelbatch/optim/optimizer_info.h"

namespace modelbatch::cuda {
namespace {

using emulator::EmulatedGpu;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kRows = 8, kFeatures = 5, kOutputs = 3;

CompileRequest Request(int models) {
  CompileRequest request;
  for (int m = 0; m < models; ++m) {
    request.models.push_back(
        {10 + m, 0, ModelSpec({kFeatures}).Linear(40).Gelu().Linear(kOutputs)});
  }
  request.loss = {"mse", {}};
  request.max_rows = kRows;
  return request;
}

// A backend that keeps an eye on its last session's device.
struct Watched {
  explicit Watched(int64_t memory_bytes = int64_t{1} << 30)
      : backend([this, memory_bytes]() -> absl::StatusOr<std::unique_ptr<Gpu>> {
          auto opened = std::make_unique<EmulatedGpu>(emulator::RunOptions(),
                                                      memory_bytes);
          gpu = opened.get();
          return std::unique_ptr<Gpu>(std::move(opened));
        }) {}
  EmulatedGpu* gpu = nullptr;
  CudaBackend backend;
};

std::unique_ptr<Dataset> Data(Backend& backend) {
  return *backend.CreateDataset(
      Tensor::Zeros(DType::kFloat32, {kRows, kFeatures}),
      Tensor::Zeros(DType::kFloat32, {kRows, kOutputs}));
}

std::vector<Column> Columns(int models) {
  const auto column = [models](const char* name, double value) {
    return Column{name, std::vector<double>(models, value)};
  };
  return {column("lr", 0.1), column("beta1", 0.9), column("beta2", 0.99),
          column("eps", 1e-8), column("weight_decay", 0)};
}

TEST(CudaExecutor, AStepIsOneCopyThereAndOneBack) {
  Watched watched;
  const auto data = Data(watched.backend);
  auto session = *watched.backend.Compile(Request(3));
  ASSERT_TRUE(session->SetOptimizer("adam").ok());
  const std::vector<int32_t> rows = {0, 1, 2, 7};
  const std::vector<Column> columns = Columns(3);
  StepRequest request;
  request.dataset = data.get();
  request.rows = {rows, {}};
  request.columns = columns;
  StepResult result;
  watched.gpu->TakeCalls();
  for (int step = 0; step < 2; ++step) {
    ASSERT_TRUE(session->TrainStep(request, &result).ok());
    const std::vector<std::string> calls = watched.gpu->TakeCalls();
    EXPECT_EQ(calls.front(), "upload");
    EXPECT_EQ(calls.back(), "download");
    EXPECT_EQ(std::count(calls.begin(), calls.end(), "upload"), 1);
    EXPECT_EQ(std::count(calls.begin(), calls.end(), "download"), 1);
    EXPECT_THAT(calls, Not(::testing::Contains("allocate")));
    EXPECT_THAT(calls, Not(::testing::Contains("zero")));
  }
}

// What a first step calls, of models that see the same rows or rows of their
// own.
std::vector<std::string> CallsOfAStep(int models, bool shared) {
  Watched watched;
  const auto data = Data(watched.backend);
  auto session = *watched.backend.Compile(Request(models));
  EXPECT_TRUE(session->SetOptimizer("adam").ok());
  std::vector<int32_t> rows = {0, 1, 2, 7};
  std::vector<int64_t> offsets;
  if (!shared) {
    offsets.push_back(0);
    rows.clear();
    for (int m = 0; m < models; ++m) {
      rows.insert(rows.end(), {0, 1, 2, 7});
      offsets.push_back(static_cast<int64_t>(rows.size()));
    }
  }
  const std::vector<Column> columns = Columns(models);
  StepRequest request;
  request.dataset = data.get();
  request.rows = {rows, offsets};
  request.columns = columns;
  StepResult result;
  watched.gpu->TakeCalls();
  EXPECT_TRUE(session->TrainStep(request, &result).ok());
  return watched.gpu->TakeCalls();
}

// The launches do not depend on the number of models.
TEST(CudaExecutor, AStepHasAsManyLaunchesForManyModelsAsForOne) {
  const std::vector<std::string> one = CallsOfAStep(1, /*shared=*/false);
  EXPECT_EQ(one, CallsOfAStep(9, /*shared=*/false));
  EXPECT_EQ(one, CallsOfAStep(1, /*shared=*/true));
  // gelu is in the products on both sides of it.
  EXPECT_THAT(
      one, ElementsAre("upload", "product 64x64", "product 64x16",
                       "MeanLoss<ValueLoss::kMse>", "product 16x64",
                       "product 64x64", "product 64x16", "update", "download"));
}

TEST(CudaExecutor, ManyModelsThatSeeTheSameRowsHaveAWideFirstLayer) {
  std::vector<std::string> calls = CallsOfAStep(9, /*shared=*/false);
  calls[1] = "product wide";
  EXPECT_EQ(CallsOfAStep(9, /*shared=*/true), calls);
}

// Each kernel that writes gradients looks for what is not finite: where nothing
// else of the model's gradient is, it is found all the same, and nobody else
// pays for it.
TEST(CudaExecutor, OneElementThatIsNotFiniteIsFoundWhereverItIs) {
  struct Case {
    const char* name;
    bool layer_norm;
    // Two rows: of the last feature, and of the last output's gradient.
    float x[2], dy[2];
  };
  for (const Case& c : {
           Case{"a weight", false, {1e30f, 0}, {1e30f, -1e30f}},
           Case{"a bias", false, {0, 0}, {3e38f, 3e38f}},
           Case{"layer norm's weight", true, {1, -1}, {3e38f, -3e38f}},
           Case{"layer norm's bias", true, {0, 0}, {3e38f, 3e38f}},
           Case{"nothing", false, {1, 1}, {1e30f, 1e30f}},
       }) {
    SCOPED_TRACE(c.name);
    Watched watched;
    CompileRequest request;
    // Beyond the first tile in both directions.
    constexpr int64_t kWidth = 70;
    for (int m = 0; m < 2; ++m) {
      ModelSpec spec({kWidth});
      if (c.layer_norm) {
        spec.LayerNorm();
      } else {
        spec.Linear(kWidth);
      }
      request.models.push_back({m, 0, spec});
    }
    request.loss = {"mse", {}};
    request.max_rows = 2;
    Tensor features = Tensor::Zeros(DType::kFloat32, {2, kWidth});
    std::vector<Tensor> gradients;
    for (int m = 0; m < 2; ++m) {
      gradients.push_back(Tensor::Zeros(DType::kFloat32, {2, kWidth}));
    }
    for (int row = 0; row < 2; ++row) {
      features.data<float>()[(row + 1) * kWidth - 1] = c.x[row];
      gradients[0].data<float>()[(row + 1) * kWidth - 1] = c.dy[row];
    }
    const auto data = *watched.backend.CreateDataset(
        std::move(features), Tensor::Zeros(DType::kFloat32, {2, kWidth}));
    auto session = *watched.backend.Compile(request);
    const std::vector<int32_t> rows = {0, 1};
    BackwardRequest backward;
    backward.dataset = data.get();
    backward.rows = {rows, {}};
    backward.output_gradients = gradients;
    std::vector<Outcome> outcomes;
    ASSERT_TRUE(session->Backward(backward, &outcomes).ok());
    EXPECT_EQ(outcomes[0], std::string(c.name) == "nothing"
                               ? Outcome::kStepped
                               : Outcome::kNonFiniteGradient);
    EXPECT_EQ(outcomes[1], Outcome::kStepped);
  }
}

TEST(CudaExecutor, TooLittleMemorySaysHowMuchAndHowManyModelsFit) {
  Watched all;
  auto session = *all.backend.Compile(Request(100));
  const int64_t needed = session->Stats()->workspace_bytes;
  Watched half(needed / 2);
  const absl::Status status = half.backend.Compile(Request(100)).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("100 models with 8 rows a step need "),
                    HasSubstr("MiB are free, enough for about 4"),
                    HasSubstr(" models like these")));
  // What it says fits does.
  EXPECT_TRUE(half.backend.Compile(Request(40)).ok());
}

TEST(CudaExecutor, TooLittleMemoryForAnOptimizerLeavesASessionThatWorks) {
  Watched measured;
  auto session = *measured.backend.Compile(Request(100));
  const int64_t with_parameters =
      (int64_t{1} << 30) - *measured.gpu->FreeBytes();
  Watched watched(with_parameters + 1000);
  auto tight = *watched.backend.Compile(Request(100));
  const absl::Status status = tight->SetOptimizer("adam");
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("of 100 models"));
  EXPECT_TRUE(tight->ReadState(0, "param", "0.weight").ok());
  EXPECT_TRUE(tight->SetOptimizer("none").ok());
}

TEST(CudaExecutor, ADatasetOfAnotherBackendIsRefused) {
  Watched watched;
  auto cpu = *cpu::CpuBackend::Create({});
  const auto data = Data(*cpu);
  auto session = *watched.backend.Compile(Request(1));
  ASSERT_TRUE(session->SetOptimizer("adam").ok());
  const std::vector<int32_t> rows = {0};
  std::vector<Tensor> outputs;
  const absl::Status status =
      session->Forward({data.get(), {rows, {}}}, &outputs);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("another backend"));
}

TEST(CudaExecutor, HasTheOptimizersItClaimsAndNamesTheOthers) {
  Watched watched;
  auto session = *watched.backend.Compile(Request(1));
  const std::vector<std::string> claimed =
      watched.backend.capabilities().optimizers;
  for (const std::string& optimizer : OptimizerKinds()) {
    const absl::Status status = session->SetOptimizer(optimizer);
    if (std::count(claimed.begin(), claimed.end(), optimizer) > 0) {
      EXPECT_TRUE(status.ok()) << optimizer << ": " << status;
    } else {
      EXPECT_TRUE(absl::IsUnimplemented(status)) << optimizer << ": " << status;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(optimizer + " is not in backend cuda"));
    }
  }
}

}  // namespace
}  // namespace modelbatch::cuda
