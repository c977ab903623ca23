// Models come and go between steps, and nobody else notices: the others end
// with the bits they would have had, and what takes a model's place with those
// it would have had alone.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "modelbatch/model/initialize.h"
#include "modelbatch/modelbatch.h"
#include "modelbatch/optim/optimizer_info.h"
#include "tests/independence/population.h"

namespace modelbatch {
namespace {

using Trajectories = std::map<int64_t, Trajectory>;
using Change = std::function<absl::Status(ModelBatch&)>;

constexpr int64_t kStep = 12;  // before which something changes

Trajectories Train(const Population& population, std::vector<int64_t> ids,
                   const std::map<int64_t, Change>& changes = {}) {
  Batch batch{std::move(ids)};
  batch.before_step = [&changes](int64_t step, ModelBatch& models) {
    const auto change = changes.find(step);
    if (change == changes.end()) return;
    const absl::Status status = change->second(models);
    EXPECT_TRUE(status.ok()) << status;
  };
  absl::StatusOr<Trajectories> result = population.Train("cpu", batch);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : Trajectories();
}

// The change made to member `id`, wherever it stands.
Change To(int position, std::function<absl::Status(ModelBatch&, int)> change) {
  return [position, change = std::move(change)](ModelBatch& batch) {
    return change(batch, position);
  };
}

class ChangesTest
    : public testing::TestWithParam<std::tuple<GraphKind, Population::Rows>> {
 protected:
  ChangesTest() : population_(Graph(), "adam", std::get<1>(GetParam())) {}
  GraphKind Graph() const { return std::get<0>(GetParam()); }

  void ExpectAlone(const Trajectories& together, int64_t id) {
    const Trajectories alone = Train(population_, {id});
    EXPECT_EQ(Difference(alone.at(id), together.at(id)), "") << "model " << id;
  }

  Population population_;
};

INSTANTIATE_TEST_SUITE_P(
    All, ChangesTest,
    testing::Combine(testing::Values(GraphKind::kPlain, GraphKind::kDropout,
                                     GraphKind::kRegression),
                     testing::Values(Population::Rows::kShared,
                                     Population::Rows::kRagged)));

TEST_P(ChangesTest, SurvivorsOfRemovalAndCompaction) {
  const Trajectories together =
      Train(population_, {0, 1, 2, 3, 4, 5},
            {{5, To(1, [](ModelBatch& b, int i) { return b.Remove(i); })},
             {kStep, [](ModelBatch& b) { return b.Compact(); }},
             {20, To(4, [](ModelBatch& b, int i) { return b.Remove(i); })},
             {21, To(0, [](ModelBatch& b, int i) { return b.Remove(i); })},
             {22, [](ModelBatch& b) { return b.Compact(); }}});
  for (const int64_t id : {2, 3, 5}) ExpectAlone(together, id);
  // Until it was removed, a model was itself; then it took no part.
  const Trajectories alone = Train(population_, {4});
  for (int step = 0; step < 35; ++step) {
    if (step < 20) {
      EXPECT_EQ(together.at(4).losses[step], alone.at(4).losses[step]);
    } else {
      EXPECT_EQ(together.at(4).outcomes[step], Outcome::kInactive);
      EXPECT_EQ(together.at(4).losses[step], 0);
    }
  }
}

TEST_P(ChangesTest, AReplacementAndThoseAroundIt) {
  // Of another width, with a seed of its own.
  const auto replace = [this](ModelBatch& batch, int i) {
    return batch.Replace(i, population_.Member(8));
  };
  const Trajectories together =
      Train(population_, {0, 1, 2, 3, 4}, {{kStep, To(2, replace)}});
  for (const int64_t id : {0, 1, 3, 4}) ExpectAlone(together, id);
  const Trajectories alone = Train(population_, {2}, {{kStep, To(0, replace)}});
  EXPECT_EQ(Difference(alone.at(2), together.at(2)), "");
  EXPECT_EQ(together.at(2).state.step,
            Train(population_, {2}).at(2).state.step - kStep);
}

TEST_P(ChangesTest, AReplacementIsANewModel) {
  Train(population_, {0, 1, 2},
        {{kStep, [this](ModelBatch& batch) {
            const ModelInstance member = population_.Member(8);
            EXPECT_TRUE(batch.Remove(1).ok());
            EXPECT_TRUE(batch.Compact().ok());
            absl::Status status = batch.Replace(1, member);
            EXPECT_EQ(batch.model(1).id, 8);
            EXPECT_EQ(batch.active()[1], 1);
            const auto state = batch.GetModelState(1);
            EXPECT_TRUE(state.ok()) << state.status();
            EXPECT_EQ(state->step, 0);
            const Layout& layout = batch.layout(1);
            for (size_t p = 0; p < layout.parameters.size(); ++p) {
              const std::string& name = layout.parameters[p].name;
              const Tensor initial =
                  InitialValue(layout, static_cast<int>(p), member.seed);
              const Tensor& value = state->slots.at("param").at(name);
              EXPECT_EQ(value.shape(), initial.shape());
              EXPECT_EQ(
                  std::memcmp(value.raw(), initial.raw(), value.byte_size()),
                  0);
              for (const char* slot : {"exp_avg", "exp_avg_sq"}) {
                const Tensor& zeros = state->slots.at(slot).at(name);
                for (int64_t e = 0; e < zeros.size(); ++e) {
                  EXPECT_EQ(zeros.data<float>()[e], 0);
                }
              }
            }
            return status;
          }}});
}

TEST_P(ChangesTest, AResetModelStartsAgainAndTheOthersGoOn) {
  const auto reset = [](ModelBatch& batch, int i) { return batch.Reset(i); };
  const Trajectories together =
      Train(population_, {0, 1, 2, 3}, {{kStep, To(2, reset)}});
  for (const int64_t id : {0, 1, 3}) ExpectAlone(together, id);
  const Trajectories alone = Train(population_, {2}, {{kStep, To(0, reset)}});
  EXPECT_EQ(Difference(alone.at(2), together.at(2)), "");
}

TEST_P(ChangesTest, ACopyContinuesTheOriginalWithASeedOfItsOwn) {
  const auto copy = [](int from, int to, uint64_t seed) {
    return [from, to, seed](ModelBatch& batch) {
      const auto before = batch.GetModelState(from);
      absl::Status status = batch.Copy(from, to, 100, seed);
      const auto after = batch.GetModelState(to);
      EXPECT_TRUE(before.ok() && after.ok());
      EXPECT_EQ(before->step, after->step);
      for (const auto& [slot, tensors] : before->slots) {
        for (const auto& [name, value] : tensors) {
          const Tensor& copied = after->slots.at(slot).at(name);
          EXPECT_EQ(std::memcmp(value.raw(), copied.raw(), value.byte_size()),
                    0);
        }
      }
      return status;
    };
  };
  const Trajectories together =
      Train(population_, {0, 1, 2, 3, 4}, {{kStep, copy(3, 1, 77)}});
  for (const int64_t id : {0, 2, 3, 4}) ExpectAlone(together, id);
  const Trajectories pair =
      Train(population_, {3, 1}, {{kStep, copy(0, 1, 77)}});
  EXPECT_EQ(Difference(pair.at(1), together.at(1)), "");
  // The seed is that of the masks.
  const Trajectories other =
      Train(population_, {3, 1}, {{kStep, copy(0, 1, 78)}});
  EXPECT_EQ(Difference(pair.at(1), other.at(1)) != "",
            Graph() == GraphKind::kDropout);
}

// Tuned in the middle, before and after others come and go: nobody's bits are
// others than those of a model that was never tuned.
TEST_P(ChangesTest, TuningIsNoChange) {
  const auto tune = [](ModelBatch& batch) {
    const auto report = batch.EnableCompile({/*time_ms=*/200, ""});
    EXPECT_TRUE(report.ok()) << report.status();
    return report.status();
  };
  const Trajectories together = Train(
      population_, {0, 1, 2, 3, 4},
      {{4, tune},
       {kStep, To(2,
                  [this](ModelBatch& batch, int i) {
                    return batch.Replace(i, population_.Member(8));
                  })},
       {kStep + 1, To(1, [](ModelBatch& b, int i) { return b.Remove(i); })},
       {kStep + 2,
        [](ModelBatch& batch) {
          const absl::Status status = batch.Compact();
          // The new session runs what the process has measured.
          EXPECT_NE(batch.session().Stats()->plan.find("(cached)"),
                    std::string::npos);
          return status;
        }},
       {20, tune}});
  for (const int64_t id : {0, 3, 4}) ExpectAlone(together, id);
  const Trajectories alone = Train(
      population_, {2}, {{kStep, To(0, [this](ModelBatch& batch, int i) {
                            return batch.Replace(i, population_.Member(8));
                          })}});
  EXPECT_EQ(Difference(alone.at(2), together.at(2)), "");
}

// Compaction, copies and resets keep each optimizer's state, also the one that
// some members need and others do not.
TEST(Changes, WithEveryOptimizer) {
  for (const std::string& kind : OptimizerKinds()) {
    SCOPED_TRACE(kind);
    const Population population(GraphKind::kDropout, kind);
    const auto copy = [](int from, int to) {
      return [from, to](ModelBatch& b) { return b.Copy(from, to, 90, 91); };
    };
    const auto reset = [](ModelBatch& b, int i) { return b.Reset(i); };
    const Trajectories together =
        Train(population, {0, 1, 2, 3, 5, 6},
              {{5, To(1, [](ModelBatch& b, int i) { return b.Remove(i); })},
               {kStep, [](ModelBatch& b) { return b.Compact(); }},
               {15, copy(4, 2)},
               {20, To(5, reset)}});
    for (const int64_t id : {0, 3, 5}) {
      const Trajectories alone = Train(population, {id});
      EXPECT_EQ(Difference(alone.at(id), together.at(id)), "") << id;
    }
    const Trajectories alone = Train(population, {6}, {{20, To(0, reset)}});
    EXPECT_EQ(Difference(alone.at(6), together.at(6)), "");
    const Trajectories pair = Train(population, {5, 2}, {{15, copy(0, 1)}});
    // With 2's learning rate and rows, and 5's weights and state at step 15.
    EXPECT_EQ(Difference(pair.at(2).state, together.at(2).state), "");
  }
}

TEST(ChangesErrors, AreNamedAndChangeNothing) {
  const Population population(GraphKind::kPlain, "sgd");
  Train(population, {0, 1},
        {{kStep, [&population](ModelBatch& batch) {
            const auto expect = [](const absl::Status& status,
                                   absl::StatusCode code,
                                   const std::string& text) {
              EXPECT_EQ(status.code(), code) << status;
              EXPECT_NE(status.message().find(text), std::string::npos)
                  << status;
            };
            using absl::StatusCode;
            expect(batch.Remove(2), StatusCode::kInvalidArgument, "model 2");
            expect(batch.Reset(-1), StatusCode::kInvalidArgument, "model -1");
            expect(batch.Replace(0, {9, 1, ModelSpec({19}).Linear(5)}),
                   StatusCode::kInvalidArgument, "model 9");
            expect(batch.Replace(
                       0, {9, 1, ModelSpec({18}).Linear(4).Relu().Linear(5)}),
                   StatusCode::kInvalidArgument, "");
            EXPECT_EQ(batch.model(0).id, 0);
            EXPECT_TRUE(batch.Remove(1).ok());
            expect(batch.SetActive(1, true), StatusCode::kFailedPrecondition,
                   "model 1 was removed");
            expect(batch.Reset(1), StatusCode::kFailedPrecondition, "model 1");
            expect(batch.Copy(1, 0, 5, 5), StatusCode::kFailedPrecondition,
                   "model 1");
            expect(batch.GetModelState(1).status(),
                   StatusCode::kFailedPrecondition, "model 1");
            // The last model's session stays, as there is none without models.
            EXPECT_TRUE(batch.Remove(0).ok());
            EXPECT_TRUE(batch.Compact().ok());
            return batch.Replace(0, population.Member(0));
          }}});
}

}  // namespace
}  // namespace modelbatch
