#include "modelbatch/train/run_record.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/train/event.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/results_reader.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/run_training.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

std::string FreshPath(const std::string& name) {
  const std::string path = TestFolder() + "/" + name;
  fs::remove_all(path);
  return path;
}

// Trains the test's experiment in a new folder.
RunFolder Train(const std::string& name,
                std::vector<std::string> overrides = {}) {
  overrides.push_back("train.output=\"" + FreshPath(name) + "\"");
  const Experiment experiment = TestExperiment(overrides);
  const auto folder = RunFolder::Create(experiment.config);
  EXPECT_TRUE(folder.ok()) << folder.status();
  const std::unique_ptr<Backend> backend = CpuBackendForTest();
  RunOptions options;
  options.info = RunInfo::OfThisMachine();
  options.info.backend = "cpu";
  const auto result =
      RunTraining(experiment, backend.get(), *folder, options, nullptr);
  EXPECT_TRUE(result.ok()) << result.status();
  return *folder;
}

std::vector<double> Scores(const RunRecord& run, const std::string& name) {
  const ResultsColumn* column = run.results.FindScore(name);
  return column == nullptr ? std::vector<double>() : column->values;
}

TEST(RunRecordTest, HasWhatTheRunsFilesHave) {
  const RunFolder folder = Train("whole", ExplodingOverrides());
  const auto run = ReadRunRecord(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_FALSE(run->from_checkpoint);
  EXPECT_EQ(run->results.size(), 8u);
  EXPECT_EQ(run->summary.models, 8);
  EXPECT_TRUE(run->summary.finished);
  EXPECT_EQ(run->config.train.epochs, run->summary.epochs_done);
  EXPECT_EQ(run->curves.models.size(), 8u);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(run->results.IsFrozen(i), i >= 4) << i;
    // The best epoch's score is that of the curve.
    const int64_t best = run->results.best_epochs[i];
    if (best == 0) continue;
    EXPECT_EQ(Scores(*run, "validation_loss")[i],
              run->curves.models[i].values[1][best - 1]);
  }
  ASSERT_EQ(run->events.size(), 4u);
  for (const RunEvent& line : run->events) {
    ASSERT_TRUE(line.event.has_value());
    EXPECT_EQ(line.event->kind, EventKind::kFreeze);
    EXPECT_GE(line.event->model, 4);
  }
}

// What a killed process leaves: config, checkpoint, events.
TEST(RunRecordTest, WithoutResultsItsCheckpointTells) {
  const RunFolder folder = Train("killed");
  const auto whole = ReadRunRecord(folder);
  ASSERT_TRUE(whole.ok()) << whole.status();
  // Killed while it wrote them, or before.
  fs::remove(folder.summary());
  EXPECT_TRUE(ReadRunRecord(folder)->from_checkpoint);
  fs::remove(folder.results());
  fs::remove(folder.curves());
  const auto run = ReadRunRecord(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_TRUE(run->from_checkpoint);
  EXPECT_EQ(run->results.models, whole->results.models);
  EXPECT_EQ(run->results.ranks, whole->results.ranks);
  for (const char* score : {"validation_accuracy", "test_loss"}) {
    EXPECT_EQ(Scores(*run, score), Scores(*whole, score));
  }
  ASSERT_EQ(run->curves.models.size(), 8u);
  EXPECT_EQ(run->curves.models[3].values, whole->curves.models[3].values);
  EXPECT_EQ(run->summary.backend, "cpu");
  fs::remove(folder.checkpoint());
  const auto nothing = ReadRunRecord(folder);
  EXPECT_EQ(nothing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(nothing.status().message()),
              HasSubstr("neither results.csv nor a checkpoint"));
}

TEST(RunRecordTest, ResultsFromBeforeAResumptionAreNotTaken) {
  const RunFolder folder = Train("resumed", {"train.epochs=1"});
  ASSERT_TRUE(folder.AddEvent(5, 1, "interrupted").ok());
  // As `train --resume --set train.epochs=3` begins.
  const Experiment longer =
      TestExperiment({"train.output=\"" + folder.path() + "\""});
  ASSERT_TRUE(folder.WriteConfig(longer.config).ok());
  EXPECT_FALSE(ReadRunRecord(folder)->from_checkpoint);
  ASSERT_TRUE(folder.AddEvent(5, 2, "resumed").ok());
  EXPECT_TRUE(ReadRunRecord(folder)->from_checkpoint);
  // Interrupted once more, it has written its results.
  ASSERT_TRUE(folder.AddEvent(7, 2, "interrupted").ok());
  EXPECT_FALSE(ReadRunRecord(folder)->from_checkpoint);
}

TEST(RunRecordTest, ErrorsNameFileAndLine) {
  const RunFolder folder = Train("broken");
  const auto error = [&folder] {
    const absl::Status status = ReadRunRecord(folder).status();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  };
  const std::string events = "{\"step\":1,\"epoch\":1,\"event\":\"resumed\"}\n";
  ASSERT_TRUE(
      WriteFileAtomically(folder.events(), events + "{\"step\":\n" + events)
          .ok());
  EXPECT_EQ(error(), folder.events() + ":2: is not a JSON object");
  ASSERT_TRUE(WriteFileAtomically(folder.events(),
                                  events + "{\"step\":1,\"epoch\":1}\n")
                  .ok());
  EXPECT_EQ(error(), folder.events() + ":2: \"event\" is missing or no string");
  ASSERT_TRUE(
      WriteFileAtomically(folder.events(),
                          "{\"model\":1,\"event\":\"freeze\",\"step\":\"x\"}\n")
          .ok());
  EXPECT_EQ(error(), folder.events() +
                         ":1: \"step\" is \"x\", expected an integer of at "
                         "least 0");
  // A crash cut the last line off.
  ASSERT_TRUE(WriteFileAtomically(folder.events(), "{\"step\":1,\"ep").ok());
  EXPECT_TRUE(ReadRunRecord(folder)->events.empty());
  std::string curves = ReadFile(folder.curves()).value();
  curves.insert(curves.find("\n2,0,") + 5, "x");  // after eight models
  ASSERT_TRUE(WriteFileAtomically(folder.curves(), curves).ok());
  EXPECT_THAT(error(),
              HasSubstr(folder.curves() + ":10: column train_loss: found \"x"));
  // Without a checkpoint there is nothing else to show.
  fs::remove(folder.checkpoint());
  fs::remove(folder.curves());
  EXPECT_THAT(error(), HasSubstr("cannot read " + folder.curves()));
  std::ofstream(folder.config(), std::ios::app) << "what = 1\n";
  EXPECT_THAT(error(), HasSubstr(folder.config() + ":"));
}

TEST(FieldLabelsTest, AreAsShortAsTheyCanBe) {
  EXPECT_THAT(FieldLabels(std::vector<std::string>{
                  "optimizer.lr", "model.layers[0].p", "model.layers[2].p",
                  "train.batch_size"}),
              ElementsAre("lr", "layers[0].p", "layers[2].p", "batch_size"));
}

}  // namespace
}  // namespace modelbatch
