// The workloads are what they are called, and model i is the same in a
// population of any size: peers that share the models, and runs of several
// sizes, train the same networks.
#include "benchmarks/workload.h"

#include <algorithm>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch::benchmarks {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::Le;

Workload Make(const char* name, int models) {
  return MakeWorkload(FindWorkload(name), models);
}

// The widths of a model's linear layers.
std::vector<int64_t> Widths(const Workload& workload, int model) {
  std::vector<int64_t> widths = workload.specs[model].input_shape();
  for (size_t o = 0; o < workload.specs[model].operators().size(); ++o) {
    if (workload.specs[model].operators()[o].kind == "linear") {
      widths.push_back(workload.layouts[model].outputs[o].back());
    }
  }
  return widths;
}

TEST(WorkloadTest, SizesAreThoseOfTheirNames) {
  const Workload small = Make("mlp_small", 3);
  EXPECT_THAT(Widths(small, 2), ElementsAre(64, 128, 10));
  EXPECT_EQ(small.Parameters(0, 3), 3 * (64 * 128 + 128 + 128 * 10 + 10));
  EXPECT_EQ(small.RowsPerStep(), 3 * 64);
  const Workload deep = Make("mlp_deep", 1);
  EXPECT_THAT(Widths(deep, 0), ElementsAre(784, 256, 256, 10));
  EXPECT_EQ(deep.RowsPerStep(), 128);
  EXPECT_EQ(Make("mlp_64", 1).Parameters(0, 1), 3 * 65 * 64 + 65 * 8);
  EXPECT_EQ(Make("mlp_256", 1).Parameters(0, 1), 3 * 257 * 256 + 257 * 10);
  EXPECT_EQ(Make("mlp_512", 1).Parameters(0, 1), 2 * 513 * 512 + 513 * 10);
  EXPECT_EQ(Make("mlp_1024", 1).Parameters(0, 1), 2 * 1025 * 1024 + 1025 * 10);
  const Workload norm = Make("mlp_norm", 1);
  EXPECT_TRUE(norm.HasDropout());
  EXPECT_FALSE(WithoutDropout(norm).HasDropout());
  EXPECT_FALSE(small.HasDropout());
}

// Forward 2, weights 2, input 2 per multiplication; the first layer has no
// derivative by its input.
TEST(WorkloadTest, FlopsAreThoseOfTheProducts) {
  const double small = 64.0 * (4 * 64 * 128 + 6 * 128 * 10);
  EXPECT_EQ(Make("mlp_small", 5).Flops(), 5 * small);
  EXPECT_EQ(Make("mlp_norm", 2).Flops(), 2 * small);
  EXPECT_EQ(Make("mlp_small", 5).ForwardFlops(),
            5 * 64.0 * (2 * 64 * 128 + 2 * 128 * 10));
  EXPECT_EQ(Make("mlp_deep", 1).Flops(),
            128.0 * (4 * 784 * 256 + 6 * 256 * 256 + 6 * 256 * 10));
  const Workload rows = Make("ragged_rows", 7);
  EXPECT_EQ(rows.Flops(), small / 64 * static_cast<double>(rows.RowsPerStep()));
}

TEST(WorkloadTest, RaggedWidthsAreDrawnFromTheListed) {
  const Workload workload = Make("mlp_ragged", 64);
  std::set<int64_t> seen;
  for (int i = 0; i < 64; ++i) {
    const std::vector<int64_t> widths = Widths(workload, i);
    ASSERT_EQ(widths.size(), 4);
    EXPECT_EQ(widths[1], widths[2]);
    seen.insert(widths[1]);
  }
  EXPECT_THAT(seen, ElementsAre(32, 48, 64, 96, 128, 160, 192, 256));
}

TEST(WorkloadTest, RaggedRowsAreEachModelsOwn) {
  const Workload workload = Make("ragged_rows", 40);
  std::set<size_t> counts;
  for (int b = 0; b < Workload::kBatches; ++b) {
    const RoutedRows& batch = workload.batches[b];
    ASSERT_EQ(batch.offsets.size(), 41);
    for (int i = 0; i < 40; ++i) {
      const auto rows = batch.of(i);
      counts.insert(rows.size());
      EXPECT_EQ(rows.size(), workload.batches[0].of(i).size());
      EXPECT_THAT(rows, Each(Ge(b * 128)));
      EXPECT_THAT(rows, Each(Le(b * 128 + 127)));
      EXPECT_EQ(std::set<int32_t>(rows.begin(), rows.end()).size(),
                rows.size());
    }
  }
  EXPECT_THAT(counts, Each(Ge(1)));
  EXPECT_THAT(counts, Each(Le(128)));
  EXPECT_GT(counts.size(), 20);
}

TEST(WorkloadTest, AModelDoesNotDependOnHowManyThereAre) {
  for (const WorkloadEntry& entry : WorkloadTable()) {
    const Workload few = MakeWorkload(entry, 3);
    const Workload many = MakeWorkload(entry, 6);
    EXPECT_EQ(few.features, many.features) << entry.name;
    EXPECT_EQ(few.labels, many.labels) << entry.name;
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(few.initial[i], many.initial[i]) << entry.name;
      EXPECT_EQ(few.rates[i], many.rates[i]);
      EXPECT_EQ(few.seeds[i], many.seeds[i]);
      for (int b = 0; b < Workload::kBatches; ++b) {
        EXPECT_EQ(few.batches[b].of(i), many.batches[b].of(i)) << entry.name;
      }
    }
  }
}

TEST(WorkloadTest, LearningRatesDiffer) {
  const Workload workload = Make("mlp_small", 16);
  const std::set<double> rates(workload.rates.begin(), workload.rates.end());
  EXPECT_EQ(rates.size(), 16);
}

}  // namespace
}  // namespace modelbatch::benchmarks
