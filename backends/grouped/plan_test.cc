#include "backends/grouped/plan.h"

#include <set>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch::grouped {
namespace {

using ::testing::HasSubstr;

CompileRequest Request(std::vector<ModelSpec> specs) {
  CompileRequest request;
  for (ModelSpec& spec : specs) {
    const int64_t id = static_cast<int64_t>(request.models.size());
    request.models.push_back({id, 100 + static_cast<uint64_t>(id), spec});
  }
  request.loss = {"cross_entropy", {}};
  request.max_rows = 17;
  return request;
}

TEST(BuildPlan, FusesReluIntoTheLinearBeforeIt) {
  const auto plan =
      BuildPlan(Request({ModelSpec({8}).Linear(4).Relu().Linear(2)}));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->ops[0].relu_epilogue);
  EXPECT_TRUE(plan->ops[1].in_epilogue);
  EXPECT_TRUE(plan->ops[1].in_place);
  EXPECT_FALSE(plan->ops[2].relu_epilogue);
  // The input has no parameters before it.
  EXPECT_FALSE(plan->ops[0].wants_gradient[0]);
  EXPECT_TRUE(plan->ops[2].wants_gradient[0]);
  // So is its derivative, into the input's gradient of the one after it.
  EXPECT_TRUE(plan->ops[2].relu_backward_epilogue);
  EXPECT_TRUE(plan->ops[1].backward_in_epilogue);
  EXPECT_FALSE(plan->ops[0].relu_backward_epilogue);
}

TEST(BuildPlan, AReluThatOthersReadHasItsDerivativeForItself) {
  const auto plan = BuildPlan(
      Request({ModelSpec({8}).Linear(4).Relu().Linear(4).Add(1).Linear(2)}));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->ops[1].code, OpCode::kRelu);
  EXPECT_FALSE(plan->ops[1].backward_in_epilogue);
  EXPECT_FALSE(plan->ops[2].relu_backward_epilogue);
}

TEST(BuildPlan, DoesNotOverwriteWhatIsReadAgain) {
  // The linear's output feeds both relu and the residual.
  const auto residual =
      BuildPlan(Request({ModelSpec({8}).Linear(8).Relu().Add(0).Linear(2)}));
  ASSERT_TRUE(residual.ok());
  EXPECT_FALSE(residual->ops[1].in_place);
  // tanh's derivative reads its output, so dropout must not change it.
  const auto dropout = BuildPlan(
      Request({ModelSpec({8}).Linear(8).Tanh().Dropout(0.5).Linear(2)}));
  ASSERT_TRUE(dropout.ok());
  EXPECT_TRUE(dropout->ops[1].in_place);
  EXPECT_FALSE(dropout->ops[2].in_place);
  // gelu's derivative reads its input.
  const auto gelu = BuildPlan(Request({ModelSpec({8}).Linear(8).Gelu()}));
  ASSERT_TRUE(gelu.ok());
  EXPECT_FALSE(gelu->ops[1].in_place);
}

TEST(BuildPlan, AddsGradientsWhereAValueHasSeveralReaders) {
  const auto plan =
      BuildPlan(Request({ModelSpec({8}).Linear(8).Relu().Add(0).Linear(2)}));
  ASSERT_TRUE(plan.ok());
  // Backward order: linear, add, relu. add stores into both, relu adds.
  EXPECT_FALSE(plan->ops[2].accumulates[0]);
  EXPECT_FALSE(plan->ops[2].accumulates[1]);
  EXPECT_TRUE(plan->ops[1].accumulates[0]);
}

// No two live buffers of a workspace, and no two models of an arena, overlap.
TEST(BuildPlan, BuffersAreDisjointAndInside) {
  ModelSpec a({7});
  a.Linear(33).Gelu().LayerNorm().Dropout(0.1).Linear(33).Add(3).Linear(5);
  ModelSpec b({7});
  b.Linear(16).Gelu().LayerNorm().Dropout(0.9).Linear(16).Add(3).Linear(5);
  const auto plan = BuildPlan(Request({a, b, a}));
  ASSERT_TRUE(plan.ok()) << plan.status();
  int64_t state_end = 0;
  for (const ModelPlan& model : plan->models) {
    EXPECT_GE(model.state_offset, state_end);
    EXPECT_EQ(model.state_offset % 16, 0);
    state_end = model.state_offset + model.state_size;
    std::set<std::pair<int64_t, int64_t>> buffers;  // begin, end
    for (const BufferPlan& buffer : model.values) {
      EXPECT_GE(buffer.ld, buffer.cols);
      EXPECT_EQ(buffer.ld % 16, 0);
      const int64_t size = 17 * buffer.ld;
      buffers.insert({buffer.value, buffer.value + size});
      if (buffer.gradient >= 0) {
        buffers.insert({buffer.gradient, buffer.gradient + size});
      }
    }
    for (size_t i = 0; i < plan->ops.size(); ++i) {
      const OpNumbers& numbers = model.numbers[i];
      if (numbers.stats >= 0) {
        buffers.insert({numbers.stats, numbers.stats + 2 * 17});
      }
    }
    int64_t end = 0;
    for (const auto& buffer : buffers) {
      EXPECT_GE(buffer.first, end);
      end = buffer.second;
    }
    EXPECT_LE(end, model.workspace_size);
    EXPECT_LE(model.workspace_size, plan->max_workspace_size);
  }
  EXPECT_LE(state_end, plan->state_size);
  EXPECT_EQ(plan->models[1].numbers[3].p, 0.9);
}

// The loss writes a gradient for every output, also where no parameter wants
// it.
TEST(BuildPlan, EveryOutputHasAGradient) {
  for (const ModelSpec& spec :
       {ModelSpec({2, 3}).Flatten(), ModelSpec({2, 3}).Flatten().Flatten(),
        ModelSpec({6}).Relu(), ModelSpec({2, 3}).Relu().Flatten()}) {
    const auto plan = BuildPlan(Request({spec}));
    ASSERT_TRUE(plan.ok()) << plan.status();
    const ModelPlan& model = plan->models[0];
    const BufferPlan& output = model.values[plan->output()];
    EXPECT_GE(output.gradient, model.values[0].value + 17 * output.ld);
    EXPECT_LE(output.gradient + 17 * output.ld, model.workspace_size);
  }
}

// Promise 1 begins here: nothing of a model's plan but its place in the arena
// depends on the other models.
TEST(BuildPlan, AModelsPlanIsItsOwn) {
  const ModelSpec spec = ModelSpec({7}).Linear(33).Relu().Linear(5);
  const ModelSpec wide = ModelSpec({7}).Linear(200).Relu().Linear(5);
  const auto alone = BuildPlan(Request({spec}));
  const auto among = BuildPlan(Request({spec, wide, wide}));
  ASSERT_TRUE(alone.ok() && among.ok());
  const ModelPlan& a = alone->models[0];
  const ModelPlan& b = among->models[0];
  EXPECT_EQ(a.workspace_size, b.workspace_size);
  for (size_t v = 0; v < a.values.size(); ++v) {
    EXPECT_EQ(a.values[v].ld, b.values[v].ld);
    EXPECT_EQ(a.values[v].value, b.values[v].value);
    EXPECT_EQ(a.values[v].gradient, b.values[v].gradient);
  }
}

TEST(BuildPlan, ErrorsNameModelAndField) {
  const ModelSpec good = ModelSpec({4}).Linear(3);
  const auto expect = [](const CompileRequest& request, absl::StatusCode code,
                         const std::string& message) {
    const absl::Status status = BuildPlan(request).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  };
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  expect(Request({}), kInvalid, "no models");
  expect(Request({good, ModelSpec({4}).Linear(0)}), kInvalid,
         "model 1: operator \"0\" (linear): out_features is 0");
  expect(Request({good, ModelSpec({4}).Linear(3).Relu()}), kInvalid,
         "model 1 has another graph than model 0");
  expect(Request({good, ModelSpec({5}).Linear(3)}), kInvalid,
         "model 1: input shape [5], expected that of model 0, [4]");
  CompileRequest rows = Request({good});
  rows.max_rows = 0;
  expect(rows, kInvalid, "max_rows is 0");
  CompileRequest loss = Request({good});
  loss.loss.kind = "hinge";
  expect(loss, absl::StatusCode::kInvalidArgument, "no loss \"hinge\"");
  CompileRequest precision = Request({good});
  precision.options["precision"] = std::string("bf16");
  expect(precision, absl::StatusCode::kUnimplemented,
         "precision \"bf16\" is not in this backend; it has: fp32");
  CompileRequest option = Request({good});
  option.options["fast"] = true;
  expect(option, kInvalid, "unknown attribute fast");
}

TEST(BuildPlan, HasThePrecisionAskedForOfThoseThereAre) {
  CompileRequest request = Request({ModelSpec({4}).Linear(3)});
  EXPECT_EQ(BuildPlan(request, {"fp32", "bf16"})->precision, "fp32");
  request.options["precision"] = std::string("bf16");
  const auto plan = BuildPlan(request, {"fp32", "bf16"});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->precision, "bf16");
  EXPECT_THAT(plan->ToString(), HasSubstr(", products in bf16\n"));
  request.options["precision"] = std::string("fp8");
  EXPECT_THAT(
      std::string(BuildPlan(request, {"fp32", "bf16"}).status().message()),
      HasSubstr("\"fp8\" is not in this backend; it has: fp32, bf16"));
}

TEST(RowStride, IsAnOddNumberOfCacheLines) {
  for (int64_t cols = 1; cols < 300; ++cols) {
    const int64_t stride = RowStride(cols);
    EXPECT_GE(stride, cols);
    EXPECT_LT(stride, cols + 32);
    EXPECT_EQ(stride % 32, 16);
  }
}

}  // namespace
}  // namespace modelbatch::grouped
