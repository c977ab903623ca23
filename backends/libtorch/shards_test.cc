#include "backends/libtorch/shards.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "backends/grouped/plan.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch::libtorch {
namespace {

grouped::Plan PlanFor(const std::vector<int64_t>& widths,
                      const std::vector<double>& eps = {}) {
  CompileRequest request;
  for (size_t i = 0; i < widths.size(); ++i) {
    ModelSpec spec({64});
    spec.Linear(widths[i]).LayerNorm(eps.empty() ? 1e-5 : eps[i]).Linear(10);
    request.models.push_back({static_cast<int64_t>(i), 0, spec});
  }
  request.loss.kind = "cross_entropy";
  request.max_rows = 8;
  return *grouped::BuildPlan(request);
}

// Every model is in exactly one shard, with models it can be stacked with.
void ExpectCovers(const grouped::Plan& plan, const std::vector<Shard>& shards) {
  std::multiset<int> seen;
  for (const Shard& shard : shards) {
    ASSERT_FALSE(shard.empty());
    for (const int model : shard) {
      seen.insert(model);
      EXPECT_TRUE(CanStack(plan.models[shard[0]], plan.models[model]));
    }
  }
  EXPECT_EQ(seen.size(), plan.models.size());
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), seen.size());
}

TEST(ShardsTest, EqualModelsSpreadOverThePieces) {
  const grouped::Plan plan = PlanFor(std::vector<int64_t>(7, 32));
  EXPECT_EQ(MakeShards(plan, 1).size(), 1u);
  const std::vector<Shard> shards = MakeShards(plan, 2);
  ExpectCovers(plan, shards);
  ASSERT_EQ(shards.size(), 2u);
  EXPECT_EQ(shards[0].size(), 4u);
  EXPECT_EQ(shards[1].size(), 3u);
  EXPECT_EQ(MakeShards(plan, 100).size(), 7u);
}

TEST(ShardsTest, DifferentWidthsAreApartAndTheMostWorkComesFirst) {
  const grouped::Plan plan = PlanFor({16, 128, 16, 128, 128});
  const std::vector<Shard> shards = MakeShards(plan, 1);
  ExpectCovers(plan, shards);
  ASSERT_EQ(shards.size(), 2u);
  EXPECT_EQ(shards[0], (Shard{1, 3, 4}));
  EXPECT_EQ(shards[1], (Shard{0, 2}));
}

TEST(ShardsTest, AnOperationHasOneEpsForAllItsModels) {
  const grouped::Plan plan = PlanFor({16, 16, 16}, {1e-5, 1e-3, 1e-5});
  const std::vector<Shard> shards = MakeShards(plan, 1);
  ExpectCovers(plan, shards);
  EXPECT_EQ(shards.size(), 2u);
}

}  // namespace
}  // namespace modelbatch::libtorch
