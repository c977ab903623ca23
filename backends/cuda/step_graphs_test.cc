// The promise: a step that is launched as a recorded graph has the bits of one
// that is launched kernel by kernel, whatever changed in between, and no more
// is recorded than is said. On the emulator.
#include "backends/cuda/step_graphs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/emulator/emulated_gpu.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch::cuda {
namespace {

using emulator::EmulatedGpu;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kModels = 3;
constexpr int64_t kMaxRows = 8, kDatasetRows = 30, kFeatures = 5, kOutputs = 3;

// Numbers like any others.
float Number(int64_t e, int64_t salt) {
  return static_cast<float>((e * 7919 + salt * 104729) % 2001 - 1000) / 700;
}

Tensor Numbers(Shape shape, int64_t salt) {
  Tensor tensor = Tensor::Zeros(DType::kFloat32, std::move(shape));
  for (int64_t e = 0; e < tensor.size(); ++e) {
    tensor.data<float>()[e] = Number(e, salt);
  }
  return tensor;
}

// Models of different widths; dropout, whose masks move with the step count.
ModelSpec Spec(int model) {
  return ModelSpec({kFeatures})
      .Linear(10 + 9 * model)
      .Gelu()
      .Dropout(0.25)
      .Linear(kOutputs);
}

std::vector<Parameter> ParametersOf(int model) {
  return InferLayout(Spec(model))->parameters;
}

CompileRequest Request() {
  CompileRequest request;
  for (int m = 0; m < kModels; ++m) {
    request.models.push_back({10 + m, static_cast<uint64_t>(m), Spec(m)});
  }
  request.loss = {"mse", {}};
  request.max_rows = kMaxRows;
  return request;
}

// A session with weights, and its device.
struct Trained {
  explicit Trained(const std::string& optimizer = "adam",
                   const CompileRequest& request = Request())
      : backend([this]() -> absl::StatusOr<std::unique_ptr<Gpu>> {
          auto opened = std::make_unique<EmulatedGpu>();
          gpu = opened.get();
          return std::unique_ptr<Gpu>(std::move(opened));
        }) {
    data = NewData(1);
    session = *backend.Compile(request);
    EXPECT_TRUE(session->SetOptimizer(optimizer).ok());
    for (int m = 0; m < kModels; ++m) {
      for (const Parameter& p : ParametersOf(m)) {
        EXPECT_TRUE(
            session->WriteState(m, "param", p.name, Numbers(p.shape, m)).ok());
      }
    }
    gpu->TakeCalls();
  }
  // Of a device of its own: `gpu` stays the session's.
  std::unique_ptr<Dataset> NewData(int64_t salt) {
    EmulatedGpu* const before = gpu;
    auto made =
        *backend.CreateDataset(Numbers({kDatasetRows, kFeatures}, salt),
                               Numbers({kDatasetRows, kOutputs}, salt + 1));
    if (before != nullptr) gpu = before;
    return made;
  }
  TuneReport Tune() {
    auto report = session->Tune({});
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report);
  }

  EmulatedGpu* gpu = nullptr;
  CudaBackend backend;
  std::unique_ptr<Dataset> data;
  std::unique_ptr<Session> session;
};

// What a step may change from one to the next.
struct Step {
  std::vector<int32_t> rows = {0, 1, 2, 3, 4};
  std::vector<int64_t> offsets;
  std::vector<double> lr = std::vector<double>(kModels, 0.01);
  std::vector<uint8_t> active;
  bool clip_norm = false, keep_gradients = false, update = true;
  const Dataset* data = nullptr;  // of the session's backend; null: its own
};

absl::Status Take(Trained& trained, const Step& step, StepResult* result) {
  const auto column = [](const char* name, double value) {
    return Column{name, std::vector<double>(kModels, value)};
  };
  std::vector<Column> columns = {Column{"lr", step.lr}, column("beta1", 0.9),
                                 column("beta2", 0.99), column("eps", 1e-8),
                                 column("weight_decay", 0.01)};
  if (step.clip_norm) columns.push_back(column("clip_norm", 0.1));
  StepRequest request;
  request.dataset = step.data != nullptr ? step.data : trained.data.get();
  request.rows = {step.rows, step.offsets};
  request.columns = columns;
  request.active = step.active;
  request.keep_gradients = step.keep_gradients;
  request.update = step.update;
  return trained.session->TrainStep(request, result);
}

// Several steps in one call; what they have in common is of the first.
absl::Status Take(Trained& trained, const std::vector<Step>& steps,
                  StepsResult* result) {
  const auto column = [&](const char* name, double value) {
    return Column{name, std::vector<double>(steps.size() * kModels, value)};
  };
  std::vector<Column> columns = {Column{"lr", {}}, column("beta1", 0.9),
                                 column("beta2", 0.99), column("eps", 1e-8),
                                 column("weight_decay", 0.01)};
  std::vector<RowSet> rows;
  for (const Step& step : steps) {
    rows.push_back({step.rows, step.offsets});
    columns[0].values.insert(columns[0].values.end(), step.lr.begin(),
                             step.lr.end());
  }
  if (steps[0].clip_norm) columns.push_back(column("clip_norm", 0.1));
  StepsRequest request;
  request.dataset =
      steps[0].data != nullptr ? steps[0].data : trained.data.get();
  request.rows = rows;
  request.columns = columns;
  request.active = steps[0].active;
  return trained.session->TrainSteps(request, result);
}

// The parameters and moments of all models, and what the step told.
template <typename Result>
std::vector<float> Bits(Trained& trained, const Result& result) {
  std::vector<float> all = result.losses;
  for (const Outcome outcome : result.outcomes) {
    all.push_back(static_cast<float>(outcome));
  }
  for (int m = 0; m < kModels; ++m) {
    for (const char* slot : {"param", "exp_avg", "exp_avg_sq"}) {
      for (const Parameter& p : ParametersOf(m)) {
        const Tensor value = *trained.session->ReadState(m, slot, p.name);
        all.insert(all.end(), value.data<float>(),
                   value.data<float>() + value.size());
      }
    }
  }
  return all;
}

bool Same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Makes the step on both; they must agree in every bit.
void StepBoth(Trained& eager, Trained& tuned, const Step& step) {
  StepResult results[2];
  ASSERT_TRUE(Take(eager, step, &results[0]).ok());
  const absl::Status status = Take(tuned, step, &results[1]);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(Same(Bits(eager, results[0]), Bits(tuned, results[1])));
}

// Makes them one by one on `eager`, and in one call on the other.
void TakeBoth(Trained& eager, Trained& together,
              const std::vector<Step>& steps) {
  StepsResult expected, got;
  for (const Step& step : steps) {
    StepResult result;
    ASSERT_TRUE(Take(eager, step, &result).ok());
    expected.losses.insert(expected.losses.end(), result.losses.begin(),
                           result.losses.end());
    expected.outcomes.insert(expected.outcomes.end(), result.outcomes.begin(),
                             result.outcomes.end());
  }
  const absl::Status status = Take(together, steps, &got);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(got.made, static_cast<int64_t>(steps.size()));
  ASSERT_TRUE(Same(Bits(eager, expected), Bits(together, got)));
  for (int m = 0; m < kModels; ++m) {
    ASSERT_EQ(*eager.session->ReadState(m, "step", "")->data<int64_t>(),
              *together.session->ReadState(m, "step", "")->data<int64_t>());
  }
}

int64_t Recordings(Trained& trained) {
  const std::vector<std::string> calls = trained.gpu->TakeCalls();
  return std::count(calls.begin(), calls.end(), "begin capture");
}

TEST(StepGraphs, WhatStepsBringChangesNoRecordingAndNoBit) {
  Trained eager, tuned;
  tuned.Tune();
  std::vector<Step> steps(12);
  steps[3].lr = {0.5, 0.001, 0};
  steps[4].active = {1, 0, 1};                   // frozen
  steps[6].rows = {9, 8, 7, 6, 5, 4, 3, 2, 29};  // ragged
  steps[6].offsets = {0, 1, 9, 9};
  steps[7].rows = {11};  // shared again, fewer
  steps[8].active = {0, 0, 0};
  steps[9].rows = {};
  steps[10].rows = {29, 28, 27, 26, 25, 24, 23, 22};
  for (const Step& step : steps) StepBoth(eager, tuned, step);
  EXPECT_EQ(Recordings(tuned), 1);
  EXPECT_EQ(Recordings(eager), 0);
  EXPECT_EQ(*tuned.session->ReadState(0, "step", "")->data<int64_t>(), 10);
}

// A NaN in the data of one step: the model is left as it is, as without graphs.
TEST(StepGraphs, AModelThatIsNotFiniteKeepsItsState) {
  Trained eager, tuned;
  tuned.Tune();
  std::unique_ptr<Dataset> data[2];
  Tensor features = Numbers({kDatasetRows, kFeatures}, 1);
  features.data<float>()[20 * kFeatures] = std::nanf("");
  int i = 0;
  for (Trained* trained : {&eager, &tuned}) {
    EmulatedGpu* const gpu = trained->gpu;
    data[i++] = *trained->backend.CreateDataset(
        features.Clone(), Numbers({kDatasetRows, kOutputs}, 2));
    trained->gpu = gpu;
  }
  Step good, bad;
  good.offsets = bad.offsets = {0, 2, 4, 5};
  bad.rows[2] = 20;  // of the second model
  for (const Step& step : {good, good, good, bad, good}) {
    StepResult results[2];
    Step on[2] = {step, step};
    on[0].data = data[0].get();
    on[1].data = data[1].get();
    ASSERT_TRUE(Take(eager, on[0], &results[0]).ok());
    ASSERT_TRUE(Take(tuned, on[1], &results[1]).ok());
    ASSERT_EQ(results[0].outcomes, results[1].outcomes);
    const bool is_bad = step.rows == bad.rows;
    ASSERT_EQ(results[1].outcomes[1],
              is_bad ? Outcome::kNonFiniteLoss : Outcome::kStepped);
    if (is_bad) {  // which NaN it is, is open
      results[0].losses[1] = results[1].losses[1] = 0;
    }
    ASSERT_TRUE(Same(Bits(eager, results[0]), Bits(tuned, results[1])));
  }
  EXPECT_EQ(Recordings(tuned), 1);
}

TEST(StepGraphs, AStepIsOneCopyAndOneLaunch) {
  Trained tuned;
  tuned.Tune();
  StepResult result;
  std::vector<std::vector<std::string>> calls;
  for (int step = 0; step < 4; ++step) {
    ASSERT_TRUE(Take(tuned, Step(), &result).ok());
    calls.push_back(tuned.gpu->TakeCalls());
  }
  // Launched one by one, then recorded, which is the same calls.
  std::vector<std::string> recorded = calls[0];
  recorded.insert(recorded.begin() + 1, "begin capture");
  recorded.insert(recorded.end(), {"end capture", "graph"});
  EXPECT_EQ(calls[1], recorded);
  EXPECT_THAT(calls[2], ElementsAre("upload", "graph"));
  EXPECT_THAT(calls[3], ElementsAre("upload", "graph"));
}

TEST(StepGraphs, OtherLaunchesAreRecordedOnceEach) {
  Trained eager, tuned;
  tuned.Tune();
  Step clipped, kept, parts;
  clipped.clip_norm = true;
  kept.keep_gradients = true;
  parts.update = false;
  for (int round = 0; round < 3; ++round) {
    for (const Step& step : {Step(), clipped, parts}) {
      StepBoth(eager, tuned, step);
    }
  }
  EXPECT_EQ(Recordings(tuned), 3);
  for (int step = 0; step < 4; ++step) StepBoth(eager, tuned, kept);
  EXPECT_EQ(Recordings(tuned), 1);
  const std::string notes = tuned.Tune().notes;
  EXPECT_THAT(notes, HasSubstr("4 recorded, of them 0 again"));
  EXPECT_THAT(notes, HasSubstr("; 9 steps launched in graphs"));
}

// Where all models see the same rows, another kernel may compute the first
// layer.
TEST(StepGraphs, SharedRowsAndRowsOfOnesOwnAreTwoKinds) {
  CompileRequest request = Request();
  request.max_rows = 70;  // so that a wide product has two tiles
  Trained eager("adam", request), tuned("adam", request);
  tuned.Tune();
  Step own;
  own.offsets = {0, 1, 3, 5};
  StepBoth(eager, tuned, Step());
  EXPECT_THAT(tuned.gpu->TakeCalls(), Contains("product wide"));
  StepBoth(eager, tuned, own);
  EXPECT_THAT(tuned.gpu->TakeCalls(), Not(Contains("product wide")));
  for (int round = 0; round < 3; ++round) {
    StepBoth(eager, tuned, Step());
    StepBoth(eager, tuned, own);
    Step frozen;
    frozen.active = {0, 1, 0};
    StepBoth(eager, tuned, frozen);
  }
  EXPECT_EQ(Recordings(tuned), 2);
  EXPECT_THAT(tuned.Tune().choices[0].operation,
              HasSubstr("step with adam, shared rows"));
}

TEST(StepGraphs, AnotherDatasetAndAnotherOptimizerAreOtherSteps) {
  Trained eager, tuned;
  tuned.Tune();
  for (int step = 0; step < 3; ++step) StepBoth(eager, tuned, Step());
  EXPECT_EQ(Recordings(tuned), 1);
  // Both stay known.
  auto other_eager = eager.NewData(5), other_tuned = tuned.NewData(5);
  for (int step = 0; step < 4; ++step) {
    StepResult results[2];
    Step on[2];
    on[0].data = other_eager.get();
    on[1].data = other_tuned.get();
    ASSERT_TRUE(Take(eager, on[0], &results[0]).ok());
    ASSERT_TRUE(Take(tuned, on[1], &results[1]).ok());
    ASSERT_TRUE(Same(Bits(eager, results[0]), Bits(tuned, results[1])));
    StepBoth(eager, tuned, Step());
  }
  EXPECT_EQ(Recordings(tuned), 1);
  EXPECT_THAT(tuned.Tune().notes, HasSubstr("2 recorded, of them 1 again"));

  for (Trained* trained : {&eager, &tuned}) {
    ASSERT_TRUE(trained->session->SetOptimizer("adamw").ok());
  }
  for (int step = 0; step < 3; ++step) StepBoth(eager, tuned, Step());
  EXPECT_EQ(Recordings(tuned), 1);
  const TuneReport report = tuned.Tune();
  ASSERT_FALSE(report.choices.empty());
  EXPECT_EQ(report.choices[0].operation, "step with adamw");
  EXPECT_THAT(report.choices[0].choice, HasSubstr("nodes, launched 2 times"));
}

// The memory of an optimizer that went is another's now.
TEST(StepGraphs, StateThatMovedIsRecordedAgain) {
  Trained eager, tuned;
  tuned.Tune();
  for (int round = 0; round < 3; ++round) {
    for (Trained* trained : {&eager, &tuned}) {
      ASSERT_TRUE(trained->session->SetOptimizer("none").ok());
      ASSERT_TRUE(trained->session->SetOptimizer("adam").ok());
    }
    for (int step = 0; step < 3; ++step) StepBoth(eager, tuned, Step());
  }
}

TEST(StepGraphs, MoreKindsThanAreKeptAreRecordedAgain) {
  Trained eager, tuned;
  tuned.Tune();
  std::vector<std::unique_ptr<Dataset>> data;
  for (int d = 0; d <= StepGraphs::kMostKinds; ++d) {
    data.push_back(tuned.NewData(d));
  }
  StepResult result;
  for (int round = 0; round < 2; ++round) {
    for (const auto& one : data) {
      Step step;
      step.data = one.get();
      for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(Take(tuned, step, &result).ok());
      }
    }
  }
  EXPECT_EQ(Recordings(tuned), 2 * (StepGraphs::kMostKinds + 1));
}

// As two runs in one process have them; one ends while the other goes on.
TEST(StepGraphs, TwoSessionsOfOneBackendDoNotDisturbEachOther) {
  Trained eager, one;
  auto two = std::make_unique<Trained>();
  one.Tune();
  two->Tune();
  for (int step = 0; step < 4; ++step) {
    Step next;
    next.rows = {step, step + 3};
    StepResult result;
    ASSERT_TRUE(Take(*two, Step(), &result).ok());
    StepBoth(eager, one, next);
  }
  two.reset();
  for (int step = 0; step < 2; ++step) StepBoth(eager, one, Step());
  EXPECT_EQ(Recordings(one), 1);
}

// The bits of single steps, with and without graphs, whatever changes from one
// step of a call to the next.
TEST(StepGraphs, StepsOfOneCallAreSingleSteps) {
  for (const bool tune : {false, true}) {
    for (const bool clip : {false, true}) {
      Trained eager, together;
      if (tune) together.Tune();
      std::vector<Step> steps(5);
      steps[1].lr = {0.5, 0.001, 0};
      steps[2].rows = {9, 8, 7, 6, 5, 4, 3, 2, 29};  // one has none
      steps[2].offsets = {0, 1, 9, 9};
      steps[3].rows = {11};
      for (Step& step : steps) step.clip_norm = clip;
      for (int round = 0; round < 4; ++round) {
        for (Step& step : steps) {
          step.active = round == 2 ? std::vector<uint8_t>{0, 1, 1}
                                   : std::vector<uint8_t>();
        }
        TakeBoth(eager, together, steps);
        StepBoth(eager, together, steps[0]);
      }
      EXPECT_EQ(Recordings(together), tune ? 2 : 0);  // and of a single step
    }
  }
}

TEST(StepGraphs, StepsOfOneCallAreOneCopyAndOneLaunch) {
  Trained tuned;
  tuned.Tune();
  std::vector<std::vector<std::string>> calls;
  StepsResult result;
  for (int call = 0; call < 4; ++call) {
    ASSERT_TRUE(Take(tuned, std::vector<Step>(6), &result).ok());
    calls.push_back(tuned.gpu->TakeCalls());
  }
  // After room was made.
  std::vector<std::string> recorded = calls[0];
  const auto upload = std::find(recorded.begin(), recorded.end(), "upload");
  EXPECT_EQ(upload - recorded.begin(), 4);
  recorded.erase(recorded.begin(), upload);
  recorded.insert(recorded.begin() + 1, "begin capture");
  recorded.insert(recorded.end(), {"end capture", "graph"});
  EXPECT_EQ(calls[1], recorded);
  EXPECT_EQ(std::count(calls[0].begin(), calls[0].end(), "AdvanceSteps"), 5);
  EXPECT_EQ(std::count(calls[0].begin(), calls[0].end(), "download"), 1);
  EXPECT_THAT(calls[2], ElementsAre("upload", "graph"));
  EXPECT_THAT(calls[3], ElementsAre("upload", "graph"));
  const TuneReport report = tuned.Tune();
  EXPECT_EQ(report.choices[0].operation, "6 steps with adam");
  EXPECT_THAT(report.notes, HasSubstr("; 18 steps launched in graphs"));
}

// As epochs have them whose steps are no multiple: two graphs, not one an
// epoch.
TEST(StepGraphs, TheRestOfAnEpochHasAGraphOfItsOwn) {
  Trained eager, tuned;
  tuned.Tune();
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (const int steps : {4, 4, 2}) {
      TakeBoth(eager, tuned, std::vector<Step>(steps));
    }
  }
  EXPECT_EQ(Recordings(tuned), 2);
}

// What a graph reads and writes lies elsewhere once a call has needed more.
TEST(StepGraphs, MoreStepsThanThereWasRoomForAreRecordedAnew) {
  Trained eager, tuned;
  tuned.Tune();
  for (const int steps : {2, 2, 2, 40, 40, 2, 2, 2, 40, 1, 1, 1}) {
    TakeBoth(eager, tuned, std::vector<Step>(steps));
  }
  EXPECT_EQ(Recordings(tuned), 4);  // that of two steps again
  EXPECT_TRUE(tuned.gpu->CheckGuards().ok()) << tuned.gpu->CheckGuards();
}

// Not finite in the second step, or in the gradient only: its neighbours make
// all steps, it makes one, and all of them the next time.
TEST(StepGraphs, AModelThatIsNotFiniteLeavesTheCall) {
  for (const float value : {std::nanf(""), 3e38f}) {
    Trained eager, tuned;
    tuned.Tune();
    Tensor features = Numbers({kDatasetRows, kFeatures}, 1);
    features.data<float>()[20 * kFeatures] = value;
    std::unique_ptr<Dataset> data[2];
    int i = 0;
    for (Trained* trained : {&eager, &tuned}) {
      EmulatedGpu* const gpu = trained->gpu;
      data[i++] = *trained->backend.CreateDataset(
          features.Clone(), Numbers({kDatasetRows, kOutputs}, 2));
      trained->gpu = gpu;
    }
    std::vector<Step> steps(4);
    for (Step& step : steps) step.offsets = {0, 2, 4, 5};
    for (int call = 0; call < 4; ++call) {
      steps[1].rows[2] = call == 1 ? 2 : 20;  // of the second model
      StepsResult got;
      steps[0].data = data[1].get();
      ASSERT_TRUE(Take(tuned, steps, &got).ok());
      bool left = false;
      for (size_t s = 0; s < steps.size(); ++s) {
        Step step = steps[s];
        step.data = data[0].get();
        if (left) step.active = {1, 0, 1};
        StepResult expected;
        ASSERT_TRUE(Take(eager, step, &expected).ok());
        left = left || (expected.outcomes[1] != Outcome::kStepped);
        for (int m = 0; m < kModels; ++m) {
          ASSERT_EQ(got.outcomes[s * kModels + m], expected.outcomes[m]);
          if (std::isnan(expected.losses[m])) continue;
          ASSERT_EQ(got.losses[s * kModels + m], expected.losses[m]);
        }
      }
      ASSERT_EQ(left, call != 1);
      ASSERT_TRUE(Same(Bits(eager, StepResult()), Bits(tuned, StepResult())));
    }
  }
}

// Launched one by one, the steps before the one that was refused are made; of
// a graph that cannot be recorded, none.
TEST(StepGraphs, AFailureAmongSeveralStepsSaysWhichWereMade) {
  for (const bool tune : {false, true}) {
    Trained eager, other;
    if (tune) {
      other.Tune();
      TakeBoth(eager, other, std::vector<Step>(3));
    }
    other.gpu->RefuseNext("AdvanceSteps");
    StepsResult result;
    const absl::Status status = Take(other, std::vector<Step>(3), &result);
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_EQ(result.made, tune ? 0 : 1);
    EXPECT_EQ(result.losses.size(), tune ? 0 : kModels);
    if (!tune) {
      StepResult one;
      ASSERT_TRUE(Take(eager, Step(), &one).ok());
      ASSERT_TRUE(Same(Bits(eager, one), Bits(other, result)));
    }
    TakeBoth(eager, other, std::vector<Step>(3));
    StepBoth(eager, other, Step());
  }
}

// What failed has not loaded all of its kernels, so that the next of its kind
// is the first.
TEST(StepGraphs, AFirstStepThatFailsIsNotOneThatWasMade) {
  Trained eager, tuned;
  tuned.Tune();
  tuned.gpu->RefuseNext("update");
  StepResult result;
  EXPECT_TRUE(absl::IsInternal(Take(tuned, Step(), &result)));
  StepBoth(eager, tuned, Step());
  EXPECT_EQ(Recordings(tuned), 0);
  StepBoth(eager, tuned, Step());
  EXPECT_EQ(Recordings(tuned), 1);
}

// Where recording fails, in any of its parts, the step fails and says why; no
// state has changed, and the next steps are launched one by one.
TEST(StepGraphs, AFailureToRecordIsAnErrorThatLeavesASession) {
  for (const std::string call :
       {"begin capture", "MeanLoss<ValueLoss::kMse>", "update", "download",
        "end capture", "graph"}) {
    SCOPED_TRACE(call);
    Trained eager, tuned;
    tuned.Tune();
    StepBoth(eager, tuned, Step());
    tuned.gpu->RefuseNext(call);
    StepResult result;
    const absl::Status status = Take(tuned, Step(), &result);
    EXPECT_TRUE(absl::IsInternal(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(" a step as a CUDA graph: " + call + " was refused"));
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("the step was not made"));
    tuned.gpu->TakeCalls();
    for (int step = 0; step < 3; ++step) StepBoth(eager, tuned, Step());
    EXPECT_THAT(tuned.gpu->TakeCalls(), Not(Contains("graph")));
    const std::string plan = tuned.session->Stats()->plan;
    EXPECT_THAT(plan, HasSubstr("CUDA graphs are off: "));
    EXPECT_THAT(plan, HasSubstr(call + " was refused"));
    // Until they are asked for again.
    EXPECT_THAT(tuned.Tune().notes, Not(HasSubstr("off")));
    for (int step = 0; step < 3; ++step) StepBoth(eager, tuned, Step());
    EXPECT_THAT(tuned.gpu->TakeCalls(), Contains("graph"));
  }
}

TEST(StepGraphs, TheReportSaysWhatWasNotAskedOfIt) {
  Trained tuned;
  EXPECT_THAT(tuned.session->Stats()->plan, Not(HasSubstr("graph")));
  const auto report =
      tuned.session->Tune({{"cache", std::string("times.json")}});
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->choices.size(), 1);
  EXPECT_EQ(report->choices[0].operation, "training step");
  EXPECT_THAT(report->notes,
              HasSubstr("nothing is measured: times.json is neither read nor "
                        "written"));
}

// A batch that is compacted has a new session, which records its own steps.
TEST(StepGraphs, ACompactedBatchRecordsAgain) {
  std::vector<Tensor> weights[2];
  for (const bool compile : {false, true}) {
    EmulatedGpu* gpu = nullptr;
    CudaBackend backend([&gpu]() -> absl::StatusOr<std::unique_ptr<Gpu>> {
      auto opened = std::make_unique<EmulatedGpu>();
      gpu = opened.get();
      return std::unique_ptr<Gpu>(std::move(opened));
    });
    const auto data =
        *backend.CreateDataset(Numbers({kDatasetRows, kFeatures}, 1),
                               Numbers({kDatasetRows, kOutputs}, 2));
    auto batch =
        *ModelBatch::Create(&backend, Request().models, {"mse", {}}, kMaxRows);
    const auto optimizer = *modelbatch::Optimizer::Create(
        "adam", {}, std::vector<OptimizerConfig>(kModels));
    ASSERT_TRUE(batch->SetOptimizer("adam").ok());
    if (compile) {
      ASSERT_TRUE(batch->EnableCompile().ok());
    }
    const std::vector<int32_t> rows = {3, 1, 4, 1, 5};
    const auto train = [&] {
      gpu->TakeCalls();
      for (int step = 0; step < 4; ++step) {
        ASSERT_TRUE(batch->TrainStep(*data, {rows, {}}, optimizer).ok());
      }
      const std::vector<std::string> calls = gpu->TakeCalls();
      EXPECT_EQ(std::count(calls.begin(), calls.end(), "begin capture"),
                compile ? 1 : 0);
    };
    train();
    ASSERT_TRUE(batch->SetActive(0, false).ok());  // nothing new is launched
    ASSERT_TRUE(batch->TrainStep(*data, {rows, {}}, optimizer).ok());
    EXPECT_THAT(gpu->TakeCalls(), Not(Contains("begin capture")));
    ASSERT_TRUE(batch->Remove(1).ok());
    ASSERT_TRUE(batch->Compact().ok());
    train();
    for (const int model : {0, 2}) {
      ModelState state = *batch->GetModelState(model);
      for (auto& [name, value] : state.slots["param"]) {
        weights[compile].push_back(std::move(value));
      }
    }
  }
  ASSERT_EQ(weights[0].size(), weights[1].size());
  for (size_t i = 0; i < weights[0].size(); ++i) {
    EXPECT_EQ(std::memcmp(weights[0][i].raw(), weights[1][i].raw(),
                          weights[0][i].byte_size()),
              0);
  }
}

}  // namespace
}  // namespace modelbatch::cuda
