// The promise: weights updated in the epilogue of their gradient have the bits
// of those updated after it, and a model with one element of the gradient that
// is not finite keeps all of its state. On the emulator.
#include "backends/cuda/schedule/epilogue_updates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/emulator/emulated_gpu.h"
#include "backends/cuda/kernels/args.h"
#include "backends/cuda/kernels/precision.h"
#include "backends/grouped/testing/bits_comparison.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch::cuda {
namespace {

using emulator::EmulatedGpu;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<CudaBackend> OnEmulator(EpilogueUpdates updates,
                                        std::vector<EmulatedGpu*>* gpus) {
  return std::make_unique<CudaBackend>(
      [gpus]() -> absl::StatusOr<std::unique_ptr<Gpu>> {
        emulator::RunOptions options;
        options.order = emulator::Order::kRandom;
        auto gpu = std::make_unique<EmulatedGpu>(options);
        gpus->push_back(gpu.get());
        return std::unique_ptr<Gpu>(std::move(gpu));
      },
      updates);
}

bool IsUpdating(const std::string& call) {
  return call.find("updating") != std::string::npos;
}

// fp32 is compared with the cpu backend, in cpu_bits_test.cc.
class OnTensorCores : public ::testing::TestWithParam<Precision> {};

TEST_P(OnTensorCores, BitsAreThoseOfUpdatesAfterwards) {
  int stepped = 0, updating = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::vector<EmulatedGpu*> before, gpus;
    grouped::testing::BitsComparison comparison(
        1000 + seed, OnEmulator(EpilogueUpdates::kNever, &before),
        OnEmulator(
            seed % 2 == 0 ? EpilogueUpdates::kSome : EpilogueUpdates::kAlways,
            &gpus),
        kPrecisionNames[static_cast<int>(GetParam())]);
    comparison.PreferEpilogueUpdates();
    if (!comparison.Compile()) continue;
    for (int call = 0; call < 6 && !HasFailure(); ++call) {
      comparison.CallAnything();
      comparison.Compare();
    }
    for (EmulatedGpu* gpu : gpus) {
      for (const std::string& call : gpu->TakeCalls()) {
        updating += IsUpdating(call);
      }
    }
    for (EmulatedGpu* gpu : before) {
      for (const std::string& call : gpu->TakeCalls()) {
        EXPECT_FALSE(IsUpdating(call));
      }
    }
    stepped += comparison.stepped();
    if (HasFailure()) {
      FAIL() << "seed " << seed << ": " << comparison.ToString();
    }
  }
  EXPECT_GT(stepped, 200);
  EXPECT_GT(updating, 200);
}

INSTANTIATE_TEST_SUITE_P(Precisions, OnTensorCores,
                         ::testing::Values(Precision::kTf32, Precision::kBf16));

// What the limit is for.
TEST(FactorLimit, ASumOfProductsBelowItIsFinite) {
  const float below = std::nextafter(kFactorLimit, 0.0f);
  // Once there, no product moves the sum: so no chain gets beyond.
  const float top = 0x1p105f;
  EXPECT_EQ(std::fma(below, below, top), top);
  EXPECT_EQ(std::fma(-below, below, -top), -top);
  EXPECT_LT(std::fma(below, below, std::nextafter(top, 0.0f)),
            std::numeric_limits<float>::infinity());
  // A bias' gradient, of lanes and their halvings, is below 2^41 rows.
  EXPECT_LT(0x1p41 * 0x1p31, std::numeric_limits<float>::max());
}

// ---- Three models of two layers, all of whose numbers are known.

constexpr int kModels = 3;
constexpr int64_t kFeatures = 3, kHidden = 5, kOutputs = 2, kRows = 4;

ModelSpec Spec() {
  return ModelSpec({kFeatures}).Linear(kHidden).Relu().Linear(kOutputs);
}

std::vector<Parameter> Weights() { return InferLayout(Spec())->parameters; }

std::vector<Column> ColumnsOf(const std::string& optimizer) {
  std::vector<Column> columns;
  for (const HyperParameter& h :
       (*FindOptimizer(optimizer))->hyper_parameters) {
    if (h.optional) continue;
    const double value = h.name == "momentum" || h.name == "beta1" ? 0.9
                         : h.name == "beta2" || h.name == "alpha"  ? 0.99
                         : h.name == "eps"                         ? 1e-8
                                                                   : 0;
    columns.push_back({h.name, std::vector<double>(kModels, value)});
    if (h.name == "lr") columns.back().values = {0.1, 0.2, 0.3};
  }
  return columns;
}

// On cpu, and with updates in epilogues: those of both layers, or, kSome, of
// the first.
class Both {
 public:
  Both(const std::string& optimizer, std::vector<float> features,
       EpilogueUpdates updates = EpilogueUpdates::kAlways)
      : optimizer_(optimizer), features_(std::move(features)) {
    sides_[0].backend = *cpu::CpuBackend::Create({{"threads", int64_t{1}}});
    sides_[1].backend = OnEmulator(updates, &gpus_);
    CompileRequest request;
    for (int m = 0; m < kModels; ++m) request.models.push_back({m, 0, Spec()});
    request.loss = {"mse", {}};
    request.max_rows = kRows;
    for (Side& side : sides_) {
      Tensor x = Tensor::Zeros(DType::kFloat32, {kRows, kFeatures});
      std::copy(features_.begin(), features_.end(), x.data<float>());
      side.session = *side.backend->Compile(request);
      side.dataset = *side.backend->CreateDataset(
          std::move(x), Tensor::Zeros(DType::kFloat32, {kRows, kOutputs}));
      EXPECT_TRUE(side.session->SetOptimizer(optimizer).ok());
    }
    for (int m = 0; m < kModels; ++m) {
      for (const Parameter& p : Weights()) {
        Tensor value = Tensor::Zeros(DType::kFloat32, p.shape);
        for (int64_t e = 0; e < value.size(); ++e) {
          value.data<float>()[e] = 0.1f * static_cast<float>((e * 7 + m) % 5);
        }
        Write(m, p.name, value);
      }
    }
    gpus_[0]->TakeCalls();
  }

  void Write(int model, const std::string& parameter, const Tensor& value) {
    for (Side& side : sides_) {
      const absl::Status status =
          side.session->WriteState(model, "param", parameter, value);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  Tensor Read(int model, const std::string& parameter) {
    return *sides_[1].session->ReadState(model, "param", parameter);
  }
  void Set(int model, const std::string& parameter, int64_t e, float to) {
    Tensor value = Read(model, parameter);
    value.data<float>()[e] = to;
    Write(model, parameter, value);
  }
  // The parameters of a model, one behind the other.
  std::vector<float> Parameters(int model, int side = 1) {
    std::vector<float> all;
    for (const Parameter& p : Weights()) {
      const Tensor value =
          *sides_[side].session->ReadState(model, "param", p.name);
      all.insert(all.end(), value.data<float>(),
                 value.data<float>() + value.size());
    }
    return all;
  }

  // One step on both; the outcomes, which are the same, as are all parameters.
  std::vector<Outcome> Step(const std::vector<uint8_t>& active = {}) {
    StepRequest request;
    const std::vector<int32_t> rows = {0, 1, 2, 3};
    request.rows = {rows, {}};
    request.active = active;
    const std::vector<Column> columns = ColumnsOf(optimizer_);
    request.columns = columns;
    StepResult results[2];
    for (int s = 0; s < 2; ++s) {
      request.dataset = sides_[s].dataset.get();
      const absl::Status status =
          sides_[s].session->TrainStep(request, &results[s]);
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(results[0].outcomes, results[1].outcomes);
    for (int m = 0; m < kModels; ++m) {
      const std::vector<float> a = Parameters(m, 0), b = Parameters(m, 1);
      EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0)
          << "model " << m;
    }
    return results[1].outcomes;
  }

  EmulatedGpu* gpu() { return gpus_[0]; }
  Session* session() { return sides_[1].session.get(); }
  const Dataset* dataset() const { return sides_[1].dataset.get(); }

 private:
  struct Side {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<Dataset> dataset;
    std::unique_ptr<Session> session;
  };
  std::string optimizer_;
  std::vector<float> features_;
  std::vector<EmulatedGpu*> gpus_;
  Side sides_[2];
};

std::vector<float> Features(float last = 0.5f) {
  return {1, 0.5f, 0.25f, -1, 2, 1, 0.5f, 1, -0.5f, 0.75f, 0.25f, last};
}

class Optimizers : public ::testing::TestWithParam<const char*> {};

// The gradient of one layer alone overflows, while its own model's other layer
// would be updated before or after it.
TEST_P(Optimizers, OneLayerThatIsNotFiniteKeepsTheWholeModel) {
  for (const auto& [first_layer, updates] :
       std::vector<std::pair<bool, EpilogueUpdates>>{
           {false, EpilogueUpdates::kAlways},
           {true, EpilogueUpdates::kAlways},
           {false, EpilogueUpdates::kSome},
           {true, EpilogueUpdates::kSome}}) {
    Both both(GetParam(), Features(first_layer ? 3e38f : 0.5f), updates);
    for (int m = 0; m < kModels; ++m) {
      for (int64_t h = 0; h < kHidden; ++h) {
        // Feature 2 counts for nothing but in the gradient by its weights.
        both.Set(m, "0.weight", h * kFeatures + 2, 0);
      }
    }
    if (first_layer) {
      // Models 0 and 2 have derivatives so small that theirs are finite.
      for (const int m : {0, 2}) {
        Tensor zeros = both.Read(m, "2.weight");
        for (int64_t e = 0; e < zeros.size(); ++e) {
          zeros.data<float>()[e] = 1e-6f;
        }
        both.Write(m, "2.weight", zeros);
      }
      both.Set(1, "2.weight", 0, 100);
    } else {
      // A unit that is huge, and whose output weighs nothing.
      both.Set(1, "0.bias", 0, 3e38f);
      for (int64_t o = 0; o < kOutputs; ++o) {
        both.Set(1, "2.weight", o * kHidden, 0);
        both.Set(1, "2.bias", o, 50);
      }
    }
    std::vector<float> before[kModels];
    for (int m = 0; m < kModels; ++m) before[m] = both.Parameters(m);
    EXPECT_THAT(both.Step(),
                ElementsAre(Outcome::kStepped, Outcome::kNonFiniteGradient,
                            Outcome::kStepped))
        << first_layer;
    EXPECT_NE(both.Parameters(0), before[0]);
    EXPECT_EQ(both.Parameters(1), before[1]);
    EXPECT_NE(both.Parameters(2), before[2]);
  }
}

// The same of a derivative: a unit that is tiny and weighs as much as can be.
TEST_P(Optimizers, ADerivativeThatIsNotFiniteKeepsTheWholeModel) {
  for (const EpilogueUpdates updates :
       {EpilogueUpdates::kAlways, EpilogueUpdates::kSome}) {
    Both both(GetParam(), Features(), updates);
    for (int64_t f = 0; f < kFeatures; ++f) both.Set(1, "0.weight", f, 0);
    both.Set(1, "0.bias", 0, 1e-38f);
    for (int64_t o = 0; o < kOutputs; ++o) {
      both.Set(1, "2.weight", o * kHidden, 3e38f);
      both.Set(1, "2.bias", o, 50);
    }
    const std::vector<float> before = both.Parameters(1);
    EXPECT_THAT(both.Step(),
                ElementsAre(Outcome::kStepped, Outcome::kNonFiniteGradient,
                            Outcome::kStepped));
    EXPECT_EQ(both.Parameters(1), before);
  }
}

// Models with an operand that is too large are updated all the same, where the
// gradient is finite; once each.
TEST_P(Optimizers, LargeOperandsAreUpdatedAfterwards) {
  for (const float large : {0x1.fffffep39f, 0x1p40f, -0x1p40f, 0x1p60f}) {
    Both both(GetParam(), Features(large));
    for (int m = 0; m < kModels; ++m) {
      for (int64_t h = 0; h < kHidden; ++h) {
        both.Set(m, "0.weight", h * kFeatures + 2, 0);
      }
    }
    for (int step = 0; step < 2; ++step) {
      EXPECT_THAT(both.Step(), ElementsAre(Outcome::kStepped, Outcome::kStepped,
                                           Outcome::kStepped))
          << large;
      // The weights are large from here on.
    }
  }
}

TEST_P(Optimizers, InactiveModelsAreLeft) {
  Both both(GetParam(), Features());
  const std::vector<float> before = both.Parameters(1);
  EXPECT_THAT(
      both.Step({1, 0, 1}),
      ElementsAre(Outcome::kStepped, Outcome::kInactive, Outcome::kStepped));
  EXPECT_EQ(both.Parameters(1), before);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Optimizers,
                         ::testing::Values("sgd", "adam", "adamw"));

// ---- Which launches a step has.

TEST(EpilogueUpdatesOfAStep, ComeAfterAllThatMayEndIt) {
  Both both("adam", Features());
  both.Step();
  std::vector<std::string> calls = both.gpu()->TakeCalls();
  const auto end = std::find(calls.begin(), calls.end(), "download");
  // x of the second layer and dy of the first are seen where they are made; dy
  // of the second comes from the loss, x of the first from the dataset.
  EXPECT_THAT(
      std::vector<std::string>(calls.begin(), end),
      ElementsAre("upload", "product 64x16", "product 64x16",
                  "MeanLoss<ValueLoss::kMse>", "LookForLarge", "product 64x16",
                  "LookForLarge", "updating product 32x32",
                  "updating product 32x32", "update", "update"));
  EXPECT_THAT(both.session()->Stats()->plan,
              HasSubstr("in the epilogue of the weight gradient of operator "
                        "0, 2\n"));
}

TEST(EpilogueUpdatesOfAStep, AreLeftOutWhereTheWholeGradientIsWanted) {
  Both both("sgd", Features());
  const std::vector<int32_t> rows = {0, 1};
  std::string optimizer = "sgd";
  const auto updates = [&](const std::vector<Column>& more, bool keep,
                           bool update) {
    std::vector<Column> columns = ColumnsOf(optimizer);
    columns.insert(columns.end(), more.begin(), more.end());
    StepRequest request;
    request.dataset = both.dataset();
    request.rows = {rows, {}};
    request.columns = columns;
    request.keep_gradients = keep;
    request.update = update;
    StepResult result;
    const absl::Status status = both.session()->TrainStep(request, &result);
    EXPECT_TRUE(status.ok()) << status;
    int count = 0;
    for (const std::string& call : both.gpu()->TakeCalls()) {
      count += IsUpdating(call);
    }
    return count;
  };
  EXPECT_EQ(updates({}, false, true), 2);
  EXPECT_EQ(updates({{"clip_value", {1, 1, 1}}}, false, true), 0);
  EXPECT_EQ(updates({{"clip_norm", {1, 1, 1}}}, false, true), 0);
  EXPECT_EQ(updates({{"gradient_scale", {1, 1, 1}}}, false, true), 0);
  EXPECT_EQ(updates({}, true, true), 0);
  EXPECT_EQ(updates({}, false, false), 0);
  optimizer = "rmsprop";
  ASSERT_TRUE(both.session()->SetOptimizer(optimizer).ok());
  EXPECT_EQ(updates({}, false, true), 0);
}

// The first launch of a kernel loads it, for which a device that is full may
// have no memory. Who makes a step again that was made in part makes a part of
// it twice: so only a step of which nothing was made is ResourceExhausted.
TEST(EpilogueUpdatesOfAStep, ThatIsMadeInPartIsNotMadeAgain) {
  const std::vector<int32_t> rows = {0, 1, 2, 3};
  const std::vector<RowSet> steps(2, RowSet{rows, {}});
  std::vector<Column> columns = ColumnsOf("adam");
  for (Column& column : columns) {
    const std::vector<double> one = column.values;
    column.values.insert(column.values.end(), one.begin(), one.end());
  }
  for (const auto& [call, in_part] : std::vector<std::pair<std::string, bool>>{
           {"MeanLoss<ValueLoss::kMse>", false},
           {"updating product 32x32", false},
           {"update", true}}) {
    Both both("adam", Features());
    const std::vector<float> before = both.Parameters(0);
    both.gpu()->RefuseNext(call, absl::StatusCode::kResourceExhausted);
    StepsRequest request;
    request.dataset = both.dataset();
    request.rows = steps;
    request.columns = columns;
    StepsResult result;
    const absl::Status status = both.session()->TrainSteps(request, &result);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(call + " was refused"));
    EXPECT_EQ(result.made, 0);
    EXPECT_EQ(both.Parameters(0) != before, in_part) << call;
    EXPECT_EQ(absl::IsResourceExhausted(status), !in_part) << status;
    if (!in_part) continue;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("step 0 was made in part"));
  }
}

}  // namespace
}  // namespace modelbatch::cuda
