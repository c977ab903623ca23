// Several steps made at once: everything a trainer says and keeps is what it is
// step by step, to the bit, whatever becomes of single models on the way.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/event.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/failing_backend.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <typename T>
std::string Bits(const T& value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(value));
  return absl::StrCat(absl::Hex(bits));
}

std::string Bits(const Tensor& tensor) {
  std::string text;
  const auto* bytes = static_cast<const unsigned char*>(tensor.raw());
  for (size_t i = 0; i < tensor.byte_size(); ++i) {
    absl::StrAppend(&text, absl::Hex(bytes[i], absl::kZeroPad2));
  }
  return text;
}

// A line a step: all that a callback, an observer or a log can see of it.
std::string DescribeStep(const Trainer& trainer) {
  const StepReport& report = trainer.last_step();
  const TrainState& state = trainer.state();
  std::string text = absl::StrCat(
      "step ", state.step, ", epoch ", state.epoch, ", of it ",
      state.step_in_epoch, report.epoch_finished ? ", finished" : "", ", rows ",
      report.model_rows, ", not finite ", absl::StrJoin(report.non_finite, " "),
      ", frozen ", absl::StrJoin(report.frozen, " "), ", improved ",
      absl::StrJoin(report.improved, " "), ", ", Bits(report.min_loss), " to ",
      Bits(report.max_loss), ", events ", state.events.size(), ":");
  for (size_t i = 0; i < report.by_model.losses.size(); ++i) {
    absl::StrAppend(&text, " ", static_cast<int>(report.by_model.outcomes[i]),
                    "/", Bits(report.by_model.losses[i]));
  }
  for (int i = 0; i < trainer.num_models(); ++i) {
    absl::StrAppend(&text, " ", Bits(state.epoch_loss[i]), "/",
                    state.epoch_rows[i], "/", Bits(state.epoch_lr[i]), "/",
                    state.models[i].skipped_updates);
  }
  return absl::StrCat(text, "\n");
}

// All that is there in the end.
std::string DescribeEnd(Trainer* trainer) {
  const TrainState& state = trainer->state();
  std::string text = absl::StrCat(EventsToJson(state.events), "\n");
  for (const EpochCurve& curve : state.curves) {
    for (int i = 0; i < trainer->num_models(); ++i) {
      absl::StrAppend(
          &text, Bits(curve.train_loss[i]), " ", Bits(curve.validation[i].loss),
          " ", curve.validation[i].correct, " ", Bits(curve.lr[i]), "\n");
    }
  }
  for (int i = 0; i < trainer->num_models(); ++i) {
    const ModelRecord& record = state.models[i];
    absl::StrAppend(&text, "model ", i, ", ", record.frozen_step, " ",
                    record.frozen_reason, " ", record.resets, " ",
                    record.best_epoch, "\n");
    for (const double number : record.schedule.ToNumbers()) {
      absl::StrAppend(&text, Bits(number), " ");
    }
    const auto model = trainer->batch().GetModelState(i);
    EXPECT_TRUE(model.ok()) << model.status();
    if (!model.ok()) continue;
    absl::StrAppend(&text, "\nupdates ", model->step, "\n");
    for (const auto& [slot, tensors] : model->slots) {
      for (const auto& [name, tensor] : tensors) {
        absl::StrAppend(&text, slot, " ", name, " ", Bits(tensor), "\n");
      }
    }
  }
  return text;
}

// The first line in which they differ, of both; empty: none. The whole is long.
std::string Difference(const std::string& got, const std::string& expected) {
  std::istringstream a(got), b(expected);
  std::string line_a, line_b;
  while (std::getline(b, line_b)) {
    if (!std::getline(a, line_a)) line_a = "(the end)";
    if (line_a != line_b) {
      return absl::StrCat(line_a.substr(0, 500), "\nexpected\n",
                          line_b.substr(0, 500));
    }
  }
  return std::getline(a, line_a) ? "more than expected" : "";
}

class TrainerStepsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    backend_.mutable_capabilities()->features.push_back("train_steps");
  }

  std::unique_ptr<Trainer> Create(const std::vector<std::string>& overrides) {
    experiment_ = TestExperiment(overrides);
    auto trainer = Trainer::Create(&experiment_, &backend_);
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    return *std::move(trainer);
  }

  // Trains to the end, `at_once` steps in a call; 0: by Step.
  std::string Train(const std::vector<std::string>& overrides, int at_once) {
    const auto trainer = Create(overrides);
    std::string text;
    const auto after_each = [&] {
      absl::StrAppend(&text, DescribeStep(*trainer));
      return absl::OkStatus();
    };
    while (!trainer->finished()) {
      const absl::Status status =
          at_once == 0 ? trainer->Step() : trainer->Steps(at_once, after_each);
      EXPECT_TRUE(status.ok()) << status;
      if (!status.ok()) break;
      if (at_once == 0) after_each().IgnoreError();
      EXPECT_FALSE(trainer->ahead());
    }
    return text + DescribeEnd(trainer.get());
  }

  void ExpectTheSame(const std::vector<std::string>& overrides,
                     const std::string& what) {
    const std::string expected = Train(overrides, 0);
    for (const int at_once : {1, 2, 4, 5, 16}) {
      EXPECT_EQ(Difference(Train(overrides, at_once), expected), "")
          << what << ", " << at_once << " at once";
    }
  }

  FailingBackend backend_{CpuBackendForTest()};
  Experiment experiment_;
};

std::vector<std::string> With(std::vector<std::string> list,
                              std::vector<std::string> more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

TEST_F(TrainerStepsTest, AreSingleSteps) {
  ExpectTheSame({}, "as it is");
  ExpectTheSame({"train.batch_size={values=[16, 40]}"}, "ragged");
  ExpectTheSame({"data.split={test=0.2}", "data.folds={count=4}"}, "folds");
  ExpectTheSame(
      {"train.epochs=14", "optimizer.lr.values=[0.1, 0.3]",
       "train.early_stopping={metric=\"validation_loss\", patience=1}"},
      "early stopping");
}

// Models 4 to 7 end in non-finite numbers, in their second step.
TEST_F(TrainerStepsTest, ModelsThatAreNotFinite) {
  for (const char* policy : {"freeze", "reset", "warn"}) {
    const std::string on_nan = absl::StrCat("train.on_nan=", policy);
    for (const char* more :
         {"train.epochs=3", "train.batch_size={values=[4, 40]}",
          "optimizer.schedule={kind=\"exponential_lr\", gamma=0.9, "
          "every=\"step\"}"}) {
      ExpectTheSame(With(ExplodingOverrides(), {on_nan, more}),
                    absl::StrCat(policy, ", ", more));
    }
    // Beta1 as well as lr is another in each step.
    ExpectTheSame(
        {on_nan, "optimizer={kind=\"adam\", lr=0.05}",
         "optimizer.schedule={kind=\"one_cycle_lr\", max_lr={values=[0.1, "
         "1e30]}, total_steps=60, every=\"step\"}"},
        absl::StrCat(policy, ", one cycle"));
  }
  // All of them: the run ends in the middle of a call.
  ExpectTheSame({"optimizer={kind=\"sgd\", lr=1e30}"}, "all freeze");
}

// A model whose rows are all ignored makes no update and no tick, and goes on.
TEST_F(TrainerStepsTest, ModelsWhoseRowsDoNotCount) {
  const std::vector<std::string> overrides = {
      "loss={kind=\"cross_entropy\", ignore_index=0}", "train.batch_size=2",
      "optimizer.schedule={kind=\"exponential_lr\", gamma=0.9, "
      "every=\"step\"}"};
  ExpectTheSame(overrides, "ignored rows");
  const auto trainer = Create(overrides);
  int without = 0;
  while (!trainer->finished()) {
    ASSERT_TRUE(trainer->Step().ok());
    without += trainer->last_step().by_model.outcomes[0] == Outcome::kEmpty;
  }
  EXPECT_GT(without, 3);  // it is what the test is about
}

// Models with more steps in an epoch than all that are left: nothing happens in
// the steps that are theirs alone, before and after their memory is given back.
TEST_F(TrainerStepsTest, StepsInWhichNoModelThatIsLeftHasRows) {
  const auto train = [this](bool remove, int at_once) {
    const auto trainer = Create({"train.batch_size={values=[16, 40]}"});
    for (int i = 0; i < trainer->num_models(); ++i) {
      if (experiment_.population.batch_sizes[i] != 16) continue;
      const absl::Status status =
          remove ? trainer->Remove(i, "test") : trainer->Freeze(i, "test");
      EXPECT_TRUE(status.ok()) << status;
    }
    std::string text;
    const auto after_each = [&] {
      absl::StrAppend(&text, DescribeStep(*trainer));
      return absl::OkStatus();
    };
    while (!trainer->finished()) {
      const absl::Status status = trainer->Steps(at_once, after_each);
      EXPECT_TRUE(status.ok()) << status;
      if (!status.ok()) break;
    }
    return text;
  };
  for (const bool remove : {false, true}) {
    const std::string expected = train(remove, 1);
    for (const int at_once : {2, 4, 16}) {
      EXPECT_EQ(Difference(train(remove, at_once), expected), "")
          << (remove ? "removed, " : "frozen, ") << at_once << " at once";
    }
  }
}

// An error of any step, also of one that a model makes up for, comes once, in
// its step; who goes on ends as if there had been none.
TEST_F(TrainerStepsTest, GoOnAfterAnErrorOfAnyStep) {
  const std::vector<std::string> overrides =
      With(ExplodingOverrides(),
           {"train.on_nan=warn",
            "optimizer.schedule={kind=\"exponential_lr\", gamma=0.9, "
            "every=\"step\"}"});
  const std::string expected = Train(overrides, 0);
  int errors = 1, passes = 0;
  for (; errors == 1; ++passes) {  // until there are no more steps
    const auto trainer = Create(overrides);
    std::string text;
    backend_.FailNext("TrainStep", passes);
    errors = 0;
    while (!trainer->finished()) {
      const absl::Status status = trainer->Steps(4, [&] {
        absl::StrAppend(&text, DescribeStep(*trainer));
        return absl::OkStatus();
      });
      if (status.ok()) continue;
      EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
      ++errors;
      ASSERT_EQ(errors, 1) << status;
    }
    EXPECT_EQ(Difference(text + DescribeEnd(trainer.get()), expected), "")
        << passes;
  }
  EXPECT_GT(passes, 18);  // 15, and those that models made up for
}

TEST_F(TrainerStepsTest, AreMadeInOneCallAndNotBeyondTheEpoch) {
  const auto trainer = Create({});
  int recorded = 0;
  const auto after_each = [&] {
    ++recorded;
    return absl::OkStatus();
  };
  ASSERT_TRUE(trainer->Steps(3, after_each).ok());
  EXPECT_EQ(recorded, 3);
  ASSERT_TRUE(trainer->Steps(9, after_each).ok());  // two are left of five
  EXPECT_EQ(recorded, 5);
  EXPECT_TRUE(trainer->last_step().epoch_finished);
  backend_.FailNext("TrainSteps", 0);
  EXPECT_EQ(trainer->Steps(3, after_each).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(recorded, 5);
  EXPECT_FALSE(trainer->ahead());
}

// "auto" goes on, a number is an error; with what was recorded before nothing
// has happened.
TEST_F(TrainerStepsTest, WithoutMemoryForSeveral) {
  const auto nothing = [] { return absl::OkStatus(); };
  const auto fail = [this] {
    backend_.FailNext("TrainSteps", 0, absl::StatusCode::kResourceExhausted);
  };
  const std::string expected = Train({}, 0);
  const auto trainer = Create({});
  std::vector<std::string> warnings;
  SetLogSink(LogSeverity::kWarning, [&](LogSeverity, std::string_view text) {
    warnings.emplace_back(text);
  });
  fail();
  std::string text;
  while (!trainer->finished()) {
    const absl::Status status = trainer->Steps(5, [&] {
      absl::StrAppend(&text, DescribeStep(*trainer));
      return absl::OkStatus();
    });
    ASSERT_TRUE(status.ok()) << status;
  }
  SetLogSink(LogSeverity::kWarning, nullptr);
  EXPECT_EQ(Difference(text + DescribeEnd(trainer.get()), expected), "");
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("no memory for 5 at once"));

  const auto asked = Create({"train.steps_at_once=3"});
  fail();
  const absl::Status status = asked->Steps(3, nothing);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("train.steps_at_once is 3, fewer need less"));
  EXPECT_EQ(asked->state().step, 0);
  EXPECT_FALSE(asked->ahead());
  EXPECT_TRUE(asked->Steps(3, nothing).ok());
}

// A model that drops out and goes on costs its steps once more: others of the
// epoch are made one by one.
TEST_F(TrainerStepsTest, AnEpochWithAModelThatFellBehind) {
  const auto trainer =
      Create(With(ExplodingOverrides(), {"train.on_nan=warn"}));
  const auto nothing = [] { return absl::OkStatus(); };
  ASSERT_TRUE(trainer->Steps(3, nothing).ok());
  EXPECT_EQ(trainer->state().step, 3);
  EXPECT_GT(trainer->state().models[5].skipped_updates, 0);
  ASSERT_TRUE(trainer->Steps(2, nothing).ok());
  EXPECT_EQ(trainer->state().step, 4);
  ASSERT_TRUE(trainer->Steps(2, nothing).ok());
  EXPECT_EQ(trainer->state().step, 5);
  ASSERT_TRUE(trainer->Steps(3, nothing).ok());
  EXPECT_EQ(trainer->state().step, 8);
}

// Between steps that are made and not recorded nothing else is done.
TEST_F(TrainerStepsTest, NothingIsDoneWithATrainerThatIsAhead) {
  const auto trainer = Create({});
  const auto fail = [] { return absl::DataLossError("the disk is full"); };
  EXPECT_EQ(trainer->Steps(4, fail), fail());
  EXPECT_TRUE(trainer->ahead());
  EXPECT_EQ(trainer->state().step, 1);
  const auto refused = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("ahead of"));
  };
  refused(trainer->Freeze(0, ""));
  refused(trainer->Reset(0, 1, ""));
  refused(trainer->Remove(0, ""));
  refused(trainer->Replace(0, 1, 1, {}, "").status());
  refused(WriteCheckpoint(absl::StrCat(TestFolder(), "/ahead"), trainer.get(),
                          TestRunInfo()));
  for (int step = 2; step <= 4; ++step) ASSERT_TRUE(trainer->Step().ok());
  EXPECT_FALSE(trainer->ahead());
  EXPECT_TRUE(trainer->Freeze(0, "").ok());
}

// A callback that says that it does not act between two steps, and does.
TEST_F(TrainerStepsTest, NothingIsDoneToAModelThatIsAhead) {
  class FreezeSecond : public ScriptedCallback {
   public:
    bool allows_steps_at_once() const override { return true; }
  };
  FreezeSecond script;
  script.AtStep(2, [](Trainer* trainer) { return trainer->Freeze(3, ""); });
  const auto nothing = [] { return absl::OkStatus(); };
  const auto trainer = Create({});
  trainer->AddCallback(&script);
  const absl::Status status = trainer->Steps(5, nothing);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("model 3 is 3 steps ahead"),
                    HasSubstr("may not act on it")));
  EXPECT_FALSE(trainer->state().models[3].frozen());
  const auto single = Create({});
  single->AddCallback(&script);
  for (int step = 0; step < 5; ++step) ASSERT_TRUE(single->Step().ok());
  EXPECT_TRUE(single->state().models[3].frozen());
}

// The end of a training is one, also where all models freeze in the middle of a
// call.
TEST_F(TrainerStepsTest, ACallbackMayWriteACheckpointAtTheEnd) {
  class SaveAtEnd : public Callback {
   public:
    absl::Status OnTrainEnd(Trainer* trainer) override {
      ++calls;
      return WriteCheckpoint(absl::StrCat(TestFolder(), "/end"), trainer,
                             TestRunInfo());
    }
    bool allows_steps_at_once() const override { return true; }
    int calls = 0;
  };
  const auto trainer = Create({"optimizer={kind=\"sgd\", lr=1e30}"});
  SaveAtEnd save;
  trainer->AddCallback(&save);
  const absl::Status status =
      trainer->Steps(5, [] { return absl::OkStatus(); });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(trainer->finished());
  EXPECT_LT(trainer->state().step, 5);
  EXPECT_EQ(save.calls, 1);
}

TEST_F(TrainerStepsTest, HowManyAtOnce) {
  const auto at_once = [this](const std::string& value, Callback* callback) {
    const auto trainer =
        Create(value.empty()
                   ? std::vector<std::string>()
                   : std::vector<std::string>{"train.steps_at_once=" + value});
    if (callback != nullptr) trainer->AddCallback(callback);
    return trainer->StepsAtOnce();
  };
  ScriptedCallback script;
  NaNCallback policy;
  EXPECT_EQ(*at_once("", nullptr), 5);  // those of an epoch
  EXPECT_EQ(*at_once("\"auto\"", nullptr), 5);
  EXPECT_EQ(*at_once("3", nullptr), 3);
  EXPECT_EQ(*at_once("1", nullptr), 1);
  EXPECT_EQ(*at_once("", &policy), 5);
  EXPECT_EQ(*at_once("", &script), 1);
  EXPECT_EQ(*at_once("1", &script), 1);
  const absl::Status status = at_once("3", &script).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("train.steps_at_once"), HasSubstr("callback"),
                    HasSubstr("is 3"), HasSubstr("expected 1 or \"auto\"")));

  const auto trainer = Create({});
  const auto nothing = [] { return absl::OkStatus(); };
  EXPECT_THAT(std::string(trainer->Steps(0, nothing).message()),
              HasSubstr("0 steps at once, expected at least 1"));
  trainer->AddCallback(&script);
  EXPECT_THAT(std::string(trainer->Steps(2, nothing).message()),
              HasSubstr("callback"));
  EXPECT_TRUE(trainer->Steps(1, nothing).ok());

  backend_.mutable_capabilities()->features.pop_back();
  EXPECT_EQ(*at_once("", nullptr), 1);
  EXPECT_EQ(*at_once("3", nullptr), 3);
}

}  // namespace
}  // namespace modelbatch
