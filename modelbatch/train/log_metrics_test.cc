// What a run's log has of each model and step. That it goes on after a resume
// as if nothing had happened is tested in run_training_test.
#include "modelbatch/train/log_metrics.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// step, id -> loss
using Losses = std::map<std::tuple<int64_t, int64_t>, double>;

// The losses that the batch reports, before any callback of the program's.
class RecordLosses : public Callback {
 public:
  absl::Status OnStep(Trainer* trainer) override {
    const StepResult& step = trainer->batch().last_step();
    for (int i = 0; i < trainer->num_models(); ++i) {
      if (step.outcomes[i] == Outcome::kInactive ||
          step.outcomes[i] == Outcome::kEmpty) {
        continue;
      }
      losses[{trainer->state().step,
              trainer->experiment().population.models[i].id}] = step.losses[i];
    }
    return absl::OkStatus();
  }

  Losses losses;
};

class LogMetricsTest : public ::testing::Test {
 protected:
  // Trains to the end; `script` acts as a program would.
  void Train(const std::vector<std::string>& overrides,
             Callback* script = nullptr) {
    experiment_ = TestExperiment(overrides);
    const auto* const info =
        ::testing::UnitTest::GetInstance()->current_test_info();
    ExperimentConfig config = experiment_.config;
    config.train.output = TestFolder() + "/" + info->name();
    fs::remove_all(config.train.output);
    auto folder = RunFolder::Create(config);
    ASSERT_TRUE(folder.ok()) << folder.status();
    path_ = folder->path();
    backend_ = CpuBackendForTest();
    auto trainer = Trainer::Create(&experiment_, backend_.get());
    ASSERT_TRUE(trainer.ok()) << trainer.status();
    auto log = LogMetrics::Open(experiment_, *folder, std::nullopt);
    ASSERT_TRUE(log.ok()) << log.status();
    (*trainer)->AddCallback(&record_);
    (*trainer)->AddCallback(log->get());
    if (script != nullptr) (*trainer)->AddCallback(script);
    while (!(*trainer)->finished()) {
      const absl::Status status = (*trainer)->Step();
      ASSERT_TRUE(status.ok()) << status;
    }
    trainer_ = *std::move(trainer);
    ASSERT_TRUE((*log)->Flush().ok());
    csv_ = *ReadFile(folder->metrics_csv());
  }

  // The lines that have a `loss`.
  Losses LoggedLosses() const {
    Losses losses;
    std::istringstream lines(csv_);
    std::string line;
    std::getline(lines, line);
    EXPECT_EQ(line.substr(0, 21), "step,epoch,model,loss");
    while (std::getline(lines, line)) {
      std::istringstream fields(line);
      std::string step, epoch, model, loss;
      std::getline(fields, step, ',');
      std::getline(fields, epoch, ',');
      std::getline(fields, model, ',');
      std::getline(fields, loss, ',');
      if (!loss.empty()) {
        losses[{std::stoll(step), std::stoll(model)}] = std::stod(loss);
      }
    }
    return losses;
  }

  Experiment experiment_;
  std::string path_, csv_;
  RecordLosses record_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Trainer> trainer_;
};

TEST_F(LogMetricsTest, LogsEveryEpoch) {
  Train({"train.log={writers=[\"csv\"]}"});
  EXPECT_THAT(csv_, HasSubstr("step,epoch,model,train_loss,validation_loss,"
                              "validation_accuracy\n5,1,0,"));
  // What the curves have, with the steps before it.
  for (int epoch = 0; epoch < 3; ++epoch) {
    const EpochCurve& curve = trainer_->state().curves[epoch];
    for (int i = 0; i < 8; ++i) {
      std::ostringstream line;
      line.precision(17);
      line << (epoch + 1) * 5 << "," << epoch + 1 << "," << i << ",";
      ASSERT_THAT(csv_, HasSubstr(line.str()));
      const std::string rest =
          csv_.substr(csv_.find(line.str()) + line.str().size());
      std::istringstream fields(rest);
      double train, validation, accuracy;
      char comma;
      fields >> train >> comma >> validation >> comma >> accuracy;
      EXPECT_EQ(train, curve.train_loss[i]);
      EXPECT_EQ(validation, curve.validation[i].loss);
      EXPECT_EQ(accuracy,
                static_cast<double>(curve.validation[i].correct) / 24);
    }
  }
  EXPECT_EQ(std::count(csv_.begin(), csv_.end(), '\n'), 1 + 3 * 8);
}

// Batches of 16 and 24 rows: models with larger ones wait for the others, and
// are not in the log then. A model that explodes is there with its NaN once,
// then no more.
TEST_F(LogMetricsTest, LogsLossesOfSteps) {
  for (const int64_t every : {1, 2}) {
    record_.losses.clear();
    Train({"train.batch_size={values=[16, 24]}",
           "train.log={writers=[\"csv\"], every=" + std::to_string(every) + "}",
           ExplodingOverrides()[0]});
    Losses expected;
    int not_finite = 0;
    for (const auto& [key, loss] : record_.losses) {
      if (std::get<0>(key) % every != 0) continue;
      expected[key] = loss;
      not_finite += !std::isfinite(loss);
    }
    const Losses logged = LoggedLosses();
    ASSERT_EQ(logged.size(), expected.size());
    for (const auto& [key, loss] : expected) {
      ASSERT_EQ(logged.count(key), 1u);
      if (std::isnan(loss)) {
        EXPECT_TRUE(std::isnan(logged.at(key)));
      } else {
        EXPECT_EQ(logged.at(key), loss);
      }
    }
    EXPECT_TRUE(every > 1 || not_finite > 0);
    // 4 of 5 steps with 24 rows of 72 have none.
    EXPECT_LT(static_cast<int64_t>(expected.size()), 16 * 15 / every);
  }
}

// Models that a program removes, replaces and freezes: the log has each under
// the id it had when it was measured.
TEST_F(LogMetricsTest, ModelsThatComeAndGo) {
  ScriptedCallback script = EventfulScript();
  Train({"train.log={writers=[\"csv\", \"tensorboard\"], every=1}"}, &script);
  const Losses logged = LoggedLosses();
  EXPECT_EQ(logged, record_.losses);
  // A copy of model 6 takes its place after epoch 2: the epoch is model 6's.
  EXPECT_THAT(csv_, HasSubstr("\n10,2,6,,"));
  EXPECT_EQ(csv_.find("\n10,2,10,"), std::string::npos);
  EXPECT_THAT(csv_, HasSubstr("\n15,3,10,,"));
  // Model 1 is removed within epoch 1.
  EXPECT_EQ(csv_.find("\n5,1,1,"), std::string::npos);
  for (const auto& [key, loss] : record_.losses) {
    EXPECT_TRUE(fs::exists(path_ + "/tensorboard/model_" +
                           std::to_string(std::get<1>(key))));
  }
}

// Steps in which nobody has rows: the models with the small batches, for which
// the epoch is as long as it is, are frozen.
TEST_F(LogMetricsTest, EmptyStepsAreNotLogged) {
  ScriptedCallback script;
  script.AtEpoch(1, [](Trainer* trainer) {
    for (int i = 0; i < trainer->num_models(); ++i) {
      if (trainer->experiment().population.batch_sizes[i] > 16) continue;
      const absl::Status status = trainer->Freeze(i, "enough");
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  });
  Train({"train.batch_size={values=[16, 24]}",
         "train.log={writers=[\"csv\"], every=1}"},
        &script);
  EXPECT_THAT(csv_, HasSubstr("\n8,2,1,"));
  EXPECT_EQ(csv_.find("\n9,2,"), std::string::npos);
  EXPECT_THAT(csv_, HasSubstr("\n10,2,1,,"));
  EXPECT_EQ(LoggedLosses().count({10, 1}), 0u);
}

// A model that goes on without a number is in the log with NaN; only those that
// take no part are not.
TEST_F(LogMetricsTest, NaNIsLogged) {
  Train({"data.split={train=0.8, validation=0, test=0.2}", "train.select=last",
         "train.on_nan=warn", "train.log={writers=[\"csv\"]}",
         ExplodingOverrides()[0]});
  EXPECT_THAT(csv_, HasSubstr("\n18,3,7,nan\n"));
}

// No accuracy without classes, nothing of validation rows without any.
TEST_F(LogMetricsTest, ColumnsAreWhatIsMeasured) {
  Train({"data.task=regression", "loss=mse", "train.select=validation_loss",
         "model.layers[3].out_features=1", "train.log={writers=[\"csv\"]}"});
  EXPECT_THAT(csv_, HasSubstr("step,epoch,model,train_loss,validation_loss\n"));
  Train({"data.split={train=0.8, validation=0, test=0.2}", "train.select=last",
         "train.log={writers=[\"csv\"]}"});
  EXPECT_THAT(csv_, HasSubstr("step,epoch,model,train_loss\n"));
}

// One that was stopped after the evaluation is there with it, a frozen one is
// not.
TEST_F(LogMetricsTest, StoppedAndFrozenModels) {
  Train({"train.log={writers=[\"csv\"]}", "train.epochs=8",
         "train.early_stopping={patience=1, min_delta=0.2}",
         ExplodingOverrides()[0]});
  for (int i = 0; i < 8; ++i) {
    const ModelRecord& record = trainer_->state().models[i];
    ASSERT_TRUE(record.frozen());
    for (int64_t epoch = 1; epoch <= trainer_->state().epoch; ++epoch) {
      const std::string line = "\n" + std::to_string(epoch * 5) + "," +
                               std::to_string(epoch) + "," + std::to_string(i) +
                               ",";
      const bool frozen_before = record.frozen_by == EventKind::kEarlyStop
                                     ? record.frozen_step < epoch * 5
                                     : record.frozen_step <= epoch * 5;
      EXPECT_EQ(csv_.find(line) == std::string::npos, frozen_before) << line;
    }
  }
}

}  // namespace
}  // namespace modelbatch
