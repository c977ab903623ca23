#include "modelbatch/plugin/abi_models.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModelInstance Residual() {
  ModelInstance model{-5, std::numeric_limits<uint64_t>::max(),
                      ModelSpec({2, 3})};
  model.spec.AddOperator({"flat", "flatten", {Operator::kModelInput}, {}});
  model.spec.AddOperator(
      {"fc", "linear", {0}, {{"out_features", int64_t{6}}, {"bias", false}}});
  model.spec.AddOperator({"sum", "add", {0, 1}, {}});
  return model;
}

TEST(AbiModels, EveryFieldGoesBothWays) {
  std::vector<ModelInstance> models;
  models.push_back(Residual());
  models.push_back({7, 0, ModelSpec({})});  // no operators, a scalar a row
  const AbiModels abi(models);
  ASSERT_EQ(abi.size(), 2u);

  const auto back = ToModelInstance(abi.data()[0], 0);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->id, -5);
  EXPECT_EQ(back->seed, std::numeric_limits<uint64_t>::max());
  EXPECT_THAT(back->spec.input_shape(), ElementsAre(2, 3));
  ASSERT_EQ(back->spec.operators().size(), 3u);
  const Operator& fc = back->spec.operators()[1];
  EXPECT_EQ(fc.name, "fc");
  EXPECT_EQ(fc.kind, "linear");
  EXPECT_THAT(fc.inputs, ElementsAre(0));
  EXPECT_EQ(fc.attributes, models[0].spec.operators()[1].attributes);
  EXPECT_THAT(back->spec.operators()[0].inputs, ElementsAre(-1));
  EXPECT_THAT(back->spec.operators()[2].inputs, ElementsAre(0, 1));

  const auto scalar = ToModelInstance(abi.data()[1], 1);
  ASSERT_TRUE(scalar.ok()) << scalar.status();
  EXPECT_TRUE(scalar->spec.input_shape().empty());
  EXPECT_TRUE(scalar->spec.operators().empty());
}

// Changes a copy of the first model's structs before they are read.
std::string Refusal(void (*change)(MB_Model* model, MB_Operator* operators)) {
  std::vector<ModelInstance> models;
  models.push_back(Residual());
  const AbiModels abi(models);
  MB_Model model = *abi.data()[0];
  std::vector<MB_Operator> operators(model.operators,
                                     model.operators + model.num_operators);
  model.operators = operators.data();
  change(&model, operators.data());
  const auto result = ToModelInstance(&model, 3);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(result.status().message());
}

TEST(AbiModels, RefusalsNameModelOperatorAndField) {
  EXPECT_EQ(ToModelInstance(nullptr, 3).status().message(),
            "models[3] is NULL");
  EXPECT_THAT(
      Refusal([](MB_Model* m, MB_Operator*) { m->header.struct_size -= 1; }),
      HasSubstr("models[3].header.struct_size"));
  EXPECT_THAT(
      Refusal([](MB_Model* m, MB_Operator*) { m->input_shape = nullptr; }),
      HasSubstr("models[3] (id -5).input_shape is NULL"));
  EXPECT_THAT(Refusal([](MB_Model* m, MB_Operator*) {
                static const int64_t shape[] = {2, -3};
                m->input_shape = shape;
              }),
              HasSubstr("[2, -3]"));
  EXPECT_THAT(
      Refusal([](MB_Model* m, MB_Operator*) { m->operators = nullptr; }),
      HasSubstr("operators is NULL"));
  EXPECT_THAT(Refusal([](MB_Model*, MB_Operator* o) { o[1].name = nullptr; }),
              HasSubstr("operators[1].name is NULL"));
  EXPECT_THAT(Refusal([](MB_Model*, MB_Operator* o) { o[1].kind = nullptr; }),
              HasSubstr("operators[1] (\"fc\").kind is NULL"));
  EXPECT_THAT(Refusal([](MB_Model*, MB_Operator* o) { o[1].inputs = nullptr; }),
              HasSubstr("inputs is NULL"));
  EXPECT_THAT(
      Refusal([](MB_Model*, MB_Operator* o) { o[1].attributes = nullptr; }),
      HasSubstr("attributes is NULL"));
  EXPECT_THAT(Refusal([](MB_Model*, MB_Operator* o) {
                static const int32_t self[] = {1};
                o[1].inputs = self;
              }),
              HasSubstr("inputs[0] is 1"));
  EXPECT_THAT(Refusal([](MB_Model*, MB_Operator* o) {
                static const int32_t before[] = {-2};
                o[1].inputs = before;
              }),
              HasSubstr("inputs[0] is -2"));
}

TEST(AbiModels, AZeroByteWouldCutAString) {
  using std::string_literals::operator""s;
  std::vector<ModelInstance> models;
  models.push_back(Residual());
  EXPECT_TRUE(CheckCStrings(models).ok());
  models[0].spec.AddOperator({"x\0y"s, "relu", {2}, {}});
  const absl::Status status = CheckCStrings(models);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("id -5"));
}

}  // namespace
}  // namespace modelbatch
