#include "modelbatch/model/layout.h"

#include <cmath>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Names(const Layout& layout) {
  std::vector<std::string> names;
  for (const Parameter& p : layout.parameters) names.push_back(p.name);
  return names;
}

void ExpectError(const ModelSpec& spec, absl::StatusCode code,
                 const std::string& message) {
  const absl::Status status = InferLayout(spec).status();
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

TEST(InferLayout, NamesAndShapesAreThoseOfTorchSequential) {
  ModelSpec spec({1, 8, 8});
  spec.Flatten().Linear(32).Relu().LayerNorm().Linear(10, /*bias=*/false);
  const auto layout = InferLayout(spec);
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_THAT(Names(*layout), ElementsAre("1.weight", "1.bias", "3.weight",
                                          "3.bias", "4.weight"));
  EXPECT_EQ(layout->parameters[0].shape, Shape({32, 64}));
  EXPECT_EQ(layout->parameters[1].shape, Shape({32}));
  EXPECT_EQ(layout->parameters[2].shape, Shape({32}));
  EXPECT_EQ(layout->parameters[4].shape, Shape({10, 32}));
  EXPECT_EQ(layout->output(), Shape({10}));
  EXPECT_EQ(layout->num_parameters(), 64 * 32 + 32 + 32 + 32 + 32 * 10);
  // kaiming_uniform_(a = sqrt(5)): bound = gain sqrt(3 / fan_in), gain =
  // sqrt(2 / (1 + 5)).
  const double bound = std::sqrt(2.0 / 6) * std::sqrt(3.0 / 64);
  EXPECT_NEAR(layout->parameters[0].init.bound, bound, 1e-15);
  EXPECT_NEAR(layout->parameters[1].init.bound, bound, 1e-15);
  EXPECT_EQ(layout->parameters[2].init.value, 1);
  EXPECT_EQ(layout->parameters[3].init.value, 0);
}

TEST(InferLayout, FollowsAnyGraph) {
  ModelSpec spec({16});
  spec.Linear(16).Relu().Linear(16).Add(1).Linear(4);
  const auto layout = InferLayout(spec);
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->outputs[3], Shape({16}));
  EXPECT_EQ(layout->output(), Shape({4}));
}

TEST(InferLayout, ErrorsNameTheOperatorAndWhatWasExpected) {
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectError(ModelSpec({4}).Linear(0), kInvalid,
              "operator \"0\" (linear): out_features is 0, expected 1 to");
  ExpectError(ModelSpec({4}).Linear(-3), kInvalid, "out_features is -3");
  ExpectError(ModelSpec({2, 4}).Linear(3), kInvalid, "put a flatten before it");
  ExpectError(ModelSpec({4}).Linear(2).Dropout(1.5), kInvalid,
              "operator \"1\" (dropout): p is 1.5");
  ExpectError(ModelSpec({4}).Dropout(std::nan("")), kInvalid, "p is nan");
  ExpectError(ModelSpec({4}).Gelu("erf"), kInvalid, "approximate is \"erf\"");
  ExpectError(ModelSpec({4}).LayerNorm(-1), kInvalid, "eps is -1");
  ExpectError(ModelSpec({4}).Linear(3).Add(Operator::kModelInput), kInvalid,
              "inputs have shapes [3] and [4]");
  ExpectError(ModelSpec({4}).Linear(3).Add(1), kInvalid, "input 1 is not");
  ExpectError(ModelSpec({4}), kInvalid, "no operators");
  ExpectError(ModelSpec({}).Relu(), kInvalid, "input shape is []");
  ExpectError(ModelSpec({0}).Relu(), kInvalid, "input shape is [0]");
  ExpectError(ModelSpec({int64_t{1} << 40}).Relu(), kInvalid, "input shape");
  ExpectError(ModelSpec({1 << 20}).Linear(1 << 20), kInvalid, "elements");
}

TEST(InferLayout, RefusesAttributesItDoesNotKnowOrOfAnotherType) {
  ModelSpec unknown({4});
  unknown.AddOperator({"fc",
                       "linear",
                       {-1},
                       {{"out_features", int64_t{2}}, {"width", int64_t{2}}}});
  ExpectError(unknown, absl::StatusCode::kInvalidArgument,
              "operator \"fc\" (linear): unknown attribute width");
  ModelSpec type({4});
  type.AddOperator({"fc", "linear", {-1}, {{"out_features", 2.5}}});
  ExpectError(type, absl::StatusCode::kInvalidArgument,
              "attribute out_features has the wrong type, expected an integer");
  ModelSpec missing({4});
  missing.AddOperator({"fc", "linear", {-1}, {}});
  ExpectError(missing, absl::StatusCode::kInvalidArgument,
              "attribute out_features is missing");
}

TEST(InferLayout, TellsPlannedOperatorsFromTypingErrors) {
  ModelSpec conv({4});
  conv.AddOperator({"c", "conv2d", {-1}, {}});
  ExpectError(conv, absl::StatusCode::kUnimplemented,
              "operator conv2d is not implemented yet");
  ModelSpec typo({4});
  typo.AddOperator({"c", "linaer", {-1}, {}});
  ExpectError(typo, absl::StatusCode::kInvalidArgument,
              "unknown operator kind; there are: linear");
}

TEST(InferLayout, RefusesNamesThatCollide) {
  ModelSpec same({4});
  same.AddOperator({"a", "relu", {-1}, {}});
  same.AddOperator({"a", "relu", {0}, {}});
  ExpectError(same, absl::StatusCode::kInvalidArgument,
              "the name of operator 1 is empty or taken");
}

TEST(InferLayout, RefusesOperatorsThatNothingUses) {
  ModelSpec spec({4});
  spec.Linear(4);
  spec.AddOperator({"dead", "relu", {Operator::kModelInput}, {}});
  ExpectError(spec, absl::StatusCode::kInvalidArgument,
              "operator \"0\" (linear): nothing uses its output");
}

TEST(CheckSameGraph, AllowsOtherNumbersOnly) {
  const ModelSpec a = ModelSpec({4}).Linear(8).Dropout(0.1).Linear(2);
  const ModelSpec wider = ModelSpec({4}).Linear(64).Dropout(0.5).Linear(2);
  EXPECT_TRUE(CheckSameGraph(a, "model 0", wider, "model 1").ok());
  const auto expect = [&](const ModelSpec& b, const std::string& message) {
    const absl::Status status = CheckSameGraph(a, "model 0", b, "model 1");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("model 1 has another graph than model 0: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  };
  expect(ModelSpec({4}).Linear(8).Linear(2), "2 operators and 3");
  expect(ModelSpec({4}).Linear(8).Relu().Linear(2), "(relu) in place of");
  expect(ModelSpec({4}).Linear(8, false).Dropout(0.1).Linear(2),
         "other options");
}

}  // namespace
}  // namespace modelbatch
