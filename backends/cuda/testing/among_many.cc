#include "backends/cuda/testing/among_many.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/cpu/cpu_backend.h"
#include "backends/grouped/testing/random_population.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch::cuda::testing {
namespace {

using grouped::testing::Random;
using ::testing::HasSubstr;
using ::testing::Not;

// Steps alternate between rows that all models share and rows of their own, so
// that a tuned session replays both kinds.
constexpr int kSteps = 8;
constexpr int64_t kFeatures = 21, kClasses = 5, kDatasetRows = 64,
                  kMaxRows = 37;

// What a step brings one model.
struct ModelStep {
  std::vector<int32_t> rows;  // of its own; empty: a group of zero rows
  double lr = 0;
  bool active = true;
};

struct Member {
  ModelInstance instance;
  std::vector<Parameter> parameters;
  std::vector<Tensor> weights;
  std::vector<ModelStep> steps;
};

struct Population {
  explicit Population(const AmongMany& options);

  bool shared(int step) const { return step % 2 == 0; }

  std::vector<Member> members;
  std::vector<std::vector<int32_t>> shared_rows;  // by step
  Tensor features, targets;
};

int64_t HiddenWidth(Random& random, int64_t widest) {
  return random.OneIn(8) ? 1 : std::min(random.Width(), widest);
}

Population::Population(const AmongMany& options) {
  Random random(90 + static_cast<uint64_t>(options.models));
  const auto rows = [&random](int64_t count) {
    std::vector<int32_t> all;
    for (int64_t i = 0; i < count; ++i) {
      all.push_back(static_cast<int32_t>(random.Int(0, kDatasetRows - 1)));
    }
    return all;
  };
  for (int step = 0; step < kSteps; ++step) {
    shared_rows.push_back(rows(random.Int(1, kMaxRows)));
  }
  for (int m = 0; m < options.models; ++m) {
    const ModelSpec spec = ModelSpec({kFeatures})
                               .Linear(HiddenWidth(random, options.widest))
                               .Relu()
                               .Linear(HiddenWidth(random, options.widest))
                               .LayerNorm()
                               .Gelu()
                               .Dropout(random.Uniform(0, 0.5))
                               .Linear(kClasses);
    Member member = {
        {1000 + m, static_cast<uint64_t>(random.Int(0, 1 << 30)), spec},
        InferLayout(spec)->parameters,
        {},
        {}};
    for (const Parameter& p : member.parameters) {
      Tensor value = Tensor::Zeros(DType::kFloat32, p.shape);
      for (int64_t e = 0; e < value.size(); ++e) {
        value.data<float>()[e] = 0.3f * random.Normal();
      }
      member.weights.push_back(std::move(value));
    }
    // One that cannot be trained harms nobody.
    if (m % 37 == 5) {
      member.weights[0].data<float>()[0] =
          std::numeric_limits<float>::quiet_NaN();
    }
    for (int step = 0; step < kSteps; ++step) {
      ModelStep& s = member.steps.emplace_back();
      s.rows = rows(random.OneIn(5) ? 0 : random.Int(1, kMaxRows));
      s.lr = random.Uniform(1e-4, 0.05);
      s.active = !random.OneIn(6);
    }
    members.push_back(std::move(member));
  }
  features = Tensor::Zeros(DType::kFloat32, {kDatasetRows, kFeatures});
  for (int64_t e = 0; e < features.size(); ++e) {
    features.data<float>()[e] = random.Normal();
  }
  targets = Tensor::Zeros(DType::kInt64, {kDatasetRows});
  for (int64_t e = 0; e < targets.size(); ++e) {
    targets.data<int64_t>()[e] = random.Int(0, kClasses - 1);
  }
}

// Everything that a run tells of one model, in bits. Which NaN it is, is open.
using Bits = std::vector<uint32_t>;

void Add(float value, Bits* bits) {
  uint32_t one = 0x7fc00000u;
  if (!std::isnan(value)) std::memcpy(&one, &value, sizeof(one));
  bits->push_back(one);
}

void AddState(Session& session, int at, const Member& member, Bits* bits) {
  bits->push_back(static_cast<uint32_t>(
      *session.ReadState(at, "step", "")->data<int64_t>()));
  for (const char* slot : {"param", "exp_avg", "exp_avg_sq"}) {
    for (const Parameter& p : member.parameters) {
      const Tensor value = *session.ReadState(at, slot, p.name);
      for (int64_t e = 0; e < value.size(); ++e) {
        Add(value.data<float>()[e], bits);
      }
    }
  }
}

struct Run {
  std::vector<Bits> bits;  // by model of the population; empty: not trained
  int stepped = 0;
};

// Trains the models of `order`, in that order.
Run Train(Backend& backend, const Population& population,
          const std::string& precision, const std::vector<int>& order,
          bool graphs) {
  Run run;
  run.bits.resize(population.members.size());
  CompileRequest request;
  for (const int m : order) {
    request.models.push_back(population.members[m].instance);
  }
  request.loss = {"cross_entropy", {}};
  request.max_rows = kMaxRows;
  request.options["precision"] = precision;
  auto compiled = backend.Compile(request);
  auto dataset = backend.CreateDataset(population.features.Clone(),
                                       population.targets.Clone());
  if (!compiled.ok() || !dataset.ok()) {
    ADD_FAILURE() << compiled.status() << dataset.status();
    return run;
  }
  Session& session = **compiled;
  EXPECT_TRUE(session.SetOptimizer("adamw").ok());
  if (graphs) {
    EXPECT_TRUE(session.Tune({}).ok());
  }
  const int models = static_cast<int>(order.size());
  for (int i = 0; i < models; ++i) {
    const Member& member = population.members[order[i]];
    for (size_t p = 0; p < member.parameters.size(); ++p) {
      const absl::Status status = session.WriteState(
          i, "param", member.parameters[p].name, member.weights[p]);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  for (int step = 0; step < kSteps; ++step) {
    const auto column = [&](const char* name, double value) {
      return Column{name, std::vector<double>(models, value)};
    };
    std::vector<Column> columns = {column("lr", 0), column("beta1", 0.9),
                                   column("beta2", 0.99), column("eps", 1e-8),
                                   column("weight_decay", 0.01)};
    std::vector<uint8_t> active;
    std::vector<int32_t> rows;
    std::vector<int64_t> offsets = {0};
    for (int i = 0; i < models; ++i) {
      const ModelStep& s = population.members[order[i]].steps[step];
      columns[0].values[i] = s.lr;
      active.push_back(s.active ? 1 : 0);
      rows.insert(rows.end(), s.rows.begin(), s.rows.end());
      offsets.push_back(static_cast<int64_t>(rows.size()));
    }
    StepRequest train;
    train.dataset = dataset->get();
    train.rows = {rows, offsets};
    if (population.shared(step)) {
      train.rows = {population.shared_rows[step], {}};
    }
    train.columns = columns;
    train.active = active;
    StepResult result;
    const absl::Status status = session.TrainStep(train, &result);
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return run;
    for (int i = 0; i < models; ++i) {
      Bits& bits = run.bits[order[i]];
      Add(result.losses[i], &bits);
      bits.push_back(static_cast<uint32_t>(result.outcomes[i]));
      run.stepped += result.outcomes[i] == Outcome::kStepped ? 1 : 0;
    }
  }
  for (int i = 0; i < models; ++i) {
    AddState(session, i, population.members[order[i]], &run.bits[order[i]]);
  }
  if (graphs) {
    // It was replayed, both kinds of step.
    const std::string plan = session.Stats()->plan;
    EXPECT_THAT(plan, HasSubstr(" recorded"));
    EXPECT_THAT(plan, Not(HasSubstr("; 0 steps launched in graphs")));
    EXPECT_THAT(plan, Not(HasSubstr("graphs are off")));
  }
  return run;
}

// The first difference of a model that both trained.
void ExpectSame(const Population& population, const Run& expected,
                const Run& found, const std::string& what) {
  for (size_t m = 0; m < expected.bits.size(); ++m) {
    const Bits &a = expected.bits[m], &b = found.bits[m];
    if (b.empty()) continue;
    const std::string model =
        absl::StrCat(what, ": model ", m, " of widths ",
                     population.members[m].parameters[0].shape[0], " and ",
                     population.members[m].parameters[2].shape[0]);
    ASSERT_EQ(a.size(), b.size()) << model;
    const auto differs = std::mismatch(a.begin(), a.end(), b.begin()).first;
    ASSERT_EQ(differs, a.end())
        << model << " differs at " << differs - a.begin() << " of " << a.size();
  }
}

}  // namespace

void TestAmongMany(const AmongMany& options) {
  const Population population(options);
  const std::string precision =
      kPrecisionNames[static_cast<int>(options.precision)];
  CudaBackend backend(options.open);
  std::vector<int> order(options.models);
  std::iota(order.begin(), order.end(), 0);
  const auto train = [&](const std::vector<int>& models, bool graphs) {
    return Train(backend, population, precision, models, graphs);
  };
  const Run together = train(order, false);
  // It tested something: three of four models step, but for the one of 37.
  ASSERT_GT(together.stepped, options.models * kSteps / 2);
  ExpectSame(population, together, train(order, false), "again");
  ExpectSame(population, together, train(order, true), "as graphs");
  std::mt19937_64 random(91);
  std::shuffle(order.begin(), order.end(), random);
  ExpectSame(population, together, train(order, false), "in another order");
  std::reverse(order.begin(), order.end());
  ExpectSame(population, together, train(order, true),
             "in another order, as graphs");
  for (int m = 0; m < options.models; ++m) {
    ExpectSame(population, together, train({m}, false), "alone");
    // A tenth are enough for the graphs of one model.
    if (m % 10 != 0) continue;
    ExpectSame(population, together, train({m}, true), "alone, as graphs");
  }
  if (options.precision != Precision::kFp32) return;
  const auto cpu = *cpu::CpuBackend::Create({{"threads", int64_t{1}}});
  std::sort(order.begin(), order.end());
  ExpectSame(population, together,
             Train(*cpu, population, precision, order, false), "on the cpu");
}

}  // namespace modelbatch::cuda::testing
