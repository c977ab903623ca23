#include "modelbatch/plugin/abi_reports.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

Layout LinearLayout() {
  ModelSpec spec({3});
  spec.Linear(2);
  return *InferLayout(spec);
}

ModelDescription LinearDescription() {
  ModelDescription description;
  description.states = {{"param", "0.weight", DType::kFloat32, {2, 3}},
                        {"param", "0.bias", DType::kFloat32, {2}},
                        {"exp_avg", "0.bias", DType::kFloat32, {2}},
                        {"step", "", DType::kInt64, {}}};
  description.output = {2};
  return description;
}

TEST(AbiReports, ADescriptionGoesBothWays) {
  ModelDescription sent = LinearDescription();
  sent.states.push_back({"buffer", "mask", DType::kUInt8, {4, 0, 5}});
  const std::vector<StateTensor> states = sent.states;
  const AbiDescription abi(std::move(sent));
  MB_DescribeArgs args = {};
  abi.Fill(&args);
  EXPECT_EQ(args.states[3].parameter, nullptr);
  const auto got = ReadDescription(args);
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->states.size(), states.size());
  for (size_t i = 0; i < states.size(); ++i) {
    EXPECT_EQ(got->states[i].slot, states[i].slot);
    EXPECT_EQ(got->states[i].parameter, states[i].parameter);
    EXPECT_EQ(got->states[i].dtype, states[i].dtype);
    EXPECT_EQ(got->states[i].shape, states[i].shape);
  }
  EXPECT_EQ(got->output, Shape({2}));
}

TEST(AbiReports, WrongDescriptionsAreNamed) {
  const auto refusal = [](const MB_DescribeArgs& args) {
    return Message(ReadDescription(args).status());
  };
  MB_DescribeArgs args = {};
  args.num_states = 2;
  EXPECT_EQ(refusal(args), "states is NULL, expected 2 entries");
  const int64_t negative = -1;
  MB_StateInfo state = {};
  args.states = &state;
  args.num_states = 1;
  EXPECT_EQ(refusal(args), "states[0].slot is NULL");
  state.slot = "param";
  EXPECT_THAT(refusal(args), HasSubstr("states[0]: dtype"));
  state.dtype = {MB_DL_FLOAT, 32, 1};
  state.rank = 1;
  EXPECT_EQ(refusal(args), "states[0].shape is NULL, expected 1 sizes");
  state.shape = &negative;
  EXPECT_EQ(refusal(args),
            "states[0].shape is [-1], expected no negative size");
  args.num_states = 0;
  args.output_rank = 1;
  EXPECT_EQ(refusal(args), "output_shape is NULL, expected 1 sizes");
}

TEST(AbiReports, AnotherLayoutIsNamed) {
  EXPECT_TRUE(CheckDescription(LinearDescription(), LinearLayout()).ok());
  const auto refusal = [](void (*change)(ModelDescription*)) {
    ModelDescription description = LinearDescription();
    change(&description);
    return Message(CheckDescription(description, LinearLayout()));
  };
  using D = ModelDescription;
  EXPECT_EQ(refusal([](D* d) { d->states[0].parameter = "0.kernel"; }),
            "parameter 0.weight is missing");
  EXPECT_EQ(refusal([](D* d) {
              d->states[0].shape = {3, 2};
            }),
            "parameter 0.weight is float32 [3, 2], expected float32 [2, 3]");
  EXPECT_EQ(refusal([](D* d) { d->states[1].dtype = DType::kFloat64; }),
            "parameter 0.bias is float64 [2], expected float32 [2]");
  EXPECT_EQ(refusal([](D* d) { d->states[2].slot = "param"; }),
            "parameter 0.bias comes twice");
  EXPECT_EQ(refusal([](D* d) { d->states[3].slot = "param"; }),
            "parameter  is not one of the model's");
  EXPECT_EQ(refusal([](D* d) { d->output = {3}; }),
            "the output is [3], expected [2]");
}

TEST(AbiReports, ATuneReportGoesBothWays) {
  TuneReport sent;
  sent.seconds = 1.5;
  sent.notes = "read 3\n";
  sent.choices = {{"a", "b", TuneOrigin::kMeasured, 1, 2, 3, 4},
                  {"c", "d", TuneOrigin::kDefault, 5, 6, 7, 8},
                  {"e", "f", TuneOrigin::kCached, 9, 10, 11, 12}};
  const std::string text = sent.ToString();
  const AbiTuneReport abi(std::move(sent));
  MB_TuneArgs args = {};
  abi.Fill(&args);
  const auto got = ReadTuneReport(args);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->ToString(), text);
  EXPECT_EQ(got->choices[2].candidates, 10);
  EXPECT_EQ(got->choices[1].default_seconds, 7);
}

TEST(AbiReports, WrongTuneReportsAreNamed) {
  const auto refusal = [](const MB_TuneArgs& args) {
    return Message(ReadTuneReport(args).status());
  };
  MB_TuneArgs args = {};
  EXPECT_EQ(refusal(args), "notes is NULL");
  args.notes = "";
  args.num_choices = 1;
  EXPECT_EQ(refusal(args), "choices is NULL, expected 1 entries");
  MB_TuneChoice choice = {};
  args.choices = &choice;
  EXPECT_EQ(refusal(args), "choices[0].operation is NULL");
  choice.operation = "a";
  EXPECT_EQ(refusal(args), "choices[0].choice is NULL");
  choice.choice = "b";
  EXPECT_THAT(refusal(args), HasSubstr("choices[0].origin is NULL"));
  choice.origin = "guessed";
  EXPECT_THAT(refusal(args), HasSubstr("choices[0].origin is guessed"));
}

}  // namespace
}  // namespace modelbatch
