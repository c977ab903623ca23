#include "modelbatch/cli/progress.h"

#include <string>

#include "gtest/gtest.h"

namespace modelbatch {
namespace {

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

}  // namespace
}  // namespace modelbatch
