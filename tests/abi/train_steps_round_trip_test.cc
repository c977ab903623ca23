// session_train_steps across the ABI: what arrives, what comes back, also of a
// call that fails, and what both sides refuse.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/c_api.h"
#include "tests/abi/recording_backend.h"
#include "tests/abi/round_trip.h"

namespace modelbatch {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Two steps of three models: rows of all in the first, ragged in the second.
class TrainStepsTest : public RoundTripTest {
 protected:
  StepsRequest Steps() const {
    StepsRequest request;
    request.dataset = dataset_.get();
    request.rows = rows_;
    request.columns = columns_;
    return request;
  }

  void Answer(int64_t made, absl::Status status = absl::OkStatus()) {
    recorder_->steps.made = made;
    recorder_->steps.losses = {1, 2, 3, 4, 5, 6};
    recorder_->steps.outcomes = {Outcome::kStepped,  Outcome::kNonFiniteLoss,
                                 Outcome::kInactive, Outcome::kStepped,
                                 Outcome::kInactive, Outcome::kEmpty};
    recorder_->steps.losses.resize(3 * made);
    recorder_->steps.outcomes.resize(3 * made);
    recorder_->steps_status = std::move(status);
  }

  const std::vector<int32_t> shared_ = {4, 0};
  const std::vector<int32_t> ragged_ = {3, 1, 2};
  const std::vector<int64_t> offsets_ = {0, 2, 2, 3};
  const std::vector<RowSet> rows_ = {{shared_, {}}, {ragged_, offsets_}};
  const std::vector<Column> columns_ = {{"lr", {1, 2, 3, 4, 5, 6}},
                                        {"eps", {6, 5, 4, 3, 2, 1}}};
  StepsResult result_;
};

TEST_F(TrainStepsTest, ArriveAndComeBack) {
  Answer(2);
  const std::vector<uint8_t> active = {1, 1, 0};
  StepsRequest request = Steps();
  request.active = active;
  const absl::Status status = session_->TrainSteps(request, &result_);
  ASSERT_TRUE(status.ok()) << status;

  ASSERT_EQ(recorder_->steps_call.size(), 2u);
  const auto& calls = recorder_->steps_call;
  EXPECT_EQ(calls[0].rows.rows, shared_);
  EXPECT_THAT(calls[0].rows.offsets, IsEmpty());
  EXPECT_EQ(calls[1].rows.rows, ragged_);
  EXPECT_EQ(calls[1].rows.offsets, offsets_);
  EXPECT_EQ(calls[0].active, active);
  ASSERT_EQ(calls[0].columns.size(), 2u);
  EXPECT_EQ(calls[0].columns[1].name, "eps");
  EXPECT_EQ(calls[0].columns[1].values, columns_[1].values);
  EXPECT_EQ(result_.made, 2);
  EXPECT_THAT(result_.losses, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(result_.outcomes, recorder_->steps.outcomes);
}

TEST_F(TrainStepsTest, StepsBeforeAnErrorComeBackWithIt) {
  Answer(1, absl::DataLossError("the second"));
  EXPECT_EQ(session_->TrainSteps(Steps(), &result_), recorder_->steps_status);
  EXPECT_EQ(result_.made, 1);
  EXPECT_THAT(result_.losses, ElementsAre(1, 2, 3));
  EXPECT_EQ(result_.outcomes.size(), 3u);
}

// Who takes none to be made would make them twice.
TEST_F(TrainStepsTest, StepsBeforeAnExceptionComeBackWithIt) {
  Answer(1);
  recorder_->steps_throw = true;
  const absl::Status status = session_->TrainSteps(Steps(), &result_);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(result_.made, 1);
  EXPECT_THAT(result_.losses, ElementsAre(1, 2, 3));
  EXPECT_EQ(result_.outcomes.size(), 3u);
}

TEST_F(TrainStepsTest, AResultOfOtherStepsIsTheBackendsError) {
  Answer(1);  // says that it made them all
  const absl::Status fewer = session_->TrainSteps(Steps(), &result_);
  EXPECT_EQ(fewer.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Message(fewer), HasSubstr("1 steps of 2"));
  EXPECT_EQ(result_.made, 0);
  Answer(2);
  recorder_->steps.losses.pop_back();
  EXPECT_THAT(Message(session_->TrainSteps(Steps(), &result_)),
              HasSubstr("5 losses"));
}

TEST_F(TrainStepsTest, TheHostRefusesWhatDoesNotFit) {
  Answer(2);
  StepsRequest request = Steps();
  request.rows = {};
  EXPECT_THAT(Message(session_->TrainSteps(request, &result_)),
              HasSubstr("no steps"));
  request = Steps();
  const std::vector<Column> odd = {{"lr", {1, 2, 3, 4, 5}}};
  request.columns = odd;
  EXPECT_THAT(Message(session_->TrainSteps(request, &result_)),
              HasSubstr("lr has 5 values"));
  const std::vector<Column> of_one_step = {{"lr", {1, 2, 3, 4}}};
  request.columns = of_one_step;
  EXPECT_THAT(Message(session_->TrainSteps(request, &result_)),
              AllOf(HasSubstr("\"lr\" has 4 values"), HasSubstr("of 2 steps")));
  request = Steps();
  const std::vector<uint8_t> active = {1};
  request.active = active;
  EXPECT_THAT(Message(session_->TrainSteps(request, &result_)),
              HasSubstr("active has 1 entries"));
  request = Steps();
  const std::vector<int64_t> wrong = {0, 3, 2, 3};
  const std::vector<RowSet> rows = {rows_[0], {ragged_, wrong}};
  request.rows = rows;
  EXPECT_THAT(Message(session_->TrainSteps(request, &result_)),
              AllOf(HasSubstr("step 1"), HasSubstr("rows.offsets[2] is 2")));
  EXPECT_THAT(recorder_->steps_call, IsEmpty());
}

// Fields as an older or a careless host sends them.
TEST_F(TrainStepsTest, TheSdkChecksItsArguments) {
  MB_TrainStepsArgs args = {};
  args.header = Header(MB_SIZE(MB_TrainStepsArgs, outcomes));
  const auto error = [&] {
    return Take(*api_, api_->session_train_steps(&args)).second;
  };
  EXPECT_THAT(Take(*api_, api_->session_train_steps(nullptr)).second,
              HasSubstr("MB_TrainStepsArgs is NULL"));
  EXPECT_THAT(error(), HasSubstr("struct_size is 96, expected at least 104"));
  args.header = Header(MB_SIZE(MB_TrainStepsArgs, num_made));
  args.num_made = 7;
  EXPECT_THAT(error(), HasSubstr("session"));
  EXPECT_EQ(args.num_made, 0u);
}

// What a plugin without the call does: the host makes the steps.
TEST_F(TrainStepsTest, APluginOfTheFirstMinorMakesThemOneByOne) {
  const auto plugin = LoadPlugin(PluginFile("abi_1_0"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  auto backend = (*plugin)->CreateBackend();
  ASSERT_TRUE(backend.ok()) << backend.status();
  auto session =
      (*backend)->Compile({{Model(0, 0), Model(1, 1)}, {"mse", {}}, 8, {}});
  ASSERT_TRUE(session.ok()) << session.status();
  auto dataset = (*backend)->CreateDataset(
      Tensor::Zeros(DType::kFloat32, {5, 2, 3}), Tensor());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const std::vector<RowSet> rows(3);
  StepsRequest request;
  request.dataset = dataset->get();
  request.rows = rows;
  const absl::Status status = (*session)->TrainSteps(request, &result_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(result_.made, 3);
  EXPECT_EQ(result_.losses.size(), 6u);
  EXPECT_EQ(result_.outcomes.size(), 6u);
}

}  // namespace
}  // namespace modelbatch
