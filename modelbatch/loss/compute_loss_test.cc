// What ComputeLoss refuses and how it treats nothing; its values are compared
// with PyTorch's in //tests/loss.
#include "modelbatch/loss/compute_loss.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {
namespace {

LossSettings Read(const LossSpec& spec) {
  const auto loss = ReadLoss(spec);
  EXPECT_TRUE(loss.ok()) << loss.status();
  return *loss;
}

Tensor Floats(const std::vector<float>& values, Shape shape) {
  return Tensor::FromVector(values, std::move(shape));
}
Tensor Classes(const std::vector<int64_t>& values) {
  return Tensor::FromVector(values, {static_cast<int64_t>(values.size())});
}

std::string Refusal(const LossSettings& loss, const Tensor& outputs,
                    const Tensor& targets) {
  const absl::Status status = ComputeLoss(loss, outputs, targets).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

TEST(ComputeLossTest, MismatchesNameWhatIsAndWhatWasExpected) {
  const LossSettings ce = Read({"cross_entropy", {}});
  const Tensor x = Floats({1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_EQ(Refusal(ce, Floats({1, 2}, {2}), Classes({0, 1})),
            "loss cross_entropy: outputs are float32 [2], expected float32 "
            "[rows, classes]");
  EXPECT_EQ(Refusal(ce, Floats({}, {2, 0}), Classes({0, 1})),
            "loss cross_entropy: outputs are float32 [2, 0], expected float32 "
            "[rows, classes]");
  EXPECT_EQ(Refusal(ce, Classes({0, 1}), Classes({0, 1})),
            "loss cross_entropy: outputs are int64 [2], expected float32 "
            "[rows, classes]");
  EXPECT_EQ(Refusal(ce, x, Classes({0, 1, 2})),
            "loss cross_entropy: targets are int64 [3], expected class "
            "indices, int64 [2]");
  EXPECT_EQ(Refusal(ce, x, x),
            "loss cross_entropy: targets are float32 [2, 3], expected class "
            "indices, int64 [2]");
  for (const int64_t bad : {int64_t{3}, int64_t{-1}, int64_t{1} << 40}) {
    EXPECT_EQ(Refusal(ce, x, Classes({0, bad})),
              "loss cross_entropy: target of row 1 is class " +
                  std::to_string(bad) +
                  ", expected 0 to 2 or ignore_index, -100");
  }
  EXPECT_EQ(Refusal(Read({"nll", {{"weight", std::vector<double>{1, 2}}}}), x,
                    Classes({0, 1})),
            "loss nll: weight has 2 numbers, expected one for each of 3 "
            "classes");

  const LossSettings huber = Read({"huber", {}});
  EXPECT_EQ(Refusal(huber, x, Classes({0, 1})),
            "loss huber: targets are int64 [2], expected float32 [2, 3], the "
            "outputs' shape");
  EXPECT_EQ(Refusal(huber, x, Floats({1, 2, 3, 4, 5, 6}, {3, 2})),
            "loss huber: targets are float32 [3, 2], expected float32 [2, 3], "
            "the outputs' shape");
  EXPECT_EQ(Refusal(huber, Floats({1, 2}, {2}), Floats({1, 2}, {2})),
            "loss huber: outputs are float32 [2], expected float32 [rows, ...] "
            "with at least one value a row");
  EXPECT_EQ(Refusal(huber, Floats({}, {2, 0}), Floats({}, {2, 0})),
            "loss huber: outputs are float32 [2, 0], expected float32 [rows, "
            "...] with at least one value a row");
  const LossSettings bce = Read({"bce_with_logits", {}});
  EXPECT_EQ(Refusal(bce, x, Floats({0, 1, 0.5, 0, 1.5, 1}, {2, 3})),
            "loss bce_with_logits: target 1 of row 1 is 1.5, expected 0 to 1");
  EXPECT_EQ(Refusal(bce, x, Floats({0, 1, std::nanf(""), 0, 1, 1}, {2, 3})),
            "loss bce_with_logits: target 2 of row 0 is nan, expected 0 to 1");
}

TEST(ComputeLossTest, WhereNothingCountsTheLossIsZero) {
  const float nan = std::nanf("");
  const Tensor x = Floats({1, nan, 3, 4}, {2, 2});
  for (const char* kind : {"cross_entropy", "nll"}) {
    for (const Attributes& attributes :
         {Attributes{}, Attributes{{"ignore_index", int64_t{-7}},
                                   {"weight", std::vector<double>{0, 1}}}}) {
      const LossSettings loss = Read({kind, attributes});
      const auto value = ComputeLoss(
          loss, x, Classes({loss.ignore_index, loss.ignore_index}), true);
      ASSERT_TRUE(value.ok()) << value.status();
      EXPECT_EQ(value->loss, 0);
      EXPECT_EQ(value->weight, 0);
      EXPECT_EQ(value->row_losses, std::vector<double>(2, 0));
      ASSERT_EQ(value->gradient.shape(), x.shape());
      for (int e = 0; e < 4; ++e) {
        EXPECT_EQ(value->gradient.data<float>()[e], 0);
      }
    }
  }
  // Classes of weight 0 weigh nothing either.
  const auto zero = ComputeLoss(
      Read({"cross_entropy",
            {{"weight", std::vector<double>{0, 1}}, {"label_smoothing", 0.5}}}),
      Floats({1, 2, 3, 4}, {2, 2}), Classes({0, 0}), true);
  ASSERT_TRUE(zero.ok()) << zero.status();
  EXPECT_EQ(zero->loss, 0);
  EXPECT_EQ(zero->gradient.data<float>()[0], 0);
  // No rows.
  const auto none =
      ComputeLoss(Read({"mse", {}}), Floats({}, {0, 3}), Floats({}, {0, 3}));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->loss, 0);
  EXPECT_EQ(none->gradient.shape(), Shape{0});
}

TEST(ComputeLossTest, AnIgnoredRowMayHoldAnything) {
  const auto value =
      ComputeLoss(Read({"cross_entropy", {{"label_smoothing", 0.1}}}),
                  Floats({1, 2, std::nanf(""), HUGE_VALF}, {2, 2}),
                  Classes({0, -100}), true);
  ASSERT_TRUE(value.ok()) << value.status();
  const auto alone =
      ComputeLoss(Read({"cross_entropy", {{"label_smoothing", 0.1}}}),
                  Floats({1, 2}, {1, 2}), Classes({0}), true);
  EXPECT_EQ(value->loss, alone->loss);
  EXPECT_EQ(value->weight, 1);
  for (int e = 0; e < 2; ++e) {
    EXPECT_EQ(value->gradient.data<float>()[e],
              alone->gradient.data<float>()[e]);
    EXPECT_EQ(value->gradient.data<float>()[2 + e], 0);
  }
}

TEST(ComputeLossTest, OutputsThatAreNotFiniteSpread) {
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    const Tensor x = Floats({bad, 1}, {1, 2});
    for (const LossInfo& info : Losses()) {
      const auto value =
          info.classes
              ? ComputeLoss(Read({info.kind, {}}), x, Classes({0}))
              : ComputeLoss(Read({info.kind, {}}), x, Floats({1, 0}, {1, 2}));
      ASSERT_TRUE(value.ok()) << value.status();
      EXPECT_FALSE(std::isfinite(value->loss)) << info.kind << " of " << bad;
    }
  }
}

}  // namespace
}  // namespace modelbatch
