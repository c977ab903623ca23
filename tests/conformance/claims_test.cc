// Capabilities tell the truth: what is claimed works, with the values that its
// formula gives (the losses': loss_test.cc), and what is not claimed is refused
// by name.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

constexpr int64_t kRows = 6;
constexpr int64_t kFeatures = 4;
constexpr int64_t kOutputs = 3;

bool Mentions(const absl::Status& status, const std::string& text) {
  return status.message().find(text) != absl::string_view::npos;
}

// linear, then `kind` in each of its variants, then linear.
std::vector<ModelSpec> SpecsWith(const std::string& kind) {
  const ModelSpec base({kFeatures});
  std::vector<ModelSpec> specs;
  const auto add = [&](auto middle) {
    ModelSpec spec = base;
    spec.Linear(5);
    middle(spec);
    spec.Linear(kOutputs);
    specs.push_back(std::move(spec));
  };
  if (kind == "linear") {
    add([](ModelSpec& s) { s.Linear(4, /*bias=*/false); });
  } else if (kind == "relu") {
    add([](ModelSpec& s) { s.Relu(); });
  } else if (kind == "gelu") {
    add([](ModelSpec& s) { s.Gelu("none"); });
    add([](ModelSpec& s) { s.Gelu("tanh"); });
  } else if (kind == "tanh") {
    add([](ModelSpec& s) { s.Tanh(); });
  } else if (kind == "sigmoid") {
    add([](ModelSpec& s) { s.Sigmoid(); });
  } else if (kind == "dropout") {
    add([](ModelSpec& s) { s.Dropout(0.5); });
    add([](ModelSpec& s) { s.Dropout(0); });
  } else if (kind == "layer_norm") {
    add([](ModelSpec& s) { s.LayerNorm(1e-5); });
  } else if (kind == "add") {
    add([](ModelSpec& s) { s.Linear(5).Add(0); });
    add([](ModelSpec& s) { s.Add(0); });  // with itself
  } else if (kind == "flatten") {
    ModelSpec spec({2, 2});
    spec.Flatten().Linear(kOutputs);
    specs.push_back(std::move(spec));
  }
  return specs;
}

Tensor TargetsFor(const std::string& loss) {
  if (loss == "cross_entropy" || loss == "nll") {
    return Labels(5, kRows, kOutputs);
  }
  Tensor targets = NoiseTensor(5, {kRows, kOutputs});
  if (loss == "bce_with_logits") {  // in [0, 1]
    for (int64_t i = 0; i < targets.size(); ++i) {
      targets.data<float>()[i] = 0.5f * (targets.data<float>()[i] + 1);
    }
  }
  return targets;
}

class Claims : public ConformanceTest {
 protected:
  std::string AnyLoss() const {
    return HasLoss("mse") ? "mse" : "cross_entropy";
  }
  std::string AnyOptimizer() const {
    return HasOptimizer("sgd") ? "sgd" : "adam";
  }
  bool CanTrain() const {
    return HasOperator("linear") &&
           (HasLoss("mse") || HasLoss("cross_entropy")) &&
           (HasOptimizer("sgd") || HasOptimizer("adam"));
  }

  const std::vector<int32_t> rows_ = {0, 1, 2, 3, 4, 5};
};

TEST_F(Claims, EveryClaimedOperatorTrains) {
  MB_REQUIRES(CanTrain());
  for (const std::string& kind : KnownOperators()) {
    if (!HasOperator(kind)) continue;
    for (const ModelSpec& spec : SpecsWith(kind)) {
      SCOPED_TRACE(kind);
      Shape shape = spec.input_shape();
      shape.insert(shape.begin(), kRows);
      const auto dataset = Get(backend().CreateDataset(NoiseTensor(1, shape),
                                                       TargetsFor(AnyLoss())));
      Population population(backend(), {{1, 11, spec}, {2, 12, spec}},
                            AnyLoss(), kRows);
      population.WriteNoise();
      population.SetOptimizer(AnyOptimizer());
      const std::vector<Snapshot> before = population.SaveAll();
      const StepResult result = population.Step(
          *dataset, {rows_, {}}, population.Columns({{"lr", 0.1}}));
      for (size_t m = 0; m < 2; ++m) {
        EXPECT_EQ(result.outcomes[m], Outcome::kStepped);
        EXPECT_TRUE(std::isfinite(result.losses[m]));
        EXPECT_NE(population.Save(m), before[m]) << "nothing was learned";
      }
    }
  }
}

TEST_F(Claims, OperatorsThatAreNotClaimedAreUnimplemented) {
  for (const std::string& kind : KnownOperators()) {
    if (HasOperator(kind)) continue;
    for (const ModelSpec& spec : SpecsWith(kind)) {
      const auto session =
          backend().Compile({{{0, 0, spec}}, {AnyLoss(), {}}, kRows, {}});
      EXPECT_TRUE(absl::IsUnimplemented(session.status()))
          << kind << ": " << session.status();
      EXPECT_TRUE(Mentions(session.status(), kind)) << session.status();
    }
  }
}

TEST_F(Claims, LossesThatAreNotClaimedAreUnimplemented) {
  MB_REQUIRES(HasOperator("linear"));
  ModelSpec spec({kFeatures});
  spec.Linear(kOutputs);
  for (const std::string& loss : KnownLosses()) {
    if (HasLoss(loss)) continue;
    const auto session =
        backend().Compile({{{0, 0, spec}}, {loss, {}}, kRows, {}});
    EXPECT_TRUE(absl::IsUnimplemented(session.status())) << session.status();
    EXPECT_TRUE(Mentions(session.status(), loss)) << session.status();
  }
}

TEST_F(Claims, OptimizersThatAreNotClaimedAreUnimplemented) {
  MB_REQUIRES(CanTrain());
  ModelSpec spec({kFeatures});
  spec.Linear(kOutputs);
  Population population(backend(), {{0, 0, spec}}, AnyLoss(), kRows);
  for (const std::string& optimizer : KnownOptimizers()) {
    if (HasOptimizer(optimizer)) continue;
    const absl::Status status = population.session().SetOptimizer(optimizer);
    EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
    EXPECT_TRUE(Mentions(status, optimizer)) << status;
  }
}

// ---- What nobody knows.

void ExpectRefused(const absl::Status& status, const std::string& name) {
  EXPECT_TRUE(absl::IsInvalidArgument(status) || absl::IsUnimplemented(status))
      << name << ": " << status;
  EXPECT_TRUE(Mentions(status, name)) << status;
}

TEST_F(Claims, UnknownNamesAreRefusedByName) {
  MB_REQUIRES(CanTrain());
  ModelSpec good({kFeatures});
  good.Linear(kOutputs);
  CompileRequest request{{{0, 0, good}}, {AnyLoss(), {}}, kRows, {}};
  ASSERT_TRUE(backend().Compile(request).ok());

  CompileRequest kind = request;
  kind.models[0].spec.AddOperator({"odd", "no_such_kind", {0}, {}});
  ExpectRefused(backend().Compile(kind).status(), "no_such_kind");

  CompileRequest attribute = request;
  attribute.models[0].spec.AddOperator(
      {"odd",
       "linear",
       {0},
       {{"out_features", int64_t{2}}, {"no_such_attribute", true}}});
  ExpectRefused(backend().Compile(attribute).status(), "no_such_attribute");

  CompileRequest type = request;
  type.models[0].spec.AddOperator(
      {"odd", "linear", {0}, {{"out_features", std::string("3")}}});
  ExpectRefused(backend().Compile(type).status(), "out_features");

  CompileRequest loss = request;
  loss.loss.kind = "no_such_loss";
  ExpectRefused(backend().Compile(loss).status(), "no_such_loss");

  CompileRequest loss_attribute = request;
  loss_attribute.loss.attributes["no_such_attribute"] = 0.5;
  ExpectRefused(backend().Compile(loss_attribute).status(),
                "no_such_attribute");

  CompileRequest option = request;
  option.options["no_such_option"] = true;
  ExpectRefused(backend().Compile(option).status(), "no_such_option");

  CompileRequest precision = request;
  precision.options["precision"] = std::string("fp7");
  ExpectRefused(backend().Compile(precision).status(), "fp7");

  Population population(backend(), {{0, 0, good}}, AnyLoss(), kRows);
  ExpectRefused(population.session().SetOptimizer("no_such_optimizer"),
                "no_such_optimizer");
}

TEST_F(Claims, EveryClaimedPrecisionCompiles) {
  MB_REQUIRES(CanTrain());
  ModelSpec spec({kFeatures});
  spec.Linear(kOutputs);
  for (const std::string& precision : capabilities().precisions) {
    const auto session = backend().Compile(
        {{{0, 0, spec}}, {AnyLoss(), {}}, kRows, {{"precision", precision}}});
    EXPECT_TRUE(session.ok()) << precision << ": " << session.status();
  }
}

// What another backend has is no reason to answer with fp32 instead.
TEST_F(Claims, APrecisionThatIsNotClaimedIsUnimplementedByName) {
  MB_REQUIRES(CanTrain());
  ModelSpec spec({kFeatures});
  spec.Linear(kOutputs);
  const std::vector<std::string> claimed = capabilities().precisions;
  for (const char* const precision : {"fp32", "tf32", "bf16"}) {
    if (std::count(claimed.begin(), claimed.end(), precision) > 0) continue;
    const absl::Status status =
        backend()
            .Compile({{{0, 0, spec}},
                      {AnyLoss(), {}},
                      kRows,
                      {{"precision", std::string(precision)}}})
            .status();
    EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
    ExpectRefused(status, precision);
  }
}

TEST_F(Claims, ModelsOfAnotherGraphAreRefused) {
  MB_REQUIRES(CanTrain());
  ModelSpec one({kFeatures}), two({kFeatures});
  one.Linear(kOutputs);
  two.Linear(kOutputs).Linear(kOutputs);
  const auto session = backend().Compile(
      {{{0, 0, one}, {1, 1, two}}, {AnyLoss(), {}}, kRows, {}});
  EXPECT_TRUE(absl::IsInvalidArgument(session.status()) ||
              absl::IsUnimplemented(session.status()))
      << session.status();
}

TEST_F(Claims, MixedWidthsTrainOrAreRefused) {
  MB_REQUIRES(CanTrain());
  std::vector<ModelInstance> models;
  for (int64_t width : {1, 17, 3}) {
    ModelSpec spec({kFeatures});
    spec.Linear(width).Linear(kOutputs);
    models.push_back({width, 0, spec});
  }
  const auto session = backend().Compile({models, {AnyLoss(), {}}, kRows, {}});
  if (!HasFeature("mixed_widths")) {
    EXPECT_TRUE(session.ok() || absl::IsUnimplemented(session.status()))
        << session.status();
    return;
  }
  ASSERT_TRUE(session.ok()) << session.status();
}

// Models without a single feature, output or row are refused, or work; they
// never take anything down.
TEST_F(Claims, NothingIsHandled) {
  MB_REQUIRES(CanTrain());
  EXPECT_TRUE(absl::IsInvalidArgument(
      backend().Compile({{}, {AnyLoss(), {}}, kRows, {}}).status()));
  ModelSpec no_outputs({kFeatures});
  no_outputs.Linear(0);
  ModelSpec no_features({0});
  no_features.Linear(kOutputs);
  const ModelSpec no_operators({kFeatures});
  for (const ModelSpec& spec : {no_outputs, no_features, no_operators}) {
    const auto session = backend().Compile(
        {{{42, 0, spec}, {43, 0, spec}}, {AnyLoss(), {}}, kRows, {}});
    EXPECT_TRUE(session.ok() || absl::IsInvalidArgument(session.status()) ||
                absl::IsUnimplemented(session.status()))
        << session.status();
  }
}

}  // namespace
}  // namespace modelbatch::conformance
