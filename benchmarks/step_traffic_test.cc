// What `compare` writes as a step's bytes is what docs/cuda.md counts for its
// workloads.
#include "benchmarks/step_traffic.h"

#include "gtest/gtest.h"

namespace modelbatch::benchmarks {
namespace {

// 64-128-10, relu, 64 rows that all see. By hand, in floats a model.
TEST(StepTrafficTest, OfMlpSmall) {
  const Workload workload = MakeWorkload(FindWorkload("mlp_small"), 3);
  const auto traffic = StepTraffic(workload, "fp32");
  ASSERT_TRUE(traffic.ok()) << traffic.status();
  const double w1 = 64 * 128, w2 = 128 * 10, b = 128 + 10;
  const double h = 64 * 128, y = 64 * 10;
  EXPECT_EQ(traffic->weights, 3 * 4 * (w1 + w2 + b + w2));
  EXPECT_EQ(traffic->gradients, 3 * 4 * (w1 + w2 + b));
  EXPECT_EQ(traffic->update, 3 * 28 * (w1 + w2 + b));
  // h written, read; y written, read; dy written, read twice; h read for dw, as
  // relu's mask; dh written, read.
  EXPECT_EQ(traffic->activations, 3 * 4 * (6 * h + 5 * y));
  EXPECT_EQ(traffic->data, 4 * 2 * 64 * 64 + 8 * 64);
}

TEST(StepTrafficTest, OfEachWorkloadInEachPrecision) {
  for (const WorkloadEntry& entry : WorkloadTable()) {
    const Workload workload = MakeWorkload(entry, 2);
    for (const char* precision : {"fp32", "tf32", "bf16"}) {
      const auto traffic = StepTraffic(workload, precision);
      ASSERT_TRUE(traffic.ok()) << entry.name << ": " << traffic.status();
      // Weights once, and the update without a gradient.
      EXPECT_GE(traffic->total(), 28.0 * workload.Parameters(0, 2))
          << entry.name;
    }
    EXPECT_FALSE(StepTraffic(workload, "fp8").ok());
  }
}

}  // namespace
}  // namespace modelbatch::benchmarks
