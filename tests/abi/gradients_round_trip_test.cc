// The calls of the feature "gradients" through the ABI: every field arrives as
// it was sent, every result comes back, what does not fit is refused.
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/tensor/dlpack.h"
#include "modelbatch/tensor/tensor.h"
#include "tests/abi/recording_backend.h"
#include "tests/abi/round_trip.h"

namespace modelbatch {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

using GradientsRoundTripTest = RoundTripTest;

TEST_F(GradientsRoundTripTest, TrainStepThatAccumulates) {
  StepRequest request = Request();
  request.keep_gradients = true;
  request.update = false;
  request.accumulate = true;
  StepResult result;
  ASSERT_TRUE(session_->TrainStep(request, &result).ok());
  EXPECT_TRUE(recorder_->step_call.keep_gradients);
  EXPECT_FALSE(recorder_->step_call.update);
  EXPECT_TRUE(recorder_->step_call.accumulate);
}

TEST_F(GradientsRoundTripTest, AccumulationComesWithoutAnUpdateOnly) {
  for (const bool keep : {false, true}) {
    StepRequest request = Request();
    request.keep_gradients = keep;
    request.update = keep;
    request.accumulate = true;
    StepResult result;
    const absl::Status status = session_->TrainStep(request, &result);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(status), HasSubstr("MB_STEP_ACCUMULATE"));
  }
}

TEST_F(GradientsRoundTripTest, ForwardInTrainingMode) {
  for (int i = 0; i < 3; ++i) {
    recorder_->outputs.push_back(Tensor::Zeros(DType::kFloat32, {1, 4}));
  }
  const std::vector<int32_t> rows = {4};
  std::vector<Tensor> outputs;
  ASSERT_TRUE(
      session_->Forward({dataset_.get(), {rows, {}}, true}, &outputs).ok());
  EXPECT_TRUE(recorder_->forward_call.training);
  ASSERT_TRUE(session_->Forward({dataset_.get(), {rows, {}}}, &outputs).ok());
  EXPECT_FALSE(recorder_->forward_call.training);
}

std::vector<uint8_t> Bytes(const Tensor& tensor) {
  const auto* const begin = static_cast<const uint8_t*>(tensor.raw());
  return {begin, begin + tensor.byte_size()};
}

TEST_F(GradientsRoundTripTest, BackwardWithRaggedRows) {
  recorder_->outcomes = {Outcome::kStepped, Outcome::kEmpty,
                         Outcome::kNonFiniteGradient};
  const std::vector<int32_t> rows = {3, 1, 0};
  const std::vector<int64_t> offsets = {0, 2, 2, 3};
  std::vector<Tensor> gradients(3);
  gradients[0] = Tensor::FromVector<float>(
      {1, -0.0f, std::nanf(""), 1e-45f, 5, std::numeric_limits<float>::max(),
       -std::numeric_limits<float>::infinity(), 8},
      {2, 4});
  gradients[2] = Tensor::FromVector<float>({9, 10, 11, 12}, {1, 4});
  std::vector<Outcome> outcomes(9);  // of a call before
  ASSERT_TRUE(session_
                  ->Backward({dataset_.get(), {rows, offsets}, {}, gradients},
                             &outcomes)
                  .ok());
  const Recorder::Step& call = recorder_->backward_call;
  EXPECT_NE(call.dataset, nullptr);
  EXPECT_EQ(call.rows.rows, rows);
  EXPECT_EQ(call.rows.offsets, offsets);
  EXPECT_THAT(call.active, IsEmpty());
  ASSERT_EQ(call.output_gradients.size(), 3u);
  for (const size_t i : {0, 2}) {
    EXPECT_EQ(call.output_gradients[i].shape(), gradients[i].shape());
    EXPECT_EQ(Bytes(call.output_gradients[i]), Bytes(gradients[i]));
    EXPECT_EQ(call.output_gradient_data[i], gradients[i].raw());  // no copy
  }
  EXPECT_EQ(call.output_gradients[1].size(), 0);
  EXPECT_THAT(outcomes, ElementsAre(Outcome::kStepped, Outcome::kEmpty,
                                    Outcome::kNonFiniteGradient));
}

TEST_F(GradientsRoundTripTest, BackwardWithSharedRowsAndMask) {
  recorder_->outcomes = {Outcome::kStepped, Outcome::kInactive,
                         Outcome::kNonFiniteLoss};
  const std::vector<int32_t> rows = {4, 4};
  const std::vector<uint8_t> active = {1, 0, 255};
  std::vector<Tensor> gradients;
  gradients.push_back(Tensor::Zeros(DType::kFloat32, {2, 4}));
  // Not looked at.
  gradients.push_back(Tensor::Zeros(DType::kInt64, {7}));
  gradients.push_back(
      Tensor::FromVector<float>({1, 2, 3, 4, 5, 6, 7, 8}, {2, 4}));
  std::vector<Outcome> outcomes;
  const absl::Status status = session_->Backward(
      {dataset_.get(), {rows, {}}, active, gradients}, &outcomes);
  ASSERT_TRUE(status.ok()) << status;
  const Recorder::Step& call = recorder_->backward_call;
  EXPECT_EQ(call.rows.rows, rows);
  EXPECT_THAT(call.rows.offsets, IsEmpty());
  EXPECT_EQ(call.active, active);
  ASSERT_EQ(call.output_gradients.size(), 3u);
  EXPECT_EQ(call.output_gradients[1].size(), 0);
  EXPECT_EQ(Bytes(call.output_gradients[2]), Bytes(gradients[2]));
  EXPECT_THAT(outcomes, ElementsAre(Outcome::kStepped, Outcome::kInactive,
                                    Outcome::kNonFiniteLoss));
}

TEST_F(GradientsRoundTripTest, BackwardRefusesWhatDoesNotFit) {
  const std::vector<int32_t> rows = {0, 1, 2};
  const auto refusal = [&](const RowSet& rows, absl::Span<const uint8_t> active,
                           const std::vector<Tensor>& gradients) {
    std::vector<Outcome> outcomes;
    const absl::Status status = session_->Backward(
        {dataset_.get(), rows, active, gradients}, &outcomes);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return Message(status);
  };
  const auto gradients = [](Tensor second) {
    std::vector<Tensor> result;
    result.push_back(Tensor::Zeros(DType::kFloat32, {3, 4}));
    result.push_back(std::move(second));
    result.push_back(Tensor::Zeros(DType::kFloat32, {3, 4}));
    return result;
  };
  const std::vector<Tensor> good =
      gradients(Tensor::Zeros(DType::kFloat32, {3, 4}));
  EXPECT_THAT(refusal({rows, {}}, {}, std::vector<Tensor>(2)),
              AllOf(HasSubstr("output_gradients has 2 entries"),
                    HasSubstr("3 models")));
  EXPECT_THAT(refusal({rows, {}}, {},
                      gradients(Tensor::Zeros(DType::kFloat64, {3, 4}))),
              AllOf(HasSubstr("model 1 (id 11)"), HasSubstr("float64"),
                    HasSubstr("expected float32")));
  EXPECT_THAT(
      refusal({rows, {}}, {}, gradients(Tensor::Zeros(DType::kFloat32, {5}))),
      AllOf(HasSubstr("output_gradients[1] is 5 floats"), HasSubstr("3 rows")));
  EXPECT_THAT(refusal({rows, {}}, {}, gradients(Tensor())),
              HasSubstr("output_gradients[1] is NULL"));
  const std::vector<uint8_t> active = {1, 1};
  EXPECT_THAT(refusal({rows, {}}, active, good),
              HasSubstr("active has 2 entries"));
  const std::vector<std::vector<int64_t>> wrong_offsets = {
      {0, 3}, {1, 1, 1, 3}, {0, 2, 1, 3}, {0, 1, 1, 1}};
  for (const std::vector<int64_t>& offsets : wrong_offsets) {
    EXPECT_THAT(refusal({rows, offsets}, {}, good), HasSubstr("offsets"));
  }
  std::vector<Outcome> outcomes;
  EXPECT_EQ(
      session_->Backward({nullptr, {rows, {}}, {}, good}, &outcomes).code(),
      absl::StatusCode::kInvalidArgument);
  const auto other = plugin_->CreateBackend();
  ASSERT_TRUE(other.ok()) << other.status();
  const auto dataset =
      (*other)->CreateDataset(Tensor::Zeros(DType::kFloat32, {5, 6}), Tensor());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(Message(session_->Backward({dataset->get(), {rows, {}}, {}, good},
                                         &outcomes)),
              HasSubstr("another backend"));
  EXPECT_EQ(recorder_->backward_call.dataset, nullptr);  // never called
}

TEST_F(GradientsRoundTripTest, Update) {
  recorder_->outcomes = {Outcome::kEmpty, Outcome::kNonFiniteLoss,
                         Outcome::kStepped};
  const std::vector<Column> columns = {{"lr", {0.1, 0.2, 0.3}},
                                       {"clip_norm", {1, kInfinity, 0}}};
  const std::vector<uint8_t> active = {255, 1, 0};
  std::vector<Outcome> outcomes;
  ASSERT_TRUE(session_->Update({columns, active}, &outcomes).ok());
  const Recorder::Step& call = recorder_->update_call;
  ASSERT_EQ(call.columns.size(), 2u);
  EXPECT_EQ(call.columns[0].name, "lr");
  EXPECT_EQ(call.columns[0].values, columns[0].values);
  EXPECT_EQ(call.columns[1].name, "clip_norm");
  EXPECT_EQ(call.columns[1].values, columns[1].values);
  EXPECT_EQ(call.active, active);
  EXPECT_THAT(outcomes, ElementsAre(Outcome::kEmpty, Outcome::kNonFiniteLoss,
                                    Outcome::kStepped));
  // What this call does not have is not that of the one before.
  ASSERT_TRUE(session_->Update({}, &outcomes).ok());
  EXPECT_THAT(recorder_->update_call.columns, IsEmpty());
  EXPECT_THAT(recorder_->update_call.active, IsEmpty());
}

TEST_F(GradientsRoundTripTest, UpdateRefusesWhatDoesNotFit) {
  std::vector<Outcome> outcomes;
  const std::vector<uint8_t> active = {1, 1, 1, 1};
  EXPECT_THAT(Message(session_->Update({{}, active}, &outcomes)),
              HasSubstr("active has 4 entries"));
  const std::vector<Column> few = {{"lr", {1, 2}}};
  EXPECT_THAT(Message(session_->Update({few, {}}, &outcomes)),
              AllOf(HasSubstr("\"lr\" has 2 values"), HasSubstr("3 models")));
  const std::vector<Column> twice = {{"lr", {1, 2, 3}}, {"lr", {1, 2, 3}}};
  EXPECT_THAT(Message(session_->Update({twice, {}}, &outcomes)),
              HasSubstr("twice"));
}

TEST_F(GradientsRoundTripTest, ZeroGrad) {
  ASSERT_TRUE(session_->ZeroGrad(false).ok());
  EXPECT_EQ(recorder_->zeroed, 1);
  EXPECT_FALSE(recorder_->released);
  ASSERT_TRUE(session_->ZeroGrad(true).ok());
  EXPECT_EQ(recorder_->zeroed, 2);
  EXPECT_TRUE(recorder_->released);
}

TEST_F(GradientsRoundTripTest, OutcomesThatThereAreNotAreTheBackendsError) {
  const std::vector<Tensor> gradients(3);
  std::vector<Outcome> outcomes;
  const auto backward = [&] {
    return session_->Backward({dataset_.get(), RowSet(), {}, gradients},
                              &outcomes);
  };
  const auto update = [&] { return session_->Update({}, &outcomes); };
  for (const size_t count : {0, 2, 4}) {
    recorder_->outcomes.assign(count, Outcome::kStepped);
    for (const absl::Status& status : {backward(), update()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
      EXPECT_THAT(Message(status),
                  HasSubstr(std::to_string(count) + " outcomes for 3 models"));
    }
  }
  recorder_->outcomes = {Outcome::kStepped, static_cast<Outcome>(5),
                         Outcome::kStepped};
  EXPECT_THAT(Message(backward()), AllOf(HasSubstr("session_backward"),
                                         HasSubstr("outcomes[1] is 5")));
  EXPECT_THAT(Message(update()), AllOf(HasSubstr("session_update"),
                                       HasSubstr("outcomes[1] is 5")));
}

// ---- What only a host that is not ours would send.

// One model in a session of the plugin's own table, and a dataset.
class SdkGradients : public RoundTripTest {
 protected:
  void SetUp() override {
    RoundTripTest::SetUp();
    MB_BackendCreateArgs create = {};
    create.header = Header(MB_SIZE(MB_BackendCreateArgs, backend));
    ASSERT_EQ(api_->backend_create(&create), nullptr);
    raw_backend_ = create.backend;
    MB_Model model = {};
    model.header = Header(MB_SIZE(MB_Model, num_operators));
    const MB_Model* const models[] = {&model};
    MB_SessionCompileArgs compile = {};
    compile.header = Header(MB_SIZE(MB_SessionCompileArgs, session));
    compile.backend = raw_backend_;
    compile.loss = "mse";
    compile.num_models = 1;
    compile.models = models;
    ASSERT_EQ(api_->session_compile(&compile), nullptr);
    raw_session_ = compile.session;
    MB_DatasetCreateArgs data = {};
    data.header = Header(MB_SIZE(MB_DatasetCreateArgs, dataset));
    data.backend = raw_backend_;
    data.features = TensorToDLPack(Tensor::Zeros(DType::kFloat32, {4, 1}));
    ASSERT_EQ(api_->dataset_create(&data), nullptr);
    raw_dataset_ = data.dataset;
    recorder_->outcomes = {Outcome::kStepped};
  }
  void TearDown() override {
    api_->session_destroy(raw_session_);
    api_->dataset_destroy(raw_dataset_);
    api_->backend_destroy(raw_backend_);
    RoundTripTest::TearDown();
  }

  MB_Backend* raw_backend_ = nullptr;
  MB_Session* raw_session_ = nullptr;
  MB_Dataset* raw_dataset_ = nullptr;
};

TEST_F(SdkGradients, BackwardIsChecked) {
  const int32_t rows[] = {2, 0};
  const float gradient[] = {1, 2, 3, 4, 5, 6};
  const float* gradients[] = {nullptr};
  size_t sizes[] = {5};
  uint8_t outcome = 99;
  EXPECT_EQ(Take(*api_, api_->session_backward(nullptr)).first,
            MB_INVALID_ARGUMENT);
  MB_BackwardArgs args = {};
  args.header = Header(MB_SIZE(MB_BackwardArgs, output_gradient_sizes));
  const auto error = [&] {
    const auto [code, message] = Take(*api_, api_->session_backward(&args));
    EXPECT_TRUE(code == MB_OK || code == MB_INVALID_ARGUMENT) << code;
    return message;
  };
  EXPECT_THAT(error(), HasSubstr("MB_BackwardArgs.header.struct_size"));
  args.header = Header(MB_SIZE(MB_BackwardArgs, outcomes));
  EXPECT_THAT(error(), HasSubstr("session is NULL"));
  args.session = raw_session_;
  EXPECT_THAT(error(), HasSubstr("dataset is NULL"));
  args.dataset = raw_dataset_;
  EXPECT_THAT(error(), HasSubstr("output_gradients is NULL"));
  args.output_gradients = gradients;
  EXPECT_THAT(error(), HasSubstr("output_gradient_sizes is NULL"));
  args.output_gradient_sizes = sizes;
  EXPECT_THAT(error(), HasSubstr("outcomes is NULL"));
  args.outcomes = &outcome;
  args.rows.num_rows = 2;
  EXPECT_THAT(error(), HasSubstr("rows.rows is NULL"));
  args.rows.rows = rows;
  const int64_t offsets[] = {0, 1};
  args.rows.offsets = offsets;
  EXPECT_THAT(error(), HasSubstr("rows.offsets[1] is 1"));
  args.rows.offsets = nullptr;
  EXPECT_THAT(error(), HasSubstr("output_gradients[0] is NULL"));
  gradients[0] = gradient;
  EXPECT_THAT(error(), HasSubstr("output_gradients[0] is 5 floats"));
  EXPECT_EQ(outcome, 99);
  sizes[0] = 6;
  EXPECT_EQ(error(), "");
  EXPECT_EQ(outcome, MB_MODEL_STEPPED);
  EXPECT_THAT(recorder_->backward_call.output_gradients[0].shape(),
              ElementsAre(2, 3));
  // Not looked at without rows, nor of an inactive model.
  gradients[0] = nullptr;
  args.rows.num_rows = 0;
  EXPECT_EQ(error(), "");
  args.rows.num_rows = 2;
  const uint8_t active[] = {0};
  args.active = active;
  EXPECT_EQ(error(), "");
  EXPECT_THAT(recorder_->backward_call.active, ElementsAre(0));
}

TEST_F(SdkGradients, UpdateIsChecked) {
  uint8_t outcome = 99;
  EXPECT_EQ(Take(*api_, api_->session_update(nullptr)).first,
            MB_INVALID_ARGUMENT);
  MB_UpdateArgs args = {};
  args.header = Header(MB_SIZE(MB_UpdateArgs, active));
  const auto error = [&] {
    const auto [code, message] = Take(*api_, api_->session_update(&args));
    EXPECT_TRUE(code == MB_OK || code == MB_INVALID_ARGUMENT) << code;
    return message;
  };
  EXPECT_THAT(error(), HasSubstr("MB_UpdateArgs.header.struct_size"));
  args.header = Header(MB_SIZE(MB_UpdateArgs, outcomes));
  EXPECT_THAT(error(), HasSubstr("session is NULL"));
  args.session = raw_session_;
  EXPECT_THAT(error(), HasSubstr("outcomes is NULL"));
  args.outcomes = &outcome;
  args.num_columns = 1;
  EXPECT_THAT(error(), HasSubstr("columns is NULL"));
  MB_Column column = {nullptr, nullptr};
  args.columns = &column;
  EXPECT_THAT(error(), HasSubstr("columns[0].name is NULL"));
  column.name = "lr";
  EXPECT_THAT(error(), HasSubstr("columns[0].values is NULL"));
  EXPECT_EQ(outcome, 99);
  const double rate = 0.5;
  column.values = &rate;
  EXPECT_EQ(error(), "");
  EXPECT_EQ(outcome, MB_MODEL_STEPPED);
  EXPECT_THAT(recorder_->update_call.columns[0].values, ElementsAre(0.5));
}

TEST_F(SdkGradients, ZeroGradIsChecked) {
  EXPECT_EQ(Take(*api_, api_->session_zero_grad(nullptr)).first,
            MB_INVALID_ARGUMENT);
  MB_ZeroGradArgs args = {};
  args.header = Header(MB_SIZE(MB_ZeroGradArgs, session));
  const auto error = [&] {
    return Take(*api_, api_->session_zero_grad(&args)).second;
  };
  EXPECT_THAT(error(), HasSubstr("MB_ZeroGradArgs.header.struct_size"));
  args.header = Header(MB_SIZE(MB_ZeroGradArgs, reserved));
  EXPECT_THAT(error(), HasSubstr("session is NULL"));
  args.session = raw_session_;
  args.release = 2;
  EXPECT_THAT(error(),
              HasSubstr("release is 2 and reserved 0, expected 0 or 1"));
  args.release = 1;
  args.reserved = 3;
  EXPECT_THAT(error(), HasSubstr("reserved 3"));
  args.reserved = 0;
  EXPECT_EQ(recorder_->zeroed, 0);
  EXPECT_EQ(error(), "");
  EXPECT_TRUE(recorder_->released);
}

TEST_F(SdkGradients, ForwardFlagsAreChecked) {
  recorder_->outputs.push_back(Tensor::Zeros(DType::kFloat32, {0, 1}));
  const int64_t offset = 0;
  MB_ForwardArgs args = {};
  args.header = Header(MB_SIZE(MB_ForwardArgs, outputs));
  args.session = raw_session_;
  args.dataset = raw_dataset_;
  args.output_offsets = &offset;
  const auto error = [&] {
    return Take(*api_, api_->session_forward(&args)).second;
  };
  args.flags = 2;
  EXPECT_THAT(error(), HasSubstr("flags is 2"));
  args.flags = MB_FORWARD_TRAINING;
  args.reserved = 1;
  EXPECT_THAT(error(), HasSubstr("reserved 1"));
  args.reserved = 0;
  EXPECT_EQ(error(), "");
  EXPECT_TRUE(recorder_->forward_call.training);
}

}  // namespace
}  // namespace modelbatch
