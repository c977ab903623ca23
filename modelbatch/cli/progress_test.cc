#include "modelbatch/cli/progress.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/cli/terminal.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_training.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ProgressView View() {
  ProgressView view;
  view.epoch = 3;
  view.epochs = 30;
  view.done = 0.25;
  view.min_loss = 0.0213;
  view.max_loss = 2.31;
  view.best = "#17 97.8 %";
  view.rows_per_second = 1.9e6;
  view.seconds_left = 62;
  return view;
}

constexpr char kTail[] =
    "  25 %  loss 0.0213..2.31  best #17 97.8 %  1.9M rows/s  ETA 1:02";

TEST(FormatProgressTest, SaysEverything) {
  EXPECT_EQ(
      FormatProgress(View(), 120, false),
      std::string("epoch  3/30 [#######-----------------------]") + kTail);
}

TEST(FormatProgressTest, TheBarGivesWayFirst) {
  const std::string line = FormatProgress(View(), 90, false);
  EXPECT_EQ(line.size(), 90u);
  EXPECT_EQ(line, std::string("epoch  3/30 [##---------]") + kTail);
  EXPECT_EQ(FormatProgress(View(), 84, false),
            std::string("epoch  3/30") + kTail);
  // Then what is least wanted; how long it takes stays.
  EXPECT_EQ(FormatProgress(View(), 74, false),
            "epoch  3/30  25 %  best #17 97.8 %  1.9M rows/s  ETA 1:02");
  EXPECT_EQ(FormatProgress(View(), 50, false),
            "epoch  3/30  25 %  best #17 97.8 %  ETA 1:02");
  EXPECT_EQ(FormatProgress(View(), 30, false), "epoch  3/30  25 %  ETA 1:02");
  EXPECT_EQ(FormatProgress(View(), 20, false), "epoch  3/30  25 %  E");
  EXPECT_EQ(FormatProgress(View(), 0, false), "");
}

TEST(FormatProgressTest, LeavesOutWhatIsNotThere) {
  ProgressView view = View();
  view.best = "";
  view.min_loss = view.max_loss = std::stof("nan");
  EXPECT_EQ(FormatProgress(view, 40, false),
            "epoch  3/30  25 %  1.9M rows/s  ETA 1:02");
}

TEST(FormatProgressTest, AWaveIsNamedWhereThereIsRoom) {
  ProgressView view = View();
  view.wave = "models 3-5/8";
  EXPECT_EQ(
      FormatProgress(view, 120, false),
      std::string("models 3-5/8  epoch  3/30 [######---------------------]") +
          kTail);
  EXPECT_EQ(FormatProgress(view, 50, false),
            "models 3-5/8  epoch  3/30  25 %  ETA 1:02");
  EXPECT_EQ(FormatProgress(view, 35, false), "epoch  3/30  25 %  ETA 1:02");
}

// A step of one model takes a second of this clock.
class ClockedProgress : public TrainObserver {
 public:
  explicit ClockedProgress(bool is_terminal)
      : progress_(
            Terminal{is_terminal, false, false, 200},
            [this](const std::string& text) { lines.push_back(text); },
            [this] { return seconds; }) {}
  void OnWave(int begin, int end, int models) override {
    size_ = end - begin;
    progress_.OnWave(begin, end, models);
  }
  void OnStart(const Trainer& trainer) override { progress_.OnStart(trainer); }
  void OnStep(const Trainer& trainer) override {
    seconds += size_;
    const size_t before = lines.size();
    progress_.OnStep(trainer);
    if (lines.size() > before) at.push_back(seconds);
    if (stop_at > 0 && seconds >= stop_at) stop = true;
  }

  std::vector<std::string> lines;
  std::vector<int> at;  // when each was written
  int seconds = 1000;
  int stop_at = 0;
  std::atomic<bool> stop{false};

 private:
  int size_ = 8;
  Progress progress_;
};

class ProgressOfWavesTest : public ::testing::Test {
 protected:
  // Eight models of fifteen steps, three at a time: 120 seconds.
  void Train(const std::string& name, bool resume, ClockedProgress* progress) {
    Experiment experiment = TestExperiment({"train.models_at_once=3"});
    experiment.config.train.output = TestFolder() + "/" + name;
    const auto folder = resume ? RunFolder::Open(experiment.config.train.output)
                               : RunFolder::Create(experiment.config);
    ASSERT_TRUE(folder.ok()) << folder.status();
    RunOptions options;
    options.info = TestRunInfo();
    options.resume = resume;
    options.stop = &progress->stop;
    const std::unique_ptr<Backend> backend = CpuBackendForTest();
    const auto result =
        RunTraining(experiment, backend.get(), *folder, options, progress);
    ASSERT_TRUE(result.ok()) << result.status();
  }
};

TEST_F(ProgressOfWavesTest, TheTimeLeftIsThatOfAllModels) {
  ClockedProgress progress(/*is_terminal=*/true);
  Train("all", false, &progress);
  ASSERT_EQ(progress.lines.size(), 45u);  // one live line, a step each
  ASSERT_EQ(progress.at.size(), 45u);
  for (size_t i = 0; i < 45; ++i) {
    const int done = progress.at[i] - 1000;
    const std::string& line = progress.lines[i];
    const std::string wave = done <= 45   ? "models 0-2/8  epoch"
                             : done <= 90 ? "models 3-5/8  epoch"
                                          : "models 6-7/8  epoch";
    EXPECT_THAT(line, HasSubstr(wave));
    EXPECT_THAT(line, HasSubstr("ETA " + FormatDuration(120 - done)));
    EXPECT_THAT(line, HasSubstr(absl::StrCat(" ", done * 100 / 120, " %")));
    EXPECT_THAT(line, Not(HasSubstr("\n")));
  }
}

// What an earlier process has done counts as done, and not for the speed.
TEST_F(ProgressOfWavesTest, AResumedRunCountsItsOwnSpeed) {
  ClockedProgress before(/*is_terminal=*/true);
  before.stop_at = 1000 + 57;
  Train("resumed", false, &before);
  ClockedProgress after(/*is_terminal=*/true);
  Train("resumed", true, &after);
  ASSERT_EQ(after.at.size(), 11u + 15u);
  EXPECT_THAT(after.lines[0], AllOf(HasSubstr("models 3-5/8"),
                                    HasSubstr(" 50 %"), HasSubstr("ETA 1:00")));
  EXPECT_THAT(after.lines.back(),
              AllOf(HasSubstr("models 6-7/8"), HasSubstr(" 100 %"),
                    HasSubstr("ETA 0:00")));
}

// Not a terminal: lines now and then, not one for each wave, of which there may
// be thousands.
TEST_F(ProgressOfWavesTest, PlainLinesAreOfAllModelsToo) {
  ClockedProgress progress(/*is_terminal=*/false);
  Train("plain", false, &progress);
  EXPECT_THAT(progress.lines[0],
              HasSubstr("ETA " + FormatDuration(1120 - progress.at[0])));
  EXPECT_THAT(progress.lines.back(), HasSubstr("models 6-7/8"));
  EXPECT_EQ(progress.lines.back().back(), '\n');
}

}  // namespace
}  // namespace modelbatch
