#include "modelbatch/train/run_training.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/io/sealed_safetensors.h"
#include "modelbatch/optim/lr_lambda.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/failing_backend.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Asks to stop after some steps, as Ctrl-C would.
class StopAfter : public TrainObserver {
 public:
  explicit StopAfter(int steps) : left_(steps) {}
  void OnStep(const Trainer&) override {
    if (--left_ == 0) stop_ = true;
  }
  const std::atomic<bool>* flag() const { return &stop_; }

 private:
  int left_;
  std::atomic<bool> stop_{false};
};

class RunTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(TestFolder()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    backend_ = CpuBackendForTest();
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
                                RunInfo info = TestRunInfo(),
                                bool force = false,
                                Callback* callback = nullptr) {
    StopAfter observer(stop_after);
    RunOptions options;
    options.info = std::move(info);
    options.resume = resume;
    options.force = force;
    options.stop = observer.flag();
    options.callback = callback;
    return RunTraining(experiment, backend_.get(), folder, options, &observer);
  }

  fs::path root_;
  std::unique_ptr<Backend> backend_;
};

// With every log there is.
const char kLog[] =
    "train.log={writers=[\"csv\", \"jsonl\", \"tensorboard\"], every=2, "
    "confusion=true}";

// Of a file of TensorBoard the size: only its times differ. What is in it is
// read in tests/cli.
std::map<std::string, uintmax_t> EventFiles(const RunFolder& folder) {
  std::map<std::string, uintmax_t> sizes;
  for (const auto& entry :
       fs::recursive_directory_iterator(folder.tensorboard())) {
    if (entry.is_directory()) continue;
    sizes[fs::relative(entry.path(), folder.path()).string()] =
        entry.file_size();
  }
  return sizes;
}

void ExpectSameLogs(const RunFolder& a, const RunFolder& b) {
  ASSERT_EQ(fs::exists(a.metrics_csv()), fs::exists(b.metrics_csv()));
  if (!fs::exists(a.metrics_csv())) return;
  EXPECT_EQ(*ReadFile(a.metrics_csv()), *ReadFile(b.metrics_csv()));
  EXPECT_EQ(*ReadFile(a.metrics_jsonl()), *ReadFile(b.metrics_jsonl()));
  EXPECT_EQ(*ReadFile(a.confusion()), *ReadFile(b.confusion()));
  EXPECT_EQ(EventFiles(a), EventFiles(b));
}

void ExpectSameFiles(const RunFolder& a, const RunFolder& b) {
  ExpectSameLogs(a, b);
  EXPECT_EQ(*ReadFile(a.checkpoint()), *ReadFile(b.checkpoint()));
  EXPECT_EQ(*ReadFile(a.results()), *ReadFile(b.results()));
  EXPECT_EQ(*ReadFile(a.curves()), *ReadFile(b.curves()));
  for (int i = 0; i < 12; ++i) {
    const std::string name =
        "/models/model_" + std::to_string(i) + ".safetensors";
    if (!fs::exists(a.path() + name)) {
      EXPECT_FALSE(fs::exists(b.path() + name));
      continue;
    }
    EXPECT_EQ(*ReadFile(a.path() + name), *ReadFile(b.path() + name));
  }
}

// Stopped at any step and resumed, a run ends with the same files to the byte:
// weights, moments, masks, order, curves, best epochs, frozen models.
TEST_F(RunTrainingTest, ResumesToTheSameBits) {
  for (const bool explode : {false, true}) {
    std::vector<std::string> overrides = {kLog};
    if (explode) overrides.push_back(ExplodingOverrides()[0]);
    const Experiment experiment = TestExperiment(overrides);
    const std::string kind = explode ? "explode" : "calm";
    const RunFolder whole = NewFolder(kind, experiment);
    const auto result = Run(experiment, whole);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->interrupted);
    for (int stop : {1, 2, 4, 5, 6, 10, 14}) {
      const RunFolder folder =
          NewFolder(kind + std::to_string(stop), experiment);
      const auto first = Run(experiment, folder, false, stop);
      ASSERT_TRUE(first.ok()) << first.status();
      EXPECT_TRUE(first->interrupted);
      EXPECT_EQ(first->state.step, stop);
      const auto second = Run(experiment, folder, true);
      ASSERT_TRUE(second.ok()) << second.status();
      EXPECT_FALSE(second->interrupted);
      ExpectSameFiles(whole, folder);
    }
  }
}

// Several steps at once or one by one, before a stop or after: every file is
// the same.
TEST_F(RunTrainingTest, StepsAtOnceChangeNoFile) {
  for (const char* on_nan : {"freeze", "reset", "warn"}) {
    const std::vector<std::string> overrides = {
        kLog, ExplodingOverrides()[0], std::string("train.on_nan=") + on_nan,
        "train.batch_size=10",  // 8 steps an epoch
        "optimizer.schedule={kind=\"exponential_lr\", gamma=0.9, "
        "every=\"step\"}"};
    const auto with = [&](const char* at_once) {
      std::vector<std::string> all = overrides;
      all.push_back(std::string("train.steps_at_once=") + at_once);
      return TestExperiment(all);
    };
    const Experiment one = with("1"), seven = with("7");
    const RunFolder expected = NewFolder(std::string(on_nan) + "_1", one);
    ASSERT_TRUE(Run(one, expected).ok());
    const RunFolder whole = NewFolder(std::string(on_nan) + "_7", seven);
    const auto result = Run(seven, whole);
    ASSERT_TRUE(result.ok()) << result.status();
    ExpectSameFiles(whole, expected);
    EXPECT_EQ(*ReadFile(whole.events()), *ReadFile(expected.events()));
    // A stop waits for the steps that are made at once.
    for (const auto& [stop, at] : {std::pair(1, 7), {7, 7}, {8, 8}, {10, 15}}) {
      const RunFolder folder =
          NewFolder(std::string(on_nan) + std::to_string(stop), seven);
      const auto first = Run(seven, folder, false, stop);
      ASSERT_TRUE(first.ok()) << first.status();
      EXPECT_TRUE(first->interrupted);
      EXPECT_EQ(first->state.step, at);
      const auto rest = Run(stop == 1 ? one : seven, folder, true);
      ASSERT_TRUE(rest.ok()) << rest.status();
      ExpectSameFiles(folder, expected);
    }
  }
}

TEST_F(RunTrainingTest, StepsAtOnceWithACallbackAreRefused) {
  const Experiment experiment = TestExperiment({"train.steps_at_once=2"});
  const RunFolder folder = NewFolder("callback", experiment);
  ScriptedCallback script;
  const auto result =
      Run(experiment, folder, false, 0, TestRunInfo(), false, &script);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()),
              AllOf(HasSubstr("train.steps_at_once"), HasSubstr("callback")));
  // The folder is free for another attempt, and a run that is there as it was.
  EXPECT_FALSE(fs::exists(folder.path()));
  const RunFolder begun = NewFolder("begun", experiment);
  ASSERT_TRUE(Run(experiment, begun, false, 3).ok());
  const std::string events = *ReadFile(begun.events());
  EXPECT_EQ(Run(experiment, begun, true, 0, TestRunInfo(), false, &script)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*ReadFile(begun.events()), events);
}

// Tuned or not, before a stop or after, all files are the same but those that
// say so. What was chosen is in the summary.
TEST_F(RunTrainingTest, TuningChangesNoFile) {
  const Experiment plain = TestExperiment();
  const std::string cache = (root_ / "tuning.txt").string();
  fs::create_directories(root_);
  const Experiment tuned = TestExperiment(
      {"backend={compile={time_ms=200, cache=\"" + cache + "\"}}"});
  const RunFolder whole = NewFolder("plain", plain);
  ASSERT_TRUE(Run(plain, whole).ok());
  EXPECT_THAT(*ReadFile(whole.summary()), Not(HasSubstr("tuned, forward")));
  const RunFolder compiled = NewFolder("tuned", tuned);
  const auto result = Run(tuned, compiled);
  ASSERT_TRUE(result.ok()) << result.status();
  ExpectSameFiles(whole, compiled);
  EXPECT_THAT(*ReadFile(compiled.summary()), HasSubstr("tuned, forward"));
  EXPECT_THAT(*ReadFile(cache), HasSubstr("modelbatch cpu tuning 1"));
  // Resumed with the other of the two.
  const RunFolder first = NewFolder("first", tuned);
  ASSERT_TRUE(Run(tuned, first, false, 4).ok());
  ASSERT_TRUE(Run(plain, first, true).ok());
  ExpectSameFiles(whole, first);
  const RunFolder second = NewFolder("second", plain);
  ASSERT_TRUE(Run(plain, second, false, 7).ok());
  ASSERT_TRUE(Run(tuned, second, true).ok());
  ExpectSameFiles(whole, second);
}

TEST_F(RunTrainingTest, ABrokenTuningFileIsNamed) {
  fs::create_directories(root_);
  const std::string cache = (root_ / "tuning.txt").string();
  ASSERT_TRUE(WriteFileAtomically(cache, "epoch,model\n").ok());
  const Experiment tuned =
      TestExperiment({"backend={compile={cache=\"" + cache + "\"}}"});
  const RunFolder folder = NewFolder("run", tuned);
  const absl::Status status = Run(tuned, folder).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("backend.compile"), HasSubstr(cache),
                    HasSubstr("line 1")));
}

// Two trainings in one folder would write over each other.
TEST_F(RunTrainingTest, OneTrainingAtATime) {
  const Experiment experiment = TestExperiment();
  const RunFolder folder = NewFolder("locked", experiment);
  const auto other = RunFolder::Open(folder.path());
  ASSERT_TRUE(other.ok()) << other.status();
  const auto refused = Run(experiment, *other, /*resume=*/true);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("locked: another process trains in this folder: "));
  // The holder trains, also again, and is not disturbed.
  ASSERT_TRUE(Run(experiment, folder, false, 3).ok());
  EXPECT_FALSE(Run(experiment, *other, true).ok());
  ASSERT_TRUE(Run(experiment, folder, true).ok());
  const RunFolder whole = NewFolder("free", experiment);
  ASSERT_TRUE(Run(experiment, whole).ok());
  ExpectSameFiles(whole, folder);
}

TEST_F(RunTrainingTest, TheLockEndsWithTheRun) {
  const Experiment experiment = TestExperiment();
  std::string path;
  {
    const RunFolder folder = NewFolder("ended", experiment);
    path = folder.path();
    ASSERT_TRUE(Run(experiment, folder, false, 3).ok());
  }
  const auto again = RunFolder::Open(path);
  ASSERT_TRUE(again.ok()) << again.status();
  const auto result = Run(experiment, *again, true);
  EXPECT_TRUE(result.ok()) << result.status();
}

// A log that cannot be begun takes those before it along, and nothing that was
// there.
TEST_F(RunTrainingTest, ARefusedLogLeavesNoFiles) {
  const Experiment experiment = TestExperiment(
      {"train.log={writers=[\"csv\", \"jsonl\", \"tensorboard\"]}"});
  fs::create_directories(root_ / "mine");
  std::ofstream(root_ / "mine" / "tensorboard") << "mine";
  const RunFolder folder = NewFolder("mine", experiment);
  EXPECT_FALSE(Run(experiment, folder).ok());
  EXPECT_EQ(*ReadFile(folder.tensorboard()), "mine");
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "mine"),
                          fs::directory_iterator()),
            1);
}

// A backend that refuses the models, or has no memory for them.
TEST_F(RunTrainingTest, ARefusedRunLeavesNoFolder) {
  const Experiment experiment = TestExperiment();
  auto failing = std::make_unique<FailingBackend>(CpuBackendForTest());
  FailingBackend* const fail = failing.get();
  backend_ = std::move(failing);
  // One that Create makes, and one that was there, with a file in it.
  fs::create_directories(root_ / "mine");
  std::ofstream(root_ / "mine" / "notes.txt") << "mine";
  for (const char* name : {"new", "mine"}) {
    const RunFolder folder = NewFolder(name, experiment);
    ASSERT_TRUE(folder.AddEvent(0, 1, "backend chosen").ok());
    fail->FailNext("Compile", 0);
    EXPECT_FALSE(Run(experiment, folder).ok());
    EXPECT_EQ(fs::exists(root_ / name), std::string(name) == "mine");
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ / "mine"),
                          fs::directory_iterator()),
            1);
  // The same output again.
  const RunFolder folder = NewFolder("new", experiment);
  ASSERT_TRUE(Run(experiment, folder, false, 3).ok());
  // What has a checkpoint stays, whatever happens to it.
  fail->FailNext("Compile", 0);
  EXPECT_FALSE(Run(experiment, folder, true).ok());
  EXPECT_TRUE(folder.HasCheckpoint());
  EXPECT_TRUE(Run(experiment, folder, true).ok());
}

// With every optimizer, where some of the models need a state that others do
// not.
TEST_F(RunTrainingTest, ResumesToTheSameBitsWithEveryOptimizer) {
  const std::map<std::string, std::string> hyper_parameters = {
      {"sgd", "lr=0.1, momentum={values=[0, 0.9]}"},
      {"adam", "lr=0.01, amsgrad={values=[false, true]}"},
      {"adamw", "lr=0.01, amsgrad={values=[false, true]}"},
      {"nadam",
       "momentum_decay={values=[0, 0.1]}, decoupled_weight_decay=true"},
      {"radam", "lr=0.01, maximize={values=[false, true]}"},
      {"rmsprop", "momentum=0.5, centered={values=[false, true]}"},
      {"adagrad", "initial_accumulator_value={values=[0, 0.1]}, lr_decay=0.1"},
      {"adadelta", "rho={values=[0.5, 0.9]}"},
      {"lion", "lr=1e-3, weight_decay={values=[0, 0.1]}"},
  };
  for (const std::string& kind : OptimizerKinds()) {
    SCOPED_TRACE(kind);
    ASSERT_EQ(hyper_parameters.count(kind), 1u) << "without a case";
    const Experiment experiment =
        TestExperiment({"optimizer={kind=\"" + kind + "\", " +
                        hyper_parameters.at(kind) + "}"});
    const RunFolder whole = NewFolder(kind, experiment);
    ASSERT_TRUE(Run(experiment, whole).ok());
    for (const int stop : {1, 7}) {
      const RunFolder folder =
          NewFolder(kind + std::to_string(stop), experiment);
      ASSERT_TRUE(Run(experiment, folder, false, stop).ok());
      const auto second = Run(experiment, folder, true);
      ASSERT_TRUE(second.ok()) << second.status();
      ExpectSameFiles(whole, folder);
    }
  }
}

// The lines of events.jsonl that are about models.
std::string ModelEvents(const RunFolder& folder) {
  std::istringstream lines(*ReadFile(folder.events()));
  std::string line;
  std::string kept;
  while (std::getline(lines, line)) {
    if (line.find("\"model\":") != std::string::npos) kept += line + "\n";
  }
  return kept;
}

// Around a removal, a reset, a copy, a freeze ... and a compaction as well,
// interrupted or killed.
TEST_F(RunTrainingTest, ResumesToTheSameBitsAroundEvents) {
  const Experiment experiment = TestExperiment({kLog});
  const RunFolder whole = NewFolder("whole", experiment);
  ScriptedCallback script = EventfulScript();
  const auto run = [&](const RunFolder& folder, bool resume, int stop) {
    const auto result =
        Run(experiment, folder, resume, stop, TestRunInfo(), false, &script);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() && result->interrupted;
  };
  EXPECT_FALSE(run(whole, false, 0));
  const std::string events = ModelEvents(whole);
  EXPECT_EQ(std::count(events.begin(), events.end(), '\n'), 12);
  EXPECT_THAT(events, HasSubstr("{\"step\":5,\"epoch\":1,\"epoch_end\":true,"
                                "\"model\":1,\"event\":\"replace\","
                                "\"reason\":\"exploit\",\"by\":\"program\","
                                "\"source\":8,\"copy\":9,"));
  for (int stop : {1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 14}) {
    const RunFolder folder = NewFolder(std::to_string(stop), experiment);
    EXPECT_TRUE(run(folder, false, stop));
    const std::string kept = *ReadFile(folder.checkpoint());
    EXPECT_FALSE(run(folder, true, 0));
    ExpectSameFiles(whole, folder);
    EXPECT_EQ(ModelEvents(folder), events);
    // As if killed later, with an older checkpoint.
    ASSERT_TRUE(WriteFileAtomically(folder.checkpoint(), kept).ok());
    EXPECT_FALSE(run(folder, true, 0));
    ExpectSameFiles(whole, folder);
    EXPECT_EQ(ModelEvents(folder), events);
  }
}

// The config's own policies count on where they stopped.
TEST_F(RunTrainingTest, ResumesToTheSameBitsAroundResetsAndEarlyStops) {
  for (const char* on_nan : {"reset", "warn"}) {
    std::vector<std::string> overrides = ExplodingOverrides();
    overrides.insert(overrides.end(),
                     {std::string("train.on_nan=") + on_nan, "train.epochs=8",
                      "train.early_stopping={patience=2, min_delta=0.1}"});
    const Experiment experiment = TestExperiment(overrides);
    const RunFolder whole = NewFolder(on_nan, experiment);
    const auto result = Run(experiment, whole);
    ASSERT_TRUE(result.ok()) << result.status();
    const std::string events = ModelEvents(whole);
    EXPECT_THAT(events, HasSubstr("\"event\":\"early_stop\""));
    for (int stop : {1, 2, 3, 4, 6, 8, 9, 10, 13, 15, 22}) {
      const RunFolder folder =
          NewFolder(on_nan + std::to_string(stop), experiment);
      ASSERT_TRUE(Run(experiment, folder, false, stop).ok());
      ASSERT_TRUE(Run(experiment, folder, true).ok());
      ExpectSameFiles(whole, folder);
      EXPECT_EQ(ModelEvents(folder), events);
    }
  }
}

// Every kind of schedule continues where it was, by epochs and by steps, also
// around a removal, a reset, a copy with another rate ...
TEST_F(RunTrainingTest, ResumesSchedulesToTheSameBits) {
  ASSERT_TRUE(RegisterLrLambda("decay", [](int64_t epoch) {
                return 1.0 / (1.0 + epoch);
              }).ok());
  const std::vector<std::string> schedules = {
      "{kind=\"cosine_annealing_lr\", every=\"step\"}",
      "{kind=\"reduce_lr_on_plateau\", patience=0, threshold=0.1}",
      "{kind=\"lambda_lr\", lr_lambda=\"decay\"}",
      "{kind=\"sequential_lr\", every=\"step\", milestones=[3, 9], schedulers=["
      "{kind=\"linear_lr\", total_iters=3}, "
      "{kind=\"cosine_annealing_warm_restarts\", T_0=2, T_mult=2}, "
      "{kind=\"one_cycle_lr\", max_lr=0.1}]}",
  };
  for (size_t k = 0; k < schedules.size(); ++k) {
    const Experiment experiment =
        TestExperiment({"optimizer.schedule=" + schedules[k]});
    const std::string name = std::to_string(k);
    ScriptedCallback script = EventfulScript();
    // The script changes rates, which the last schedule does not allow.
    Callback* const callback = k < 3 ? &script : nullptr;
    const RunFolder whole = NewFolder(name, experiment);
    const auto all =
        Run(experiment, whole, false, 0, TestRunInfo(), false, callback);
    ASSERT_TRUE(all.ok()) << all.status();
    for (int stop : {1, 5, 8, 11}) {
      const RunFolder folder =
          NewFolder(name + "-" + std::to_string(stop), experiment);
      ASSERT_TRUE(
          Run(experiment, folder, false, stop, TestRunInfo(), false, callback)
              .ok());
      const auto resumed =
          Run(experiment, folder, true, 0, TestRunInfo(), false, callback);
      ASSERT_TRUE(resumed.ok()) << resumed.status();
      ExpectSameFiles(whole, folder);
    }
    // From the resolved config too.
    auto config = LoadExperiment(whole.config());
    ASSERT_TRUE(config.ok()) << config.status();
    auto again = PrepareExperiment(*std::move(config));
    ASSERT_TRUE(again.ok()) << again.status();
    const RunFolder repeated = NewFolder(name + "-again", *again);
    ASSERT_TRUE(
        Run(*again, repeated, false, 0, TestRunInfo(), false, callback).ok());
    ExpectSameFiles(whole, repeated);
  }
}

// A length that is given stays, one that follows train.epochs can not change.
TEST_F(RunTrainingTest, MoreEpochsWithASchedule) {
  const auto run = [&](const std::string& name, const std::string& length) {
    const std::string schedule =
        "optimizer.schedule={kind=\"cosine_annealing_lr\"" + length + "}";
    const Experiment three = TestExperiment({schedule});
    const Experiment five = TestExperiment({schedule, "train.epochs=5"});
    const RunFolder whole = NewFolder(name + "whole", five);
    EXPECT_TRUE(Run(five, whole).ok());
    const RunFolder grown = NewFolder(name, three);
    EXPECT_TRUE(Run(three, grown).ok());
    const absl::Status status = Run(five, grown, true).status();
    if (status.ok()) ExpectSameFiles(whole, grown);
    return status;
  };
  EXPECT_TRUE(run("given", ", T_max=3").ok());
  const absl::Status status = run("derived", "");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("train.epochs must not change, as "
                        "optimizer.schedule.T_max follows it"));
}

TEST_F(RunTrainingTest, FilesHaveTheSchedule) {
  const Experiment experiment =
      TestExperiment({"optimizer.schedule={kind=\"step_lr\", step_size=1, "
                      "gamma=[1, 0.5, 1, 1, 1, 1, 1, 1]}"});
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder).ok());
  EXPECT_THAT(*ReadFile(folder.results()),
              HasSubstr("model,seed,optimizer.lr,optimizer.schedule.gamma,"));
  const std::string curves = *ReadFile(folder.curves());
  EXPECT_THAT(curves, HasSubstr(",validation_accuracy,lr\n"));
  // The third epoch of model 1.
  const size_t line = curves.find("\n3,1,");
  const size_t end = curves.find('\n', line + 1);
  EXPECT_EQ(curves.substr(curves.rfind(',', end), 7), ",0.0025");
}

TEST_F(RunTrainingTest, FilesNameTheModelsThatAreThere) {
  const Experiment experiment = TestExperiment();
  const RunFolder folder = NewFolder("run", experiment);
  ScriptedCallback script = EventfulScript();
  const auto result =
      Run(experiment, folder, false, 0, TestRunInfo(), false, &script);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->population.models[1].id, 9);
  const std::string results = *ReadFile(folder.results());
  // The copy has the learning rate it was given.
  EXPECT_THAT(results, HasSubstr("\n10,111,0.05,8,0,"));
  EXPECT_THAT(results, HasSubstr("removed at step 11: the worst"));
  EXPECT_THAT(results, HasSubstr("frozen at step 13: paused"));
  // Index 1: model 1 until it was replaced after epoch 1, then model 9.
  const std::string curves = *ReadFile(folder.curves());
  EXPECT_THAT(curves, HasSubstr("\n1,1,"));
  EXPECT_THAT(curves, HasSubstr("\n2,9,"));
  EXPECT_EQ(curves.find("\n2,1,"), std::string::npos);
  EXPECT_THAT(curves, HasSubstr("\n1,8,"));  // copied within epoch 1
  EXPECT_EQ(curves.find("\n1,3,"), std::string::npos);
  EXPECT_THAT(*ReadFile(folder.summary()),
              HasSubstr("\"events\": \"2 freezes, 1 unfreeze, 2 resets, 3 "
                        "removals, 4 replacements\""));
  EXPECT_FALSE(fs::exists(folder.path() + "/models/model_6.safetensors"));
  EXPECT_TRUE(fs::exists(folder.path() + "/models/model_10.safetensors"));
}

// Stopped after every single step.
TEST_F(RunTrainingTest, ResumesAgainAndAgain) {
  const Experiment experiment = TestExperiment({kLog});
  const RunFolder whole = NewFolder("whole", experiment);
  ASSERT_TRUE(Run(experiment, whole).ok());
  const RunFolder folder = NewFolder("pieces", experiment);
  bool interrupted = true;
  for (int i = 0; interrupted; ++i) {
    ASSERT_LT(i, 20);
    const auto result = Run(experiment, folder, i > 0, 1);
    ASSERT_TRUE(result.ok()) << result.status();
    interrupted = result->interrupted;
  }
  ExpectSameFiles(whole, folder);
}

// A process that was killed left an older checkpoint, or none.
TEST_F(RunTrainingTest, ResumesFromAnOlderCheckpointOrNone) {
  const Experiment experiment = TestExperiment({kLog, ExplodingOverrides()[0]});
  const RunFolder whole = NewFolder("whole", experiment);
  ASSERT_TRUE(Run(experiment, whole).ok());
  const RunFolder none = NewFolder("none", experiment);
  std::ofstream(none.checkpoint() + ".tmp-abcdef") << "cut";
  ASSERT_TRUE(Run(experiment, none, true).ok());
  EXPECT_FALSE(fs::exists(none.checkpoint() + ".tmp-abcdef"));
  ExpectSameFiles(whole, none);

  const RunFolder old = NewFolder("old", experiment);
  ASSERT_TRUE(Run(experiment, old, false, 6).ok());
  const std::string kept = *ReadFile(old.checkpoint());
  ASSERT_TRUE(Run(experiment, old, true, 7).ok());
  ASSERT_TRUE(WriteFileAtomically(old.checkpoint(), kept).ok());
  ASSERT_TRUE(Run(experiment, old, true).ok());
  ExpectSameFiles(whole, old);
  // Each model was frozen once, whatever happened between.
  const std::string events = *ReadFile(old.events());
  for (int id = 4; id < 8; ++id) {
    const std::string model = "\"model\":" + std::to_string(id) + ",";
    const size_t first = events.find(model);
    EXPECT_NE(first, std::string::npos);
    EXPECT_EQ(events.find(model, first + 1), std::string::npos) << events;
  }
  EXPECT_THAT(events, HasSubstr("\"event\":\"interrupted\""));
  EXPECT_THAT(events, HasSubstr("\"event\":\"resumed\""));
}

// The folder says what is trained, also where no checkpoint was written yet.
TEST_F(RunTrainingTest, ResumingWithoutACheckpointTakesUpTheConfig) {
  const std::string schedule =
      "optimizer.schedule={kind=\"cosine_annealing_lr\"}";
  const Experiment three = TestExperiment({schedule});
  const Experiment five = TestExperiment({schedule, "train.epochs=5"});
  const RunFolder folder = NewFolder("begun", three);
  ASSERT_TRUE(folder.AddEvent(0, 1, "backend chosen: cpu").ok());
  ASSERT_TRUE(folder.AddEvent(2, 1, "of a step that is made again").ok());
  ASSERT_TRUE(Run(five, folder, true).ok());
  const RunFolder whole = NewFolder("whole", five);
  ASSERT_TRUE(Run(five, whole).ok());
  ExpectSameFiles(whole, folder);
  const auto config = LoadExperiment(folder.config());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->train.epochs, 5);
  const std::string events = *ReadFile(folder.events());
  EXPECT_THAT(events, HasSubstr("backend chosen: cpu"));
  EXPECT_THAT(events, HasSubstr("\"event\":\"resumed\""));
  EXPECT_THAT(events, Not(HasSubstr("of a step that is made again")));
  const auto again = PrepareExperiment(*config);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(Run(*again, folder, true).ok());
}

TEST_F(RunTrainingTest, ConfusionOfModelsWithOtherNumbersOfOutputs) {
  const Experiment experiment = TestExperiment(
      {"train.log={confusion=true}",
       "model.layers[3].out_features={values=[5, 3]}", "train.epochs=1"});
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder).ok());
  std::istringstream lines(*ReadFile(folder.confusion()));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line,
            "model,label,predicted_0,predicted_1,predicted_2,predicted_3,"
            "predicted_4");
  std::map<int, int> labels;  // of each model
  while (std::getline(lines, line)) {
    std::vector<std::string> cells;
    std::istringstream rest(line + ",");
    for (std::string cell; std::getline(rest, cell, ',');) {
      cells.push_back(cell);
    }
    ASSERT_EQ(cells.size(), 7u) << line;
    const int model = std::stoi(cells[0]);
    ++labels[model];
    const int64_t own =
        NumElements(experiment.population.layouts[model].output());
    // 24 of 120 rows are for the test, 8 of each of three classes.
    int rows = 0;
    for (int64_t c = 0; c < 5; ++c) {
      EXPECT_EQ(cells[c + 2].empty(), c >= own) << line;
      if (c < own) rows += std::stoi(cells[c + 2]);
    }
    EXPECT_EQ(rows, std::stoi(cells[1]) < 3 ? 8 : 0) << line;
  }
  ASSERT_EQ(labels.size(), 16u);
  for (const auto& [model, count] : labels) {
    EXPECT_EQ(count,
              NumElements(experiment.population.layouts[model].output()));
  }
}

// A file that is in the way is left, and so is no half of a run.
TEST_F(RunTrainingTest, ALogThatCannotBeWrittenLeavesNoRun) {
  fs::create_directories(root_ / "used");
  std::ofstream(root_ / "used" / "metrics.csv") << "mine";
  const Experiment experiment = TestExperiment({kLog});
  const RunFolder folder = NewFolder("used", experiment);
  EXPECT_FALSE(Run(experiment, folder).ok());
  EXPECT_FALSE(fs::exists(folder.config()));
  EXPECT_EQ(*ReadFile(folder.metrics_csv()), "mine");
}

TEST_F(RunTrainingTest, MoreEpochsContinueARun) {
  const Experiment three = TestExperiment({kLog});
  const Experiment five = TestExperiment({kLog, "train.epochs=5"});
  const RunFolder whole = NewFolder("whole", five);
  ASSERT_TRUE(Run(five, whole).ok());
  const RunFolder grown = NewFolder("grown", three);
  ASSERT_TRUE(Run(three, grown).ok());
  ASSERT_TRUE(Run(five, grown, true).ok());
  ExpectSameFiles(whole, grown);
}

TEST_F(RunTrainingTest, RefusesWhatWouldChangeBits) {
  const Experiment experiment = TestExperiment();
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder, false, 3).ok());
  RunInfo other = TestRunInfo();
  other.backend_build_id = "another";
  const auto build = Run(experiment, folder, true, 0, other);
  EXPECT_EQ(build.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(build.status().message(),
            "the run would not end with the same bits: backend build \"build\" "
            "in the run, \"another\" here; --force resumes nevertheless");
  const auto config = Run(TestExperiment({"seed=4"}), folder, true);
  EXPECT_THAT(std::string(config.status().message()),
              HasSubstr("the config is not that of the checkpoint"));
  const auto data = Run(TestExperiment({"data.scale=2"}), folder, true);
  EXPECT_THAT(std::string(data.status().message()),
              HasSubstr("the data has changed since the checkpoint"));
  EXPECT_TRUE(Run(experiment, folder, true, 0, other, true).ok());
}

// A damaged checkpoint is an error that names the file.
TEST_F(RunTrainingTest, RefusesADamagedCheckpoint) {
  const Experiment experiment = TestExperiment();
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder, false, 3).ok());
  const std::string bytes = *ReadFile(folder.checkpoint());
  ASSERT_TRUE(WriteFileAtomically(folder.checkpoint(),
                                  bytes.substr(0, bytes.size() - 9))
                  .ok());
  const auto cut = Run(experiment, folder, true);
  EXPECT_EQ(cut.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(cut.status().message()),
              HasSubstr(folder.checkpoint()));
  // A bit of a weight: any would be one.
  std::string flipped = bytes;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  ASSERT_TRUE(WriteFileAtomically(folder.checkpoint(), flipped).ok());
  EXPECT_EQ(Run(experiment, folder, true).status().code(),
            absl::StatusCode::kDataLoss);
  // Valid as a file, but a tensor is missing.
  ASSERT_TRUE(WriteFileAtomically(folder.checkpoint(), bytes).ok());
  auto file = ReadSealedSafetensors(folder.checkpoint());
  ASSERT_TRUE(file.ok());
  for (const char* name : {"run.best_epoch", "run.epoch_lr", "run.curves.lr",
                           "model.2.exp_avg.0.weight"}) {
    std::vector<NamedTensor> tensors;
    for (const auto& [key, tensor] : file->tensors) {
      if (key != name) tensors.push_back({key, &tensor});
    }
    ASSERT_TRUE(
        WriteSealedSafetensors(folder.checkpoint(), tensors, file->metadata)
            .ok());
    const auto result = Run(experiment, folder, true);
    ASSERT_FALSE(result.ok()) << name;
    const std::string last =
        std::string(name).substr(std::string(name).rfind('.') + 1);
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(last));
  }
}

// One of another version says so, and what to do; it is not damaged.
TEST_F(RunTrainingTest, RefusesACheckpointOfAnotherFormat) {
  const Experiment experiment = TestExperiment();
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder, false, 3).ok());
  const auto file = ReadSealedSafetensors(folder.checkpoint());
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<NamedTensor> tensors;
  for (const auto& [key, tensor] : file->tensors) {
    tensors.push_back({key, &tensor});
  }
  auto metadata = file->metadata;
  const auto refused = [&](const std::string& format) {
    const absl::Status status = Run(experiment, folder, true).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    for (const std::string& part :
         {folder.checkpoint(), "\"modelbatch.checkpoint." + format + "\"",
          std::string("expected \"modelbatch.checkpoint.5\""),
          std::string("the version of ModelBatch that wrote it")}) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    }
  };
  metadata["format"] = "modelbatch.checkpoint.6";
  ASSERT_TRUE(
      WriteSealedSafetensors(folder.checkpoint(), tensors, metadata).ok());
  refused("6");
  // Up to 4 there was no checksum.
  metadata["format"] = "modelbatch.checkpoint.4";
  metadata.erase("checksum");
  ASSERT_TRUE(WriteSafetensors(folder.checkpoint(), tensors, metadata).ok());
  refused("4");
  // Of this format it is damage.
  metadata["format"] = "modelbatch.checkpoint.5";
  ASSERT_TRUE(WriteSafetensors(folder.checkpoint(), tensors, metadata).ok());
  EXPECT_EQ(Run(experiment, folder, true).status().code(),
            absl::StatusCode::kDataLoss);
}

// So is one whose schedule's state is not there, or is of another kind.
TEST_F(RunTrainingTest, RefusesADamagedScheduleState) {
  const Experiment experiment =
      TestExperiment({"optimizer.schedule={kind=\"step_lr\", step_size=2}"});
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder, false, 3).ok());
  const auto file = ReadSealedSafetensors(folder.checkpoint());
  ASSERT_TRUE(file.ok()) << file.status();
  const auto message = [&](const Tensor* instead) {
    std::vector<NamedTensor> tensors;
    for (const auto& [key, tensor] : file->tensors) {
      if (key != "model.2.schedule") {
        tensors.push_back({key, &tensor});
      } else if (instead != nullptr) {
        tensors.push_back({key, instead});
      }
    }
    EXPECT_TRUE(
        WriteSealedSafetensors(folder.checkpoint(), tensors, file->metadata)
            .ok());
    const auto result = Run(experiment, folder, true);
    EXPECT_FALSE(result.ok());
    return std::string(result.status().message());
  };
  EXPECT_THAT(message(nullptr), HasSubstr("model 2: step_lr: a state of 0 "
                                          "schedules, expected 1"));
  const Tensor few = Tensor::FromVector<double>({1, 2, 3}, {3});
  EXPECT_THAT(message(&few), HasSubstr("tensor \"model.2.schedule\": a "
                                       "schedule's state of 3 numbers"));
  const Tensor floats = Tensor::FromVector<float>({1, 2, 3}, {3});
  EXPECT_THAT(message(&floats),
              HasSubstr("tensor \"model.2.schedule\" is float32"));
}

// So is one whose events cannot have happened.
TEST_F(RunTrainingTest, RefusesDamagedEvents) {
  const Experiment experiment = TestExperiment();
  const RunFolder folder = NewFolder("run", experiment);
  ScriptedCallback script = EventfulScript();
  ASSERT_TRUE(
      Run(experiment, folder, false, 9, TestRunInfo(), false, &script).ok());
  const auto file = ReadSealedSafetensors(folder.checkpoint());
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<NamedTensor> tensors;
  for (const auto& [key, tensor] : file->tensors) {
    tensors.push_back({key, &tensor});
  }
  const auto message = [&](const std::string& from, const std::string& to) {
    auto metadata = file->metadata;
    std::string& events = metadata["events"];
    const size_t at = events.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    events.replace(at, from.size(), to);
    EXPECT_TRUE(
        WriteSealedSafetensors(folder.checkpoint(), tensors, metadata).ok());
    const auto result = Run(experiment, folder, true);
    EXPECT_FALSE(result.ok());
    return std::string(result.status().message());
  };
  EXPECT_THAT(message("[", ""), HasSubstr("metadata \"events\": expected a "
                                          "JSON array of events"));
  EXPECT_THAT(message("\"step\":2,", ""),
              HasSubstr("event 1: \"step\" is missing"));
  EXPECT_THAT(message("\"model\":1,", "\"model\":70,"),
              HasSubstr("event 1, removal of model 70 at step 2: the worst: "
                        "there is no model 70"));
  EXPECT_THAT(message("\"copy\":9", "\"copy\":90"),
              HasSubstr("a copy of model 8, at step 5: exploit: there is no "
                        "model 90"));
  EXPECT_THAT(message("\"source\":8", "\"source\":1"),
              HasSubstr("model 1 was removed before"));
}

TEST_F(RunTrainingTest, FolderOfARunIsNotOverwritten) {
  const Experiment experiment = TestExperiment();
  const RunFolder folder = NewFolder("run", experiment);
  ExperimentConfig config = experiment.config;
  config.train.output = folder.path();
  EXPECT_EQ(RunFolder::Create(config).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(RunFolder::Open(root_ / "none").status().code(),
            absl::StatusCode::kNotFound);
}

// Nothing is written that the config does not ask for.
TEST_F(RunTrainingTest, LogsAreAskedFor) {
  const Experiment experiment = TestExperiment();
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder).ok());
  for (const std::string& path : {folder.metrics_csv(), folder.metrics_jsonl(),
                                  folder.tensorboard(), folder.confusion()}) {
    EXPECT_FALSE(fs::exists(path)) << path;
  }
  // Logs decide no bit: a run may be resumed with other ones.
  EXPECT_TRUE(Run(TestExperiment({kLog, "train.epochs=4"}), folder, true).ok());
  EXPECT_THAT(*ReadFile(folder.metrics_csv()), HasSubstr("\n20,4,7,,"));
}

// A process that is killed right after a checkpoint has lost no step before it.
TEST_F(RunTrainingTest, LogsAreWrittenBeforeTheCheckpoint) {
  class ReadLog : public StopAfter {
   public:
    explicit ReadLog(const RunFolder& folder) : StopAfter(7), folder_(folder) {}
    void OnCheckpoint(const Trainer&, const std::string&) override {
      log = *ReadFile(folder_.metrics_csv());
    }
    std::string log;

   private:
    const RunFolder& folder_;
  };
  const Experiment experiment = TestExperiment(
      {"train.log={writers=[\"csv\"], every=1}", "train.checkpoint_every=0"});
  const RunFolder folder = NewFolder("run", experiment);
  ReadLog observer(folder);
  RunOptions options;
  options.info = TestRunInfo();
  options.stop = observer.flag();
  ASSERT_TRUE(
      RunTraining(experiment, backend_.get(), folder, options, &observer).ok());
  EXPECT_THAT(observer.log, HasSubstr("\n7,2,7,"));
}

TEST_F(RunTrainingTest, LeavesEveryFile) {
  const Experiment experiment = TestExperiment(ExplodingOverrides());
  const RunFolder folder = NewFolder("run", experiment);
  ASSERT_TRUE(Run(experiment, folder).ok());
  const std::string summary = *ReadFile(folder.summary());
  EXPECT_THAT(summary, HasSubstr("\"finished\": true"));
  EXPECT_THAT(summary, HasSubstr("\"build_id\": \"build\""));
  EXPECT_THAT(*ReadFile(folder.results()), HasSubstr("frozen at step "));
  // The weights of the best epoch, with PyTorch's names and shapes.
  const auto model =
      ReadSafetensors(folder.path() + "/models/model_2.safetensors");
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_EQ(model->tensors.size(), 4u);
  EXPECT_EQ(model->tensors.at("0.weight").shape(), (Shape{8, 4}));
  EXPECT_EQ(model->tensors.at("3.bias").shape(), (Shape{3}));
  // The run repeats from its resolved config.
  auto config = LoadExperiment(folder.config());
  ASSERT_TRUE(config.ok()) << config.status();
  auto again = PrepareExperiment(*std::move(config));
  ASSERT_TRUE(again.ok()) << again.status();
  const RunFolder repeated = NewFolder("again", *again);
  ASSERT_TRUE(Run(*again, repeated).ok());
  ExpectSameFiles(folder, repeated);
}

}  // namespace
}  // namespace modelbatch
