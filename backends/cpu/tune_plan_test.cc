// Tuning changes the time and nothing else: equal bits whatever is chosen, on
// every table of kernels, with one thread and two, alone and among others.
#include "backends/cpu/tune_plan.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/cpu/cpu_executor.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/tuning_table.h"
#include "backends/grouped/plan.h"
#include "backends/grouped/session.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/test_folder.h"
#include "modelbatch/util/thread_pool.h"

namespace modelbatch::cpu {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kRows = 40, kFeatures = 21, kMaxRows = 19;

ModelInstance Model(int64_t id) {
  ModelInstance model{id, static_cast<uint64_t>(id), ModelSpec({kFeatures})};
  model.spec.Linear(7 + 13 * id).Relu().Linear(33).Gelu().Dropout(0.2);
  model.spec.Linear(33).Add(3).Linear(1 + 2 * id);
  return model;
}

// Products of a model: three each, but the first layer's input gradient.
constexpr int64_t kProducts = 4 * 3 - 1;

grouped::Plan PlanOf(const std::vector<ModelInstance>& models) {
  return *grouped::BuildPlan({models, {"cross_entropy", {}}, kMaxRows, {}});
}

float Noise(int64_t i) {
  return static_cast<float>((i * 2654435761 % 2003) - 1001) / 1000.0f;
}

struct Setting {
  std::string kernels;
  int64_t threads = 1;
};

class TuneTest : public testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    if (FindKernels(GetParam().kernels.c_str()) == nullptr) {
      GTEST_SKIP() << "this CPU lacks " << GetParam().kernels;
    }
    CpuExecutor::Options options;
    options.tuning_table = &table_;
    backend_ = *CpuBackend::CreateWith(
        {{"kernels", GetParam().kernels}, {"threads", GetParam().threads}},
        options);
    Tensor features = Tensor::Zeros(DType::kFloat32, {kRows, kFeatures});
    Tensor labels = Tensor::Zeros(DType::kInt64, {kRows});
    for (int64_t i = 0; i < features.size(); ++i) {
      features.data<float>()[i] = Noise(i);
    }
    dataset_ = *backend_->CreateDataset(std::move(features), std::move(labels));
  }

  std::unique_ptr<Session> Compile(const std::vector<ModelInstance>& models) {
    auto session =
        *backend_->Compile({models, {"cross_entropy", {}}, kMaxRows, {}});
    for (size_t m = 0; m < models.size(); ++m) {
      const ModelDescription description =
          *session->Describe(static_cast<int>(m));
      for (const StateTensor& state : description.states) {
        if (state.slot != "param") continue;
        Tensor value = Tensor::Zeros(DType::kFloat32, state.shape);
        for (int64_t i = 0; i < value.size(); ++i) {
          value.data<float>()[i] = 0.3f * Noise(i + 77 * models[m].id);
        }
        EXPECT_TRUE(session
                        ->WriteState(static_cast<int>(m), "param",
                                     state.parameter, value)
                        .ok());
      }
    }
    EXPECT_TRUE(session->SetOptimizer("adam").ok());
    return session;
  }

  // With more and with fewer rows than were tuned for.
  void Train(Session& session, size_t models, int first, int steps) {
    const std::vector<Column> columns = {
        {"lr", std::vector<double>(models, 0.01)},
        {"beta1", std::vector<double>(models, 0.9)},
        {"beta2", std::vector<double>(models, 0.999)},
        {"eps", std::vector<double>(models, 1e-8)},
        {"weight_decay", std::vector<double>(models, 0)}};
    for (int step = first; step < first + steps; ++step) {
      std::vector<int32_t> rows;
      for (int64_t r = 0; r < (step % 2 == 0 ? kMaxRows : 5); ++r) {
        rows.push_back(static_cast<int32_t>((7 * r + step) % kRows));
      }
      StepRequest request;
      request.dataset = dataset_.get();
      request.rows = {rows, {}};
      request.columns = columns;
      StepResult result;
      ASSERT_TRUE(session.TrainStep(request, &result).ok());
    }
  }

  std::vector<uint8_t> State(Session& session, int model) {
    std::vector<uint8_t> bytes;
    const ModelDescription description = *session.Describe(model);
    for (const StateTensor& state : description.states) {
      const Tensor value =
          *session.ReadState(model, state.slot, state.parameter);
      const auto* const data = static_cast<const uint8_t*>(value.raw());
      bytes.insert(bytes.end(), data, data + value.byte_size());
    }
    return bytes;
  }

  // Of model `id` alone, never tuned.
  std::vector<uint8_t> Untuned(int64_t id) {
    auto session = Compile({Model(id)});
    Train(*session, 1, 0, 6);
    return State(*session, 0);
  }

  // Every product of the models is cut up so.
  void Choose(const std::vector<ModelInstance>& models,
              const GemmTiling& tiling) {
    for (const ModelInstance& model : models) {
      const grouped::Plan plan = PlanOf({model});
      for (const grouped::GroupedOp& op : plan.ops) {
        if (op.code != grouped::OpCode::kLinear) continue;
        const int64_t in = plan.models[0].values[op.inputs[0]].cols;
        const int64_t out = plan.models[0].values[op.output].cols;
        for (const ProductShape& shape :
             {ProductShape{Product::kForward, kMaxRows, out, in},
              ProductShape{Product::kWeightGradient, out, in, kMaxRows},
              ProductShape{Product::kInputGradient, kMaxRows, in, out}}) {
          table_.Add(GetParam().kernels, shape, {tiling, 2e-6, 1e-6});
        }
      }
    }
  }

  TuningTable table_{"this"};
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Dataset> dataset_;
};

TEST_P(TuneTest, EveryChoiceHasTheSameBits) {
  const std::vector<ModelInstance> models = {Model(1), Model(2), Model(3)};
  for (const GemmTiling& tiling : kGemmTilings) {
    SCOPED_TRACE(TilingName(tiling));
    Choose(models, tiling);
    auto session = Compile(models);
    const auto report = session->Tune({{"time_ms", int64_t{0}}});
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->Count(TuneOrigin::kCached),
              static_cast<int64_t>(report->choices.size()));
    for (const TuneChoice& choice : report->choices) {
      EXPECT_EQ(choice.choice, TilingName(tiling));
    }
    Train(*session, 3, 0, 6);
    for (int m = 0; m < 3; ++m) {
      EXPECT_EQ(State(*session, m), Untuned(m + 1)) << "model " << m;
    }
  }
}

// Of the products that ran, how they were cut up.
std::vector<GemmTiling> seen;

void SeeingGemm(const GemmArgs& args) {
  seen.push_back(args.tiling);
  GenericKernels().gemm(args);
}

TEST_P(TuneTest, TheChoiceIsWhatRuns) {
  const std::vector<ModelInstance> models = {Model(1)};
  Kernels kernels = *FindKernels(GetParam().kernels.c_str());
  kernels.gemm = SeeingGemm;
  CpuExecutor::Options options;
  options.kernels = &kernels;
  options.tuning_table = &table_;
  const auto plan = std::make_shared<const grouped::Plan>(PlanOf(models));
  auto session = *grouped::GroupedSession::Create(
      plan,
      *CpuExecutor::Create(plan, std::make_shared<ThreadPool>(1), options));
  ASSERT_TRUE(session->SetOptimizer("adam").ok());
  for (const GemmTiling& tiling : kGemmTilings) {
    Choose(models, tiling);
    ASSERT_TRUE(session->Tune({{"time_ms", int64_t{0}}}).ok());
    seen.clear();
    Train(*session, 1, 0, 1);
    ASSERT_EQ(static_cast<int64_t>(seen.size()), kProducts);
    for (const GemmTiling& ran : seen) EXPECT_TRUE(ran == tiling);
  }
}

TEST_P(TuneTest, MeasuringInTheMiddleChangesNoBit) {
  auto session = Compile({Model(3), Model(1)});
  Train(*session, 2, 0, 3);
  const auto report = session->Tune({{"time_ms", int64_t{2000}}});
  ASSERT_TRUE(report.ok()) << report.status();
  Train(*session, 2, 3, 3);
  EXPECT_EQ(State(*session, 0), Untuned(3));
  EXPECT_EQ(State(*session, 1), Untuned(1));
}

// How often each runs, what it is and where it is from.
TEST_P(TuneTest, TheReportIsThePlans) {
  auto session = Compile({Model(2), Model(2)});
  EXPECT_THAT(session->Stats()->plan, Not(HasSubstr("tuned")));
  const auto measured = session->Tune({{"time_ms", int64_t{5000}}});
  ASSERT_TRUE(measured.ok()) << measured.status();
  int64_t uses = 0;
  for (const TuneChoice& choice : measured->choices) {
    EXPECT_EQ(choice.origin, TuneOrigin::kMeasured);
    EXPECT_EQ(choice.candidates, 3);
    EXPECT_GT(choice.default_seconds, 0);
    EXPECT_LE(choice.seconds, choice.default_seconds);
    uses += choice.uses;
  }
  EXPECT_EQ(uses, 2 * kProducts);
  EXPECT_LE(measured->Ratio(), 1);
  for (const TuneChoice& choice : measured->choices) {
    EXPECT_THAT(session->Stats()->plan,
                HasSubstr("tuned, " + choice.operation + ": " + choice.choice +
                          " (measured)"));
  }
  EXPECT_THAT(measured->ToString(), HasSubstr("forward 19 x 5 x 33: "));
}

// Another session, and another number of models: what was chosen for a model
// does not depend on its neighbours.
TEST_P(TuneTest, TheProcessRemembers) {
  auto together = Compile({Model(1), Model(2)});
  const auto first = together->Tune({{"time_ms", int64_t{5000}}});
  ASSERT_TRUE(first.ok()) << first.status();
  auto alone = Compile({Model(2)});
  const auto second = alone->Tune({});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->Count(TuneOrigin::kCached),
            static_cast<int64_t>(second->choices.size()));
  for (const TuneChoice& choice : second->choices) {
    bool found = false;
    for (const TuneChoice& other : first->choices) {
      if (other.operation != choice.operation) continue;
      EXPECT_EQ(choice.choice, other.choice);
      found = true;
    }
    EXPECT_TRUE(found) << choice.operation;
  }
}

TEST_P(TuneTest, WithoutTimeTheDefaultsStay) {
  auto session = Compile({Model(1)});
  const auto report = session->Tune({{"time_ms", int64_t{0}}});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->Count(TuneOrigin::kDefault),
            static_cast<int64_t>(report->choices.size()));
  EXPECT_EQ(report->Ratio(), 1);
}

TEST_P(TuneTest, AFileSavesMeasuring) {
  const std::string path = TestFolder() + "/" + GetParam().kernels +
                           std::to_string(GetParam().threads) + ".txt";
  const std::string missing = path + " is not there yet";
  auto session = Compile({Model(1)});
  const auto first =
      session->Tune({{"time_ms", int64_t{5000}}, {"cache", path}});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT(first->notes, AllOf(HasSubstr(missing), HasSubstr("wrote")));
  TuningTable fresh("this");
  const auto second =
      TunePlan(PlanOf({Model(1)}), *FindKernels(GetParam().kernels.c_str()),
               {/*time_ms=*/5000, path}, &fresh);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->report.Count(TuneOrigin::kCached),
            static_cast<int64_t>(first->choices.size()));
  for (size_t i = 0; i < first->choices.size(); ++i) {
    EXPECT_EQ(second->report.choices[i].choice, first->choices[i].choice);
  }
}

TEST_P(TuneTest, ABrokenFileIsAnErrorAndTheSessionGoesOn) {
  const std::string path = TestFolder() + "/broken.txt";
  ASSERT_TRUE(WriteFileAtomically(path, "something else\n").ok());
  auto session = Compile({Model(2)});
  Train(*session, 1, 0, 3);
  const std::string plan = session->Stats()->plan;
  for (const std::string& wrong : {path, std::string("/no/such/folder/x")}) {
    const absl::Status status =
        session->Tune({{"time_ms", int64_t{100}}, {"cache", wrong}}).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr(wrong));
  }
  EXPECT_EQ(*ReadFile(path), "something else\n");
  EXPECT_EQ(session->Stats()->plan, plan);
  Train(*session, 1, 3, 3);
  EXPECT_EQ(State(*session, 0), Untuned(2));
}

TEST_P(TuneTest, OptionsAreChecked) {
  auto session = Compile({Model(1)});
  const auto refusal = [&](const Attributes& options) {
    const absl::Status status = session->Tune(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal({{"time_ms", int64_t{-1}}}), HasSubstr("time_ms is -1"));
  EXPECT_THAT(refusal({{"time_ms", 0.5}}), HasSubstr("time_ms"));
  EXPECT_THAT(refusal({{"cache", int64_t{1}}}), HasSubstr("cache"));
  EXPECT_THAT(refusal({{"fast", true}}), HasSubstr("fast"));
}

INSTANTIATE_TEST_SUITE_P(All, TuneTest,
                         testing::Values(Setting{"avx512", 2},
                                         Setting{"avx2", 1}, Setting{"avx2", 2},
                                         Setting{"generic", 1},
                                         Setting{"generic", 2}),
                         [](const auto& info) {
                           return info.param.kernels +
                                  std::to_string(info.param.threads);
                         });

}  // namespace
}  // namespace modelbatch::cpu
