// The promise: what is counted is what the launches of docs/cuda.md read and
// write. Expectations are written out by hand, launch by launch.
#include "backends/cuda/schedule/traffic.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "backends/cuda/schedule/epilogue_updates.h"
#include "backends/cuda/schedule/schedule.h"
#include "backends/grouped/plan.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch::cuda {
namespace {

Traffic Count(const std::vector<ModelSpec>& specs, const RowSet& rows,
              const std::string& loss = "cross_entropy", int states = 2,
              const std::string& precision = "fp32",
              EpilogueUpdates updates = EpilogueUpdates::kNever) {
  CompileRequest request;
  for (const ModelSpec& spec : specs) {
    request.models.push_back(
        {static_cast<int64_t>(request.models.size()), 5, spec});
  }
  request.loss = {loss, {}};
  request.max_rows = 16;
  request.options["precision"] = precision;
  const grouped::Plan plan =
      *grouped::BuildPlan(request, {"fp32", "tf32", "bf16"});
  return CountTraffic(plan, *BuildSchedule(plan, 100, updates), rows,
                      {states, true});
}

const std::vector<int32_t> kTenRows = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

// One layer, 7 -> 3, on ten rows.
TEST(Traffic, OfOneLinearLayer) {
  const Traffic t = Count({ModelSpec({7}).Linear(3)}, {kTenRows, {}});
  const double w = 7 * 3, b = 3, y = 10 * 3, x = 10 * 7;
  // Forward alone: nobody wants the derivative by the rows.
  EXPECT_EQ(t.weights, 4 * (w + b));
  // Written; read by the loss, which writes dy; read for dw.
  EXPECT_EQ(t.activations, 4 * (y + y + y + y));
  EXPECT_EQ(t.gradients, 4 * (w + b));
  // g, p, m, v read, p, m, v written.
  EXPECT_EQ(t.update, 4 * 7 * (w + b));
  // Forward, dw; a class of eight bytes a row.
  EXPECT_EQ(t.data, 4 * (x + x) + 8 * 10);
  // Forward, loss and dw read ten indices; a problem and a tile each for
  // forward and dw; the update has one tile.
  EXPECT_EQ(t.tables, 3 * 40 + 2 * (sizeof(ProductProblem) + sizeof(Tile)) +
                          sizeof(StateTile));
  EXPECT_EQ(t.total(), t.weights + t.activations + t.gradients + t.update +
                           t.data + t.tables);
}

// docs/cuda.md, "Bytes of an update": 40 a parameter of a layer whose input's
// gradient is wanted.
TEST(Traffic, IsFortyBytesAParameterWhereRowsAreFew) {
  const std::vector<int32_t> one = {0};
  const double with =
      Count({ModelSpec({1}).Linear(500).Linear(500).Linear(1)}, {one, {}})
          .total();
  const double without =
      Count({ModelSpec({1}).Linear(500).Linear(1)}, {one, {}}).total();
  EXPECT_NEAR((with - without) / (500 * 500), 40, 1);
}

// The same with the update in the epilogue: 32, as the gradient is neither
// written nor read.
TEST(Traffic, IsThirtyTwoBytesWhereEpiloguesUpdate) {
  const std::vector<int32_t> one = {0};
  const auto count = [&one](const ModelSpec& spec) {
    return Count({spec}, {one, {}}, "cross_entropy", 2, "fp32",
                 EpilogueUpdates::kAlways)
        .total();
  };
  const double with = count(ModelSpec({1}).Linear(500).Linear(500).Linear(1));
  const double without = count(ModelSpec({1}).Linear(500).Linear(1));
  EXPECT_NEAR((with - without) / (500 * 500), 32, 1);
}

// What epilogues save, and what they cost: 7 -> 5 -> relu -> 3, launch by
// launch.
TEST(Traffic, OfUpdatesInEpilogues) {
  const ModelSpec spec = ModelSpec({7}).Linear(5).Relu().Linear(3);
  const Traffic after = Count({spec}, {kTenRows, {}});
  const Traffic in = Count({spec}, {kTenRows, {}}, "cross_entropy", 2, "fp32",
                           EpilogueUpdates::kAlways);
  const double w = 7 * 5 + 5 * 3;
  EXPECT_EQ(in.weights, after.weights);
  EXPECT_EQ(after.gradients - in.gradients, 4 * w);
  EXPECT_EQ(after.update - in.update, 4 * w);
  // The loss' dy is looked at by a launch of its own, as are the rows; the
  // other two come out of products.
  EXPECT_EQ(in.activations - after.activations, 4 * 10 * 3);
  EXPECT_EQ(in.data - after.data, 4 * 10 * 7);
}

// An optimizer that does not update there goes the way of all others.
TEST(Traffic, OfAnOptimizerThatEpiloguesDoNotHave) {
  CompileRequest request;
  request.models.push_back({0, 5, ModelSpec({7}).Linear(3)});
  request.loss = {"mse", {}};
  request.max_rows = 16;
  const grouped::Plan plan = *grouped::BuildPlan(request);
  const auto count = [&plan](EpilogueUpdates updates, bool in_epilogues) {
    return CountTraffic(plan, *BuildSchedule(plan, 100, updates),
                        {kTenRows, {}}, {2, in_epilogues})
        .total();
  };
  EXPECT_EQ(count(EpilogueUpdates::kAlways, false),
            count(EpilogueUpdates::kNever, true));
}

// 7 -> 5 -> relu -> 3 of two models. The relu's values and gradients lie in the
// layer's own buffers, so that nothing is kept twice.
TEST(Traffic, OfTwoLayersWithAnActivation) {
  const ModelSpec spec = ModelSpec({7}).Linear(5).Relu().Linear(3);
  const Traffic t = Count({spec, spec}, {kTenRows, {}});
  const double w = 7 * 5 + 5 * 3, b = 5 + 3, h = 10 * 5, y = 10 * 3;
  // The second layer's weights twice.
  EXPECT_EQ(t.weights, 2 * 4 * (w + b + 5 * 3));
  EXPECT_EQ(t.activations,
            2 * 4 *
                (h            // first layer writes
                 + h + y      // second reads, writes
                 + y + y      // loss
                 + y + h      // dw of the second
                 + y + h + h  // its dx, which the relu's output masks
                 + h));       // dw of the first
  EXPECT_EQ(t.update, 2 * 28 * (w + b));
  // Shared rows are read once for both.
  EXPECT_EQ(t.data, 2 * 4 * 70 + 8 * 10);
}

// A gelu needs what it was applied to: the layer writes both.
TEST(Traffic, OfAnActivationThatKeepsItsInput) {
  const Traffic relu =
      Count({ModelSpec({7}).Linear(5).Relu().Linear(3)}, {kTenRows, {}});
  const Traffic gelu =
      Count({ModelSpec({7}).Linear(5).Gelu().Linear(3)}, {kTenRows, {}});
  EXPECT_EQ(gelu.activations - relu.activations, 4 * 10 * 5);
}

// On tensor cores the bias' gradient is a launch of its own, which reads dy.
TEST(Traffic, OfTensorCores) {
  const ModelSpec spec = ModelSpec({7}).Linear(5).Linear(3);
  const double fp32 = Count({spec}, {kTenRows, {}}).activations;
  for (const char* precision : {"tf32", "bf16"}) {
    EXPECT_EQ(Count({spec}, {kTenRows, {}}, "cross_entropy", 2, precision)
                      .activations -
                  fp32,
              4 * 10 * (5 + 3));
  }
}

// Rows of models' own: 2, none and 3, of which one is the same.
TEST(Traffic, OfRowsOfTheirOwn) {
  const ModelSpec spec = ModelSpec({7}).Linear(3);
  const std::vector<int32_t> rows = {4, 9, 9, 1, 2};
  const std::vector<int64_t> offsets = {0, 2, 2, 5};
  const Traffic t = Count({spec, spec, spec}, {rows, offsets}, "mse");
  EXPECT_EQ(t.activations, 4 * 4 * 5 * 3);
  // Rows 1, 2, 4, 9; targets of three values.
  EXPECT_EQ(t.data, 2 * 4 * 4 * 7 + 4 * 4 * 3);
  // The model without rows does not step.
  EXPECT_EQ(t.weights, 2 * 4 * 24);
  EXPECT_EQ(t.gradients, 2 * 4 * 24);
  EXPECT_EQ(t.update, 2 * 28 * 24);
}

TEST(Traffic, OfLayerNormDropoutAndASum) {
  ModelSpec spec = ModelSpec({7}).Linear(5);
  spec.LayerNorm().Dropout(0.5);
  const double without =
      Count({ModelSpec({7}).Linear(5)}, {kTenRows, {}}).activations;
  const double h = 10 * 5, stats = 2 * 10;
  const Traffic t = Count({spec}, {kTenRows, {}});
  EXPECT_EQ(t.activations - without,
            4 * ((h + h + stats)           // normalize
                 + (h + h)                 // dropout
                 + (h + h)                 // its backward
                 + (h + h + stats)         // sums over rows
                 + (h + h + h + stats)));  // dx
  EXPECT_EQ(t.gradients, 4 * (7 * 5 + 5 + 5 + 5));
  EXPECT_EQ(t.weights, 4 * (7 * 5 + 5 + (5 + 5) + 5));
  // x + x: one sum forward, two gradients to one place backward.
  ModelSpec sum = ModelSpec({7}).Linear(5);
  sum.AddOperator({"", "linear", {0}, {{"out_features", int64_t{5}}}});
  ModelSpec added = sum;
  added.AddOperator({"", "add", {0, 1}, {}});
  const double difference = Count({added}, {kTenRows, {}}).activations -
                            Count({sum}, {kTenRows, {}}).activations;
  // Forward reads two and writes one. Backward: dy to the second layer's
  // gradient and to the first's, to which that layer's dx is added later.
  EXPECT_EQ(difference, 4 * (3 * h + 2 * h + 2 * h + h));
}

TEST(Traffic, OfOptimizers) {
  const ModelSpec spec = ModelSpec({7}).Linear(3);
  for (const int states : {0, 1, 3}) {
    EXPECT_EQ(Count({spec}, {kTenRows, {}}, "cross_entropy", states).update,
              4.0 * (1 + 2 * (1 + states)) * 24);
  }
}

}  // namespace
}  // namespace modelbatch::cuda
