// The promise: model i ends with the bits it would have had alone, whatever
// trains beside it, wherever it stands, on however many threads. Through the
// cpu plugin, as a user's program reaches it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "modelbatch/modelbatch.h"
#include "tests/independence/population.h"

namespace modelbatch {
namespace {

using Trajectories = std::map<int64_t, Trajectory>;

constexpr char kBackend[] = "cpu";
// Members 0 to 8 have all widths, 1 to 64, and all but one dropout rate.
const std::vector<int64_t> kProbes = {0, 1, 2, 3, 4, 5, 6, 7, 8};

Attributes Threads(int64_t threads) { return {{"threads", threads}}; }

std::vector<int64_t> Ids(int64_t count, int64_t first = 0) {
  std::vector<int64_t> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

Trajectories Train(const Population& population, const Batch& batch) {
  absl::StatusOr<Trajectories> result = population.Train(kBackend, batch);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : Trajectories();
}

Trajectories TrainAlone(const Population& population,
                        const std::vector<int64_t>& ids) {
  Trajectories result;
  for (int64_t id : ids) {
    Trajectories one = Train(population, {{id}, Threads(1)});
    result.insert(std::make_move_iterator(one.begin()),
                  std::make_move_iterator(one.end()));
  }
  return result;
}

// Every member of `alone` that is in `together` has the same bits there.
void ExpectSame(const Trajectories& alone, const Trajectories& together,
                const std::string& where) {
  int compared = 0;
  for (const auto& [id, trajectory] : together) {
    const auto it = alone.find(id);
    if (it == alone.end()) continue;
    ++compared;
    EXPECT_EQ(Difference(it->second, trajectory), "")
        << "member " << id << ", " << where;
  }
  EXPECT_GT(compared, 0) << where;
}

class IndependenceTest
    : public testing::TestWithParam<
          std::tuple<GraphKind, const char*, Population::Rows>> {
 protected:
  Population MakePopulation() const {
    const auto& [graph, optimizer, rows] = GetParam();
    return Population(graph, optimizer, rows);
  }
};

TEST_P(IndependenceTest, TrainingDoesSomething) {
  const Population population = MakePopulation();
  const Trajectories trained = Train(population, {kProbes, Threads(1)});
  const Trajectories untrained = Train(population, {kProbes, Threads(1), 0, 0});
  for (int64_t id : kProbes) {
    const Trajectory& trajectory = trained.at(id);
    EXPECT_EQ(trajectory.state.step, 35);
    for (Outcome outcome : trajectory.outcomes) {
      EXPECT_EQ(outcome, Outcome::kStepped);
    }
    for (const auto& [name, value] : trajectory.state.slots.at("param")) {
      const Tensor& before = untrained.at(id).state.slots.at("param").at(name);
      double moved = 0;
      for (int64_t e = 0; e < value.size(); ++e) {
        moved = std::max(
            moved, std::fabs(static_cast<double>(value.data<float>()[e] -
                                                 before.data<float>()[e])));
        ASSERT_TRUE(std::isfinite(value.data<float>()[e]));
      }
      // Layer norm of a single value is constant: nothing reaches what is
      // before it.
      const bool constant =
          std::get<0>(GetParam()) == GraphKind::kNorm && id == 0;
      if (constant) continue;
      EXPECT_GT(moved, 0) << name << " of member " << id;
    }
  }
}

TEST_P(IndependenceTest, AnyBatchSizeSlotAndThreads) {
  const Population population = MakePopulation();
  const Trajectories alone = TrainAlone(population, kProbes);
  std::mt19937 random(3);
  for (int64_t size : {7, 64, 500}) {
    std::vector<int64_t> first = Ids(size), last = Ids(size), any = Ids(size);
    std::reverse(last.begin(), last.end());
    std::shuffle(any.begin(), any.end(), random);
    for (int64_t threads : {1, 2, 3}) {
      for (const auto& ids : {first, last, any}) {
        // The largest size once is enough: it takes as long as all others.
        if (size == 500 && (threads == 1 || ids != any)) continue;
        ExpectSame(alone, Train(population, {ids, Threads(threads)}),
                   "batch of " + std::to_string(size) + " on " +
                       std::to_string(threads) +
                       " threads, first slot: " + std::to_string(ids[0]));
      }
    }
  }
}

TEST_P(IndependenceTest, EveryMemberOfABatch) {
  const Population population = MakePopulation();
  ExpectSame(TrainAlone(population, Ids(40)),
             Train(population, {Ids(40), Threads(2)}), "batch of 40");
}

// Where there are fewer models than threads, several threads share one.
TEST_P(IndependenceTest, SeveralThreadsToAModel) {
  const Population population = MakePopulation();
  const auto train = [&](const std::vector<int64_t>& ids, int64_t threads) {
    Batch batch = {ids, Threads(threads), 0, /*last_step=*/7};
    batch.options["threads_per_model"] = threads;
    return Train(population, batch);
  };
  for (int64_t id : kProbes) {
    const Trajectories alone = train({id}, 1);
    for (int64_t threads : {2, 3}) {
      ExpectSame(alone, train({id}, threads),
                 std::to_string(threads) + " threads");
    }
  }
  ExpectSame(train({6, 3}, 1), train({6, 3}, 5), "two teams of two threads");
}

TEST_P(IndependenceTest, RoomForMoreRows) {
  const Population population = MakePopulation();
  Batch roomy = {kProbes, Threads(2)};
  roomy.spare_rows = 37;
  ExpectSame(TrainAlone(population, kProbes), Train(population, roomy),
             "compiled for more rows");
}

// Kernels of another instruction set: the same bits, in another program run.
TEST_P(IndependenceTest, GenericKernels) {
  const Population population = MakePopulation();
  const Trajectories best = Train(population, {Ids(30), Threads(2)});
  Batch generic = {Ids(30), Threads(2)};
  generic.options["kernels"] = std::string("generic");
  ExpectSame(best, Train(population, generic), "generic kernels");
}

TEST_P(IndependenceTest, Avx2Kernels) {
  Batch avx2 = {Ids(30), Threads(1)};
  avx2.options["kernels"] = std::string("avx2");
  const Population population = MakePopulation();
  absl::StatusOr<Trajectories> result = population.Train(kBackend, avx2);
  if (!result.ok()) GTEST_SKIP() << result.status();
  Batch generic = {Ids(30), Threads(1)};
  generic.options["kernels"] = std::string("generic");
  ExpectSame(*result, Train(population, generic), "AVX2 and generic kernels");
}

TEST_P(IndependenceTest, NextToNaNs) {
  const Population population = MakePopulation();
  const Trajectories alone = TrainAlone(population, kProbes);
  const std::vector<int64_t> poisoned = {20, 21, 22};
  Batch batch = {{20, 3, 1, 21, 0, 2, 8, 7, 6, 5, 4, 22}, Threads(2)};
  batch.prepare = [&](ModelBatch& models) {
    for (int i = 0; i < models.num_models(); ++i) {
      const int64_t id = models.model(i).id;
      if (id < 20) continue;
      // The last bias reaches the loss whatever the activations do.
      const Parameter& parameter = models.layout(i).parameters.back();
      Tensor value = Tensor::Zeros(DType::kFloat32, parameter.shape);
      value.data<float>()[0] = id == 20 ? std::nanf("") : INFINITY;
      absl::Status status =
          models.session().WriteState(i, "param", parameter.name, value);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  };
  const Trajectories together = Train(population, batch);
  ExpectSame(alone, together, "next to NaNs");

  Batch untrained = batch;
  untrained.last_step = 0;
  const Trajectories before = Train(population, untrained);
  for (int64_t id : poisoned) {
    const Trajectory& trajectory = together.at(id);
    EXPECT_EQ(trajectory.state.step, 0);
    for (Outcome outcome : trajectory.outcomes) {
      EXPECT_EQ(outcome, Outcome::kNonFiniteLoss);
    }
    for (float loss : trajectory.losses) EXPECT_FALSE(std::isfinite(loss));
    for (const auto& [slot, tensors] : trajectory.state.slots) {
      for (const auto& [name, value] : tensors) {
        const Tensor& expected = before.at(id).state.slots.at(slot).at(name);
        EXPECT_EQ(std::memcmp(value.raw(), expected.raw(), value.byte_size()),
                  0)
            << slot << " of " << name << " of member " << id;
      }
    }
  }
}

TEST_P(IndependenceTest, NextToOneThatDiverges) {
  Population population = MakePopulation();
  population.rate_factors = {{30, 1e30}, {31, 1e38}};
  const Trajectories alone = TrainAlone(population, Ids(32));
  const Trajectories together =
      Train(population, {{31, 1, 2, 30, 3, 4, 5, 6, 7, 8, 0}, Threads(2)});
  // The diverging ones too: they are skipped at the same step.
  ExpectSame(alone, together, "next to diverging models");
  for (int64_t id : {30, 31}) {
    const std::vector<Outcome>& outcomes = together.at(id).outcomes;
    EXPECT_EQ(outcomes.front(), Outcome::kStepped);
    if (std::get<0>(GetParam()) == GraphKind::kPlain) {
      EXPECT_TRUE(outcomes.back() == Outcome::kNonFiniteLoss ||
                  outcomes.back() == Outcome::kNonFiniteGradient)
          << OutcomeName(outcomes.back());
    }
  }
}

// Switched off for some steps, a model continues as if they had not been.
TEST_P(IndependenceTest, InactiveModels) {
  const Population population = MakePopulation();
  const auto sleeps = [](int64_t id, int64_t step) {
    return id % 2 == 1 && (step + id) % 3 == 0;
  };
  const auto before_step = [&](int64_t step, ModelBatch& models) {
    for (int i = 0; i < models.num_models(); ++i) {
      ASSERT_TRUE(models.SetActive(i, !sleeps(models.model(i).id, step)).ok());
    }
  };
  Batch batch = {Ids(12), Threads(2)};
  batch.before_step = before_step;
  const Trajectories together = Train(population, batch);
  Trajectories alone;
  for (int64_t id : kProbes) {
    Batch one = {{id}, Threads(1)};
    one.before_step = before_step;
    alone[id] = std::move(Train(population, one).at(id));
  }
  ExpectSame(alone, together, "with inactive models");
  // Those that were always active know nothing of it.
  ExpectSame(TrainAlone(population, {0, 2, 4, 6, 8}), together, "active ones");
  for (int64_t id : {1, 3, 5}) {
    int64_t asleep = 0;
    for (int64_t step = 0; step < 35; ++step) {
      asleep += sleeps(id, step);
      EXPECT_EQ(together.at(id).outcomes[step],
                sleeps(id, step) ? Outcome::kInactive : Outcome::kStepped);
    }
    EXPECT_EQ(together.at(id).state.step, 35 - asleep);
  }
}

// Half a run, then the rest from its state, in another batch and slot.
TEST_P(IndependenceTest, MovedToAnotherBatch) {
  const Population population = MakePopulation();
  const Trajectories whole = Train(population, {Ids(9), Threads(2)});
  Batch half = {Ids(9), Threads(2)};
  half.last_step = 17;
  const Trajectories states = Train(population, half);
  Batch rest = {{40, 8, 7, 3, 41, 0, 1, 5, 2, 6, 4}, Threads(1)};
  rest.first_step = 17;
  rest.prepare = [&](ModelBatch& models) {
    for (int i = 0; i < models.num_models(); ++i) {
      const auto it = states.find(models.model(i).id);
      if (it == states.end()) continue;
      absl::Status status = models.LoadModelState(i, it->second.state);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  };
  Trajectories moved = Train(population, rest);
  for (int64_t id : Ids(9)) {
    Trajectory& trajectory = moved.at(id);
    const Trajectory& start = states.at(id);
    trajectory.losses.insert(trajectory.losses.begin(), start.losses.begin(),
                             start.losses.end());
    trajectory.outcomes.insert(trajectory.outcomes.begin(),
                               start.outcomes.begin(), start.outcomes.end());
  }
  ExpectSame(whole, moved, "moved to another batch");
}

std::string ParamName(
    const testing::TestParamInfo<IndependenceTest::ParamType>& info) {
  const auto& [graph, optimizer, rows] = info.param;
  return std::string(GraphName(graph)) + "_" + optimizer + "_" +
         (rows == Population::Rows::kShared ? "Shared" : "Ragged");
}

INSTANTIATE_TEST_SUITE_P(
    Cpu, IndependenceTest,
    testing::Combine(testing::ValuesIn(kAllGraphs),
                     testing::Values("sgd", "adam", "adamw"),
                     testing::Values(Population::Rows::kShared,
                                     Population::Rows::kRagged)),
    ParamName);

INSTANTIATE_TEST_SUITE_P(
    OtherOptimizers, IndependenceTest,
    testing::Combine(testing::Values(GraphKind::kDropout),
                     testing::Values("nadam", "radam", "rmsprop", "adagrad",
                                     "adadelta", "lion"),
                     testing::Values(Population::Rows::kRagged)),
    ParamName);

// A gradient that overflows where the loss is finite: nothing is changed.
TEST(Independence, NextToOneWhoseGradientOverflows) {
  const Population population(GraphKind::kRegression, "adam");
  const Trajectories alone = TrainAlone(population, kProbes);
  Batch batch = {{3, 20, 1, 0, 2, 8, 7, 6, 5, 4}, Threads(2)};
  batch.prepare = [&](ModelBatch& models) {
    // tanh gives 0, so that the next weight does not show in the outputs, of
    // 4e17 with finite squares; on the way back the two weights meet.
    for (const Parameter& parameter : models.layout(1).parameters) {
      Tensor value = Tensor::Zeros(DType::kFloat32, parameter.shape);
      std::fill_n(value.data<float>(), value.size(),
                  parameter.name == "5.weight" ? 1e17f : 0.0f);
      if (parameter.name == "3.weight") {
        std::fill_n(value.data<float>(), value.size(), 1e30f);
      }
      absl::Status status =
          models.session().WriteState(1, "param", parameter.name, value);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  };
  const Trajectories together = Train(population, batch);
  ExpectSame(alone, together, "next to an overflow");
  EXPECT_EQ(together.at(20).state.step, 0);
  for (Outcome outcome : together.at(20).outcomes) {
    EXPECT_EQ(outcome, Outcome::kNonFiniteGradient) << OutcomeName(outcome);
  }
  for (float loss : together.at(20).losses) EXPECT_TRUE(std::isfinite(loss));
}

// A model without rows in a step makes no update and does not count it.
TEST(Independence, EmptyRowSets) {
  Population population(GraphKind::kDropout, "adam");
  const Trajectories undisturbed = TrainAlone(population, {0, 3, 8});
  population.often_empty = {1, 2};
  const Trajectories alone = TrainAlone(population, kProbes);
  const Trajectories together = Train(population, {Ids(20), Threads(2)});
  ExpectSame(alone, together, "with empty row sets");
  ExpectSame(undisturbed, together, "next to empty row sets");
  EXPECT_EQ(together.at(1).state.step, 18);
  for (int64_t step = 0; step < 35; ++step) {
    EXPECT_EQ(together.at(2).outcomes[step],
              step % 2 == 1 ? Outcome::kEmpty : Outcome::kStepped);
  }
}

// The same run twice, and one with another seed: the comparison tells.
TEST(Independence, DifferenceIsSeen) {
  const Population population(GraphKind::kDropout, "adam");
  const Trajectories a = Train(population, {{1, 2}, Threads(2)});
  const Trajectories b = Train(population, {{1, 2}, Threads(2)});
  EXPECT_EQ(Difference(a.at(1), b.at(1)), "");
  EXPECT_NE(Difference(a.at(1), b.at(2)), "");
  Population other(GraphKind::kDropout, "adam");
  other.rate_factors = {{1, 1 + 1e-6}};
  const Trajectories c = Train(other, {{1, 2}, Threads(2)});
  EXPECT_NE(Difference(a.at(1), c.at(1)), "");
  EXPECT_EQ(Difference(a.at(2), c.at(2)), "");
}

}  // namespace
}  // namespace modelbatch
