// The independence checks notice a backend that breaks the contract.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "tests/independence/population.h"

namespace modelbatch {
namespace {

using Trajectories = std::map<int64_t, Trajectory>;

Trajectories Train(const Population& population, const Batch& batch) {
  const char* const runfiles = std::getenv("TEST_SRCDIR");
  EXPECT_NE(runfiles, nullptr);
  absl::StatusOr<Trajectories> result = population.Train(
      std::string(runfiles) +
          "/modelbatch/tests/independence/libmodelbatch_broken.so",
      batch);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : Trajectories();
}

TEST(BrokenContract, IsNoticedInEveryGraphAndOptimizer) {
  for (GraphKind graph : kAllGraphs) {
    for (const char* optimizer : {"sgd", "adam", "adamw"}) {
      const Population population(graph, optimizer);
      const Trajectories together = Train(population, {{3, 4, 5, 6}, {}});
      int different = 0;
      for (int64_t id : {3, 4, 5, 6}) {
        const Trajectories alone = Train(population, {{id}, {}});
        different += !Difference(alone.at(id), together.at(id)).empty();
      }
      EXPECT_EQ(different, 4) << GraphName(graph) << ", " << optimizer;
    }
  }
}

// It is the number of models that makes the difference, not chance.
TEST(BrokenContract, TwoEqualRunsAreEqual) {
  const Population population(GraphKind::kNorm, "adam");
  const Trajectories a = Train(population, {{3, 4, 5}, {}});
  const Trajectories b = Train(population, {{3, 4, 5}, {}});
  for (const auto& [id, trajectory] : a) {
    EXPECT_EQ(Difference(trajectory, b.at(id)), "") << id;
  }
}

}  // namespace
}  // namespace modelbatch
