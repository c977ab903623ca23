// Trained in waves, a run leaves the files that one batch would have left.
#include "modelbatch/train/run_waves.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/train/failing_backend.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_checkpoint.h"
#include "modelbatch/train/run_record.h"
#include "modelbatch/train/run_training.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/train/trained_run.h"
#include "modelbatch/train/verify.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Stops after some steps, over all waves; notes the waves.
class Observer : public TrainObserver {
 public:
  explicit Observer(int steps) : left_(steps) {}
  void OnWave(int begin, int end, int models) override {
    waves.push_back(absl::StrCat(begin, "-", end, "/", models));
  }
  void OnStep(const Trainer&) override {
    if (--left_ == 0) stop = true;
  }
  std::vector<std::string> waves;
  std::atomic<bool> stop{false};

 private:
  int left_;
};

class RunWavesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(TestFolder()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    auto backend = std::make_unique<FailingBackend>(CpuBackendForTest());
    limited_ = backend.get();
    backend_ = std::move(backend);
  }

  RunFolder NewFolder(const std::string& name, const Experiment& experiment) {
    ExperimentConfig config = experiment.config;
    config.train.output = (root_ / name).string();
    auto folder = RunFolder::Create(config);
    EXPECT_TRUE(folder.ok()) << folder.status();
    return *std::move(folder);
  }

  absl::StatusOr<RunResult> Run(const Experiment& experiment,
                                const RunFolder& folder, bool resume = false,
                                int stop_after = 0,
                                Callback* callback = nullptr) {
    Observer observer(stop_after);
    RunOptions options;
    options.info = TestRunInfo();
    options.resume = resume;
    options.stop = &observer.stop;
    options.callback = callback;
    auto result =
        RunTraining(experiment, backend_.get(), folder, options, &observer);
    waves_ = observer.waves;
    return result;
  }

  void ExpectSameFiles(const RunFolder& a, const RunFolder& b) {
    std::vector<std::string> names = {a.checkpoint(), a.results(), a.curves()};
    for (const std::string& name :
         {a.confusion(), a.folds(), a.path() + "/models/model_0.safetensors",
          a.path() + "/models/model_7.safetensors"}) {
      if (fs::exists(name)) names.push_back(name);
    }
    for (const std::string& name : names) {
      const std::string other = b.path() + name.substr(a.path().size());
      EXPECT_EQ(*ReadFile(name), *ReadFile(other)) << name;
    }
    EXPECT_FALSE(fs::exists(b.path() + "/waves"));
  }

  fs::path root_;
  std::unique_ptr<Backend> backend_;
  FailingBackend* limited_ = nullptr;
  std::vector<std::string> waves_;
};

std::vector<std::string> With(std::vector<std::string> overrides,
                              const std::string& one) {
  overrides.push_back(one);
  return overrides;
}

// What acts on single models: freezing, resets, early stops, schedules, folds,
// batch sizes of their own.
std::vector<std::vector<std::string>> Experiments() {
  return {
      {"train.log={confusion=true}"},
      ExplodingOverrides(),
      With(ExplodingOverrides(), "train.on_nan=\"reset\""),
      {"train.early_stopping={patience=1, min_delta=0.05}", "train.epochs=6"},
      {"optimizer.schedule={kind=\"cosine_annealing_lr\", every=\"step\"}"},
      {"optimizer.schedule={kind=\"reduce_lr_on_plateau\", patience=0}"},
      {"train.batch_size={values=[16, 40]}", "optimizer.lr=0.01"},
      {"data.split={test=0.2}", "data.folds={count=2}", "optimizer.lr=0.01"},
  };
}

TEST_F(RunWavesTest, LeaveTheFilesOfOneBatch) {
  int number = 0;
  for (const std::vector<std::string>& overrides : Experiments()) {
    SCOPED_TRACE(overrides[0]);
    const RunFolder whole =
        NewFolder(absl::StrCat(++number), TestExperiment(overrides));
    const auto all = Run(TestExperiment(overrides), whole);
    ASSERT_TRUE(all.ok()) << all.status();
    for (const int at_once : {1, 3, 8}) {
      const Experiment experiment = TestExperiment(
          With(overrides, absl::StrCat("train.models_at_once=", at_once)));
      const RunFolder folder =
          NewFolder(absl::StrCat(number, "-", at_once), experiment);
      const auto result = Run(experiment, folder);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_FALSE(result->interrupted);
      EXPECT_EQ(result->models_ended, 8);
      EXPECT_EQ(waves_.size(), (8u + at_once - 1) / at_once);
      ExpectSameFiles(whole, folder);
      if (fs::exists(whole.events())) {
        EXPECT_EQ(*ReadFile(whole.events()), *ReadFile(folder.events()));
      }
      EXPECT_EQ(result->state.step, all->state.step);
      EXPECT_EQ(Ranking(experiment, result->state),
                Ranking(experiment, all->state));
    }
  }
}

// Fifteen steps a wave. What is lost is what came after the last checkpoint, so
// that a kill is a stop without the last one's file.
TEST_F(RunWavesTest, ResumeInAnyWaveToTheSameBits) {
  for (const bool explode : {false, true}) {
    std::vector<std::string> overrides =
        explode ? ExplodingOverrides() : std::vector<std::string>();
    const RunFolder whole =
        NewFolder(absl::StrCat("whole", explode), TestExperiment(overrides));
    ASSERT_TRUE(Run(TestExperiment(overrides), whole).ok());
    const Experiment experiment =
        TestExperiment(With(overrides, "train.models_at_once=3"));
    for (const int stop : {1, 7, 15, 16, 22, 31, 38}) {
      SCOPED_TRACE(stop);
      const RunFolder folder =
          NewFolder(absl::StrCat(explode, "-", stop), experiment);
      const auto first = Run(experiment, folder, false, stop);
      ASSERT_TRUE(first.ok()) << first.status();
      if (!first->interrupted)
        continue;  // the waves of frozen models are short
      EXPECT_FALSE(folder.HasWholeCheckpoint());
      EXPECT_TRUE(folder.HasCheckpoint());
      const auto second = Run(experiment, folder, true);
      ASSERT_TRUE(second.ok()) << second.status();
      EXPECT_FALSE(second->interrupted);
      ExpectSameFiles(whole, folder);
    }
  }
}

TEST_F(RunWavesTest, ResumeWithOtherWavesAndMoreEpochs) {
  const RunFolder whole =
      NewFolder("whole", TestExperiment({"train.epochs=5"}));
  ASSERT_TRUE(Run(TestExperiment({"train.epochs=5"}), whole).ok());
  // Waves of 4, stopped in the second; 3 at once; all; other epochs between.
  const RunFolder folder =
      NewFolder("run", TestExperiment({"train.models_at_once=4"}));
  ASSERT_TRUE(
      Run(TestExperiment({"train.models_at_once=4"}), folder, false, 20).ok());
  ASSERT_TRUE(fs::exists(folder.Wave(4, 8).path));
  const std::vector<std::string> longer = {"train.epochs=5",
                                           "train.models_at_once=3"};
  ASSERT_TRUE(Run(TestExperiment(longer), folder, true, 5).ok());
  EXPECT_EQ(waves_, (std::vector<std::string>{"0-3/8"}));
  // The file of four was divided.
  EXPECT_TRUE(fs::exists(folder.Wave(0, 3).path));
  EXPECT_TRUE(fs::exists(folder.Wave(3, 4).path));
  EXPECT_FALSE(fs::exists(folder.Wave(0, 4).path));
  const auto result = Run(TestExperiment({"train.epochs=5"}), folder, true);
  ASSERT_TRUE(result.ok()) << result.status();
  ExpectSameFiles(whole, folder);
  // One that has ended in one batch, too.
  const RunFolder other = NewFolder("other", TestExperiment());
  ASSERT_TRUE(Run(TestExperiment(), other).ok());
  ASSERT_TRUE(Run(TestExperiment(longer), other, true).ok());
  EXPECT_EQ(waves_.size(), 3u);
  ExpectSameFiles(whole, other);
}

// Killed while a file was being divided, or between the last wave and the end.
TEST_F(RunWavesTest, SurviveAKillBetweenFiles) {
  const Experiment experiment = TestExperiment({"train.models_at_once=4"});
  const RunFolder whole = NewFolder("whole", TestExperiment());
  ASSERT_TRUE(Run(TestExperiment(), whole).ok());
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder, false, 20).ok());
  fs::copy_file(folder.Wave(0, 4).path, root_ / "kept");
  fs::copy_file(folder.Wave(0, 4).path, folder.Wave(0, 2).path);
  fs::copy_file(folder.Wave(4, 8).path, folder.path() + "/waves/x.tmp-1");
  ASSERT_EQ(folder.Waves()->size(), 2u);
  ASSERT_TRUE(Run(experiment, folder, true).ok());
  ExpectSameFiles(whole, folder);
  // The whole checkpoint was written, the waves not yet removed.
  ASSERT_TRUE(folder.MakeWaveFolder().ok());
  fs::copy_file(root_ / "kept", folder.Wave(0, 4).path);
  ASSERT_TRUE(Run(experiment, folder, true).ok());
  ExpectSameFiles(whole, folder);
}

TEST_F(RunWavesTest, AutoTakesWhatFits) {
  const RunFolder whole = NewFolder("whole", TestExperiment());
  ASSERT_TRUE(Run(TestExperiment(), whole).ok());
  const Experiment experiment =
      TestExperiment({"train.models_at_once=\"auto\""});
  const RunFolder fits = NewFolder("fits", experiment);
  ASSERT_TRUE(Run(experiment, fits).ok());
  EXPECT_EQ(waves_, (std::vector<std::string>{"0-8/8"}));
  ExpectSameFiles(whole, fits);
  limited_->LimitModels(3);
  const RunFolder folder = NewFolder("auto", experiment);
  const auto result = Run(experiment, folder);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(waves_,
            (std::vector<std::string>{"0-2/8", "2-4/8", "4-6/8", "6-8/8"}));
  ExpectSameFiles(whole, folder);
  limited_->LimitModels(0);
  const RunFolder none = NewFolder("none", experiment);
  const absl::Status status = Run(experiment, none).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("models 0 to 0"));
  EXPECT_FALSE(fs::exists(none.path()));
}

TEST_F(RunWavesTest, AutoHalvesForLackOfMemoryAlone) {
  const Experiment experiment =
      TestExperiment({"train.models_at_once=\"auto\""});
  const RunFolder folder = NewFolder("run", experiment);
  limited_->FailNext("TrainStep", 0);
  EXPECT_EQ(Run(experiment, folder).status().code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(waves_, (std::vector<std::string>{"0-8/8"}));
}

// The host's own memory may be what is exhausted, in the middle of a call.
TEST_F(RunWavesTest, AutoHalvesForLackOfTheHostsMemory) {
  const RunFolder whole = NewFolder("whole", TestExperiment());
  ASSERT_TRUE(Run(TestExperiment(), whole).ok());
  const Experiment experiment =
      TestExperiment({"train.models_at_once=\"auto\""});
  limited_->LimitModels(3, /*by_host=*/true);
  const RunFolder folder = NewFolder("auto", experiment);
  ASSERT_TRUE(Run(experiment, folder).ok());
  EXPECT_EQ(waves_,
            (std::vector<std::string>{"0-2/8", "2-4/8", "4-6/8", "6-8/8"}));
  ExpectSameFiles(whole, folder);
  // In the first step.
  limited_->LimitModels(8);
  limited_->ThrowNext("TrainStep", 0);
  const RunFolder step = NewFolder("step", experiment);
  ASSERT_TRUE(Run(experiment, step).ok());
  EXPECT_EQ(waves_, (std::vector<std::string>{"0-8/8", "0-4/8", "4-8/8"}));
  ExpectSameFiles(whole, step);
}

// A start that the host's memory refuses leaves no folder, whatever it asked
// for; a later step leaves one to go on from.
TEST_F(RunWavesTest, WithoutTheHostsMemoryNothingIsLeft) {
  for (const std::string at_once : {"\"all\"", "4"}) {
    SCOPED_TRACE(at_once);
    const Experiment experiment = TestExperiment(
        {"train.models_at_once=" + at_once, "train.checkpoint_every=1"});
    for (const char* call : {"Compile", "TrainStep"}) {
      SCOPED_TRACE(call);
      limited_->ThrowNext(call, 0);
      const RunFolder folder = NewFolder("refused", experiment);
      const absl::Status status = Run(experiment, folder).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      EXPECT_THAT(std::string(status.message()),
                  AllOf(HasSubstr("out of memory on the host"),
                        HasSubstr("train.models_at_once")));
      EXPECT_FALSE(fs::exists(folder.path()));
    }
    limited_->ThrowNext("TrainStep", 7);
    const RunFolder folder =
        NewFolder(absl::StrCat("later-", at_once.size()), experiment);
    const absl::Status status = Run(experiment, folder).status();
    EXPECT_EQ(status.message(), "out of memory on the host");
    EXPECT_TRUE(folder.HasCheckpoint());
    EXPECT_TRUE(Run(experiment, folder, /*resume=*/true).ok());
  }
}

TEST_F(RunWavesTest, WithoutItTheErrorNamesIt) {
  limited_->LimitModels(3);
  const RunFolder folder = NewFolder("run", TestExperiment());
  absl::Status status = Run(TestExperiment(), folder).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("8 models, 3 would fit"),
                    HasSubstr("train.models_at_once = \"auto\"")));
  EXPECT_FALSE(fs::exists(folder.path()));
  const Experiment four = TestExperiment({"train.models_at_once=4"});
  status = Run(four, NewFolder("four", four)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("train.models_at_once: models 0 to 3 are too many"));
}

// Also where it is the first step that finds no memory: nothing of the run is
// left. A later one has a folder to go on from, and its reason is another.
TEST_F(RunWavesTest, TheFirstStepsErrorNamesItToo) {
  const Experiment experiment = TestExperiment(
      {"train.log={writers=[\"csv\", \"jsonl\", \"tensorboard\"]}"});
  const auto run = [&](const RunFolder& folder, int passes) {
    limited_->FailNext("TrainStep", passes,
                       absl::StatusCode::kResourceExhausted);
    const absl::Status status = Run(experiment, folder).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    return std::string(status.message());
  };
  const RunFolder first = NewFolder("first", experiment);
  EXPECT_THAT(run(first, 0), HasSubstr("train.models_at_once = \"auto\""));
  EXPECT_FALSE(fs::exists(first.path()));
  const RunFolder later = NewFolder("later", experiment);
  EXPECT_EQ(run(later, 2), "TrainStep fails");
  EXPECT_TRUE(fs::exists(later.config()));
}

TEST_F(RunWavesTest, ACallbackOfTheProgramIsRefused) {
  const Experiment experiment = TestExperiment({"train.models_at_once=3"});
  const RunFolder folder = NewFolder("run", experiment);
  ScriptedCallback script = EventfulScript();
  const absl::Status status =
      Run(experiment, folder, false, 0, &script).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("models_at_once"));
  EXPECT_FALSE(fs::exists(folder.path()));
  // Begun in waves: the config has nothing to do with it any more.
  const RunFolder begun = NewFolder("begun", experiment);
  ASSERT_TRUE(Run(experiment, begun, false, 8).ok());
  const absl::Status again =
      Run(TestExperiment(), begun, true, 0, &script).status();
  EXPECT_EQ(again.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(again.message()),
              AllOf(HasSubstr(begun.path() + " was begun in waves"),
                    testing::Not(HasSubstr("must be \"all\""))));
  EXPECT_TRUE(begun.HasCheckpoint());
  // Nor does a run whose models were replaced go on in waves.
  const RunFolder other = NewFolder("other", TestExperiment());
  ASSERT_TRUE(Run(TestExperiment(), other, false, 8, &script).ok());
  EXPECT_EQ(Run(experiment, other, true).status().code(),
            absl::StatusCode::kUnimplemented);
}

// While some models wait: results, predictions and verify of those that do not.
TEST_F(RunWavesTest, AnInterruptedRunIsLookedAt) {
  const Experiment experiment = TestExperiment({"train.models_at_once=3"});
  const RunFolder folder = NewFolder("run", experiment);
  const auto result = Run(experiment, folder, false, 22);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->interrupted);
  EXPECT_EQ(result->models_ended, 3);
  EXPECT_THAT(*ReadFile(folder.summary()), HasSubstr("\"finished\": false"));
  const auto run = LoadTrainedRun(folder, experiment.config);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->usable.size(), 6u);  // the second wave's as well
  const auto record = ReadRunRecord(folder);
  ASSERT_TRUE(record.ok()) << record.status();
  fs::remove(folder.results());
  const auto from_waves = ReadRunRecord(folder);
  ASSERT_TRUE(from_waves.ok()) << from_waves.status();
  EXPECT_TRUE(from_waves->from_checkpoint);
  for (const int id : {0, 2, 4}) {
    const auto own = ReadCheckpointOfModel(folder, experiment, id);
    ASSERT_TRUE(own.ok()) << own.status();
    const auto report =
        VerifyModel(own->experiment, own->checkpoint, id, backend_.get());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->passed) << report->text;
  }
  const absl::Status waits =
      ReadCheckpointOfModel(folder, experiment, 7).status();
  EXPECT_EQ(waits.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(waits.message()), HasSubstr("model 7 has not begun"));
}

TEST_F(RunWavesTest, FilesOfAnotherRunAreRefused) {
  const Experiment experiment = TestExperiment({"train.models_at_once=3"});
  const Experiment other =
      TestExperiment({"train.models_at_once=3", "seed=99"});
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder, false, 20).ok());
  const RunFolder strange = NewFolder("strange", other);
  ASSERT_TRUE(Run(other, strange, false, 20).ok());
  fs::copy_file(strange.Wave(0, 3).path, folder.Wave(0, 3).path,
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(Run(experiment, folder, true).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReadRunCheckpoint(folder, experiment.config).status().code(),
            absl::StatusCode::kDataLoss);
  ASSERT_TRUE(WriteFileAtomically(folder.path() + "/waves/notes", "x").ok());
  EXPECT_THAT(std::string(folder.Waves().status().message()),
              HasSubstr("expected models_<first>-<last>.safetensors"));
}

}  // namespace
}  // namespace modelbatch
