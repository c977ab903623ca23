// Attributes become the numbers of torch.nn.init's formulas, and what makes no
// sense is refused by name.
#include "modelbatch/model/initializer.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {
namespace {

using Kind = Initializer::Kind;

// A linear layer from 30 to 20 with these attributes.
ModelSpec Linear(Attributes attributes) {
  attributes.insert({"out_features", int64_t{20}});
  ModelSpec spec({30});
  spec.AddOperator({"fc", "linear", {-1}, std::move(attributes)});
  return spec;
}

Initializer Weight(Attributes attributes) {
  const auto layout = InferLayout(Linear(std::move(attributes)));
  EXPECT_TRUE(layout.ok()) << layout.status();
  return layout->parameters[0].init;
}

AttributeValue S(const char* text) { return std::string(text); }

TEST(InitializerTest, DefaultsArePyTorchs) {
  for (const Attributes& attributes :
       {Attributes{}, Attributes{{"weight_init", S("default")},
                                 {"bias_init", S("default")}}}) {
    const auto layout = InferLayout(Linear(attributes));
    for (const Parameter& parameter : layout->parameters) {
      EXPECT_EQ(parameter.init.kind, Kind::kUniform);
      EXPECT_EQ(parameter.init.bound, 1 / std::sqrt(30.0));
    }
  }
}

TEST(InitializerTest, Xavier) {
  const Initializer normal =
      Weight({{"weight_init", S("xavier_normal")}, {"weight_init_gain", 1.5}});
  EXPECT_EQ(normal.kind, Kind::kNormal);
  EXPECT_EQ(normal.mean, 0);
  EXPECT_DOUBLE_EQ(normal.std, 1.5 * std::sqrt(2.0 / 50));
  const Initializer uniform = Weight({{"weight_init", S("xavier_uniform")}});
  EXPECT_EQ(uniform.kind, Kind::kUniform);
  EXPECT_DOUBLE_EQ(uniform.bound, std::sqrt(6.0 / 50));
}

TEST(InitializerTest, Kaiming) {
  const auto init = [](Attributes attributes) {
    attributes["weight_init"] = S("kaiming_normal");
    const Initializer normal = Weight(attributes);
    EXPECT_EQ(normal.kind, Kind::kNormal);
    attributes["weight_init"] = S("kaiming_uniform");
    const Initializer uniform = Weight(attributes);
    EXPECT_EQ(uniform.kind, Kind::kUniform);
    EXPECT_DOUBLE_EQ(uniform.bound, std::sqrt(3.0) * normal.std);
    return normal.std;
  };
  EXPECT_DOUBLE_EQ(init({}), std::sqrt(2.0 / 30));
  EXPECT_DOUBLE_EQ(init({{"weight_init_mode", S("fan_in")}}),
                   std::sqrt(2.0 / 30));
  EXPECT_DOUBLE_EQ(init({{"weight_init_mode", S("fan_out")}}),
                   std::sqrt(2.0 / 20));
  EXPECT_DOUBLE_EQ(init({{"weight_init_a", 0.5}}), std::sqrt(2 / 1.25 / 30));
  // torch.nn.Linear's own: a = sqrt(5).
  EXPECT_DOUBLE_EQ(std::sqrt(3.0) * init({{"weight_init_a", std::sqrt(5.0)}}),
                   1 / std::sqrt(30.0));
  // torch.nn.init.calculate_gain.
  const std::pair<const char*, double> kGains[] = {
      {"linear", 1}, {"sigmoid", 1},    {"tanh", 5.0 / 3},
      {"selu", .75}, {"relu", M_SQRT2}, {"leaky_relu", M_SQRT2}};
  for (const auto& [nonlinearity, gain] : kGains) {
    EXPECT_DOUBLE_EQ(init({{"weight_init_nonlinearity", S(nonlinearity)}}),
                     gain / std::sqrt(30.0))
        << nonlinearity;
  }
}

TEST(InitializerTest, TheOthersTakeTheirArguments) {
  const Initializer uniform = Weight({{"weight_init", S("uniform")}});
  EXPECT_EQ(uniform.kind, Kind::kUniformRange);
  EXPECT_EQ(uniform.min, 0);
  EXPECT_EQ(uniform.max, 1);
  // An integer is taken for a number.
  const Initializer trunc = Weight({{"weight_init", S("trunc_normal")},
                                    {"weight_init_mean", int64_t{3}},
                                    {"weight_init_std", 0.5},
                                    {"weight_init_a", int64_t{2}},
                                    {"weight_init_b", 7.0}});
  EXPECT_EQ(trunc.kind, Kind::kTruncNormal);
  EXPECT_EQ(trunc.mean, 3);
  EXPECT_EQ(trunc.std, 0.5);
  EXPECT_EQ(trunc.min, 2);
  EXPECT_EQ(trunc.max, 7);
  const Initializer normal = Weight({{"weight_init", S("normal")}});
  EXPECT_EQ(normal.kind, Kind::kNormal);
  EXPECT_EQ(normal.mean, 0);
  EXPECT_EQ(normal.std, 1);
  const Initializer constant =
      Weight({{"weight_init", S("constant")}, {"weight_init_val", -2.5}});
  EXPECT_EQ(constant.kind, Kind::kConstant);
  EXPECT_EQ(constant.value, -2.5);
  EXPECT_EQ(Weight({{"weight_init", S("ones")}}).value, 1);
  const Initializer orthogonal =
      Weight({{"weight_init", S("orthogonal")}, {"weight_init_gain", 2.0}});
  EXPECT_EQ(orthogonal.kind, Kind::kOrthogonal);
  EXPECT_EQ(orthogonal.gain, 2);
}

TEST(InitializerTest, EachParameterHasItsOwn) {
  const auto layout = InferLayout(
      Linear({{"weight_init", S("ones")}, {"bias_init", S("zeros")}}));
  EXPECT_EQ(layout->parameters[0].init.value, 1);
  EXPECT_EQ(layout->parameters[1].init.kind, Kind::kConstant);
  EXPECT_EQ(layout->parameters[1].init.value, 0);
  ModelSpec norm({8});
  norm.AddOperator({"n",
                    "layer_norm",
                    {-1},
                    {{"weight_init", S("constant")},
                     {"weight_init_val", 0.1},
                     {"bias_init", S("normal")}}});
  const auto norm_layout = InferLayout(norm);
  ASSERT_TRUE(norm_layout.ok()) << norm_layout.status();
  EXPECT_EQ(norm_layout->parameters[0].init.value, 0.1);
  EXPECT_EQ(norm_layout->parameters[1].init.kind, Kind::kNormal);
}

TEST(InitializerTest, Refuses) {
  const auto expect = [](const Attributes& attributes,
                         const std::string& message) {
    const absl::Status status = InferLayout(Linear(attributes)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), "operator \"fc\" (linear): " + message);
  };
  expect({{"weight_init", S("xavier")}},
         "weight_init is \"xavier\", expected one of \"default\", \"uniform\", "
         "\"normal\", \"trunc_normal\", \"constant\", \"ones\", \"zeros\", "
         "\"xavier_uniform\", \"xavier_normal\", \"kaiming_uniform\", "
         "\"kaiming_normal\", \"orthogonal\"");
  expect({{"weight_init", 0.5}},
         "attribute weight_init has the wrong type, expected a string");
  expect(
      {{"weight_init_std", 0.5}},
      "weight_init_std is given, but weight_init is \"default\", which takes "
      "no arguments");
  expect(
      {{"weight_init", S("normal")}, {"weight_init_gain", 2.0}},
      "weight_init_gain is given, but weight_init is \"normal\", which takes "
      "weight_init_mean, weight_init_std");
  expect({{"weight_init", S("constant")}},
         "attribute weight_init_val is missing, expected a number");
  expect({{"weight_init", S("normal")}, {"weight_init_std", -1.0}},
         "weight_init_std is -1, expected at least 0");
  expect({{"weight_init", S("normal")}, {"weight_init_mean", std::nan("")}},
         "weight_init_mean is nan, expected a finite number");
  expect({{"weight_init", S("xavier_normal")}, {"weight_init_gain", -1.0}},
         "weight_init_gain is -1, expected at least 0");
  expect({{"weight_init", S("uniform")}, {"weight_init_a", 1.0}},
         "weight_init_a is 1, expected less than weight_init_b, which is 1");
  expect({{"weight_init", S("trunc_normal")}, {"weight_init_std", 0.0}},
         "weight_init_std is 0, expected a number above 0 that the range is "
         "not vast beside");
  expect({{"weight_init", S("trunc_normal")}, {"weight_init_std", 1e-320}},
         "weight_init_std is 9.99989e-321, expected a number above 0 that the "
         "range is not vast beside");
  expect({{"weight_init", S("kaiming_normal")}, {"weight_init_mode", S("fan")}},
         "weight_init_mode is \"fan\", expected one of \"fan_in\", "
         "\"fan_out\"");
  expect({{"weight_init", S("kaiming_normal")},
          {"weight_init_nonlinearity", S("gelu")}},
         "weight_init_nonlinearity is \"gelu\", expected one of "
         "\"leaky_relu\", \"relu\", \"linear\", \"sigmoid\", \"tanh\", "
         "\"selu\"");
  expect({{"weight_init", S("kaiming_normal")},
          {"weight_init_nonlinearity", S("relu")},
          {"weight_init_a", 0.1}},
         "weight_init_a is given, the slope of a leaky_relu, but "
         "weight_init_nonlinearity is \"relu\"");
  expect({{"weight_init", S("constant")}, {"weight_init_val", 1e39}},
         "weight_init is \"constant\" with numbers that are not finite or too "
         "large for float32");
  expect({{"weight_init", S("normal")}, {"weight_init_std", 1e38}},
         "weight_init is \"normal\" with numbers that are not finite or too "
         "large for float32");
  for (const char* name : {"xavier_uniform", "kaiming_normal", "orthogonal"}) {
    expect({{"bias_init", S(name)}},
           std::string("bias_init is \"") + name +
               "\", which needs two dimensions; the parameter has shape [20]");
  }
  expect({{"bias", false}, {"bias_init", S("zeros")}},
         "unknown attribute bias_init, expected bias, out_features, "
         "weight_init");
}

TEST(InitializerTest, OperatorsWithoutParametersHaveNone) {
  ModelSpec spec({4});
  spec.AddOperator({"r", "relu", {-1}, {{"weight_init", S("zeros")}}});
  EXPECT_EQ(InferLayout(spec).status().message(),
            "operator \"r\" (relu): unknown attribute weight_init, expected no "
            "attributes");
}

TEST(InitializerTest, ModelsMayStartDifferentlyInOneBatch) {
  const ModelSpec a = Linear({{"weight_init", S("orthogonal")}});
  const ModelSpec b =
      Linear({{"weight_init", S("normal")}, {"weight_init_std", 0.1}});
  EXPECT_TRUE(CheckSameGraph(a, "a", b, "b").ok());
  EXPECT_FALSE(CheckSameGraph(a, "a", Linear({{"bias", false}}), "b").ok());
}

TEST(InitializerTest, WithoutInitializersKeepsTheRest) {
  ModelSpec spec({30});
  spec.AddOperator({"fc",
                    "linear",
                    {-1},
                    {{"out_features", int64_t{20}},
                     {"bias", false},
                     {"weight_init", S("trunc_normal")},
                     {"weight_init_mean", 0.0},
                     {"weight_init_std", 0.1},
                     {"weight_init_a", -1.0},
                     {"weight_init_b", 1.0},
                     {"weight_init_gain", 1.0},
                     {"weight_init_val", 1.0},
                     {"weight_init_mode", S("fan_in")},
                     {"weight_init_nonlinearity", S("relu")},
                     {"bias_init", S("ones")}}});
  spec.AddOperator({"sum", "add", {0, 0}, {}});
  const ModelSpec without = WithoutInitializers(spec);
  EXPECT_EQ(without.input_shape(), Shape{30});
  ASSERT_EQ(without.operators().size(), 2u);
  EXPECT_EQ(without.operators()[0].name, "fc");
  EXPECT_EQ(without.operators()[0].attributes,
            (Attributes{{"out_features", int64_t{20}}, {"bias", false}}));
  EXPECT_EQ(without.operators()[1].inputs, (std::vector<int>{0, 0}));
}

}  // namespace
}  // namespace modelbatch
