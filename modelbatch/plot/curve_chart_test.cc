#include "modelbatch/plot/curve_chart.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plot/chart.h"
#include "modelbatch/plot/choice.h"
#include "modelbatch/plot/test_run.h"
#include "modelbatch/train/run_record.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Model 2 is the best, then 0, 3; model 1 was frozen in its second epoch.
RunRecord SmallRun() {
  return TestRun(
      "model,optimizer.lr,rank,status,best_epoch,validation_accuracy\n"
      "0,0.001,2,ok,3,0.75\n"
      "1,0.002,4,frozen at step 8: non-finite loss,1,0.25\n"
      "2,0.004,1,ok,2,0.875\n"
      "3,0.008,3,stopped at step 9: x,1,0.5\n",
      "epoch,model,train_loss,validation_accuracy,lr\n"
      "1,0,4,0.25,\n1,1,2,0.25,\n1,2,1,0.5,\n1,3,3,0.5,\n1,9,8,0.125,\n"
      "2,0,2,0.5,\n2,1,inf,,\n2,2,0.5,0.875,\n2,3,1,0.25,\n"
      "3,0,1,0.75,\n3,1,,,\n3,2,0.25,0.75,\n3,3,,,\n");
}

std::vector<std::string> Labels(const Chart& chart) {
  std::vector<std::string> labels;
  for (const Series& series : chart.series) labels.push_back(series.label);
  return labels;
}

TEST(CurveChartTest, ALineAModelTheBestInColourAndLast) {
  const RunRecord run = SmallRun();
  const Chart chart = CurveChart(run, "train_loss", BestModels(run, 2));
  EXPECT_EQ(chart.name, "train_loss");
  EXPECT_THAT(Labels(chart),
              ElementsAre("", "", "", "frozen", "model 0", "model 2"));
  EXPECT_THAT(chart.series[0].models, ElementsAre(1));
  EXPECT_THAT(chart.series[1].models, ElementsAre(3));
  EXPECT_THAT(chart.series[2].models, ElementsAre(9));  // replaced in epoch 2
  EXPECT_EQ(chart.series[0].tone, Tone::kThin);
  const Series& best = chart.series[5];
  EXPECT_EQ(best.tone, Tone::kBest);
  EXPECT_EQ(best.place, 0);
  EXPECT_EQ(chart.series[4].place, 1);
  EXPECT_THAT(best.x, ElementsAre(1, 2, 3));
  EXPECT_THAT(best.y, ElementsAre(1, 0.5, 0.25));
  EXPECT_THAT(best.tooltips, ElementsAre("model 2 (lr 0.004), rank 1"));
  EXPECT_EQ(chart.series[1].tooltips[0],
            "model 3 (lr 0.008), rank 3, stopped at step 9: x");
  EXPECT_THAT(chart.series[2].tooltips, ElementsAre("model 9, replaced later"));
  // From 0.25 to 8, all in view.
  EXPECT_TRUE(chart.y.log);
  EXPECT_LT(chart.y.min, 0.25);
  EXPECT_GT(chart.y.max, 8);
  EXPECT_EQ(chart.x.max, 3);
  EXPECT_EQ(chart.y.label, "train loss (log scale)");
}

TEST(CurveChartTest, WhatIsNotFiniteIsAGapAndAFrozenModelACross) {
  const RunRecord run = SmallRun();
  const Chart chart = CurveChart(run, "train_loss", BestModels(run, 2));
  const Series& frozen = chart.series[0];
  EXPECT_EQ(frozen.y[0], 2);
  EXPECT_TRUE(std::isnan(frozen.y[1]));
  EXPECT_TRUE(std::isnan(frozen.y[2]));
  const Series& crosses = chart.series[3];
  EXPECT_EQ(crosses.kind, Series::Kind::kCrosses);
  EXPECT_THAT(crosses.models, ElementsAre(1));
  EXPECT_THAT(crosses.x, ElementsAre(1));
  EXPECT_THAT(crosses.y, ElementsAre(2));
  EXPECT_THAT(crosses.tooltips[0], HasSubstr("frozen at step 8"));
}

TEST(CurveChartTest, AccuraciesAreInPercent) {
  const RunRecord run = SmallRun();
  const Chart chart =
      CurveChart(run, "validation_accuracy", BestModels(run, 1));
  EXPECT_THAT(chart.series.back().y, ElementsAre(50, 87.5, 75));
  EXPECT_FALSE(chart.y.log);
  EXPECT_EQ(chart.y.label, "validation accuracy, %");
}

TEST(CurveChartTest, OnlyTheModelsAskedFor) {
  const RunRecord run = SmallRun();
  const Chart chart =
      CurveChart(run, "train_loss", TheseModels(run, {3, 1}).value());
  EXPECT_THAT(Labels(chart), ElementsAre("frozen", "model 1", "model 3"));
  EXPECT_EQ(chart.series[2].place, 0);  // the colour of the first asked for
  EXPECT_FALSE(TheseModels(run, {3, 7}).ok());
  EXPECT_FALSE(TheseModels(run, {3, 3}).ok());
}

TEST(CurveChartTest, MetricsWithoutAnyNumberAreNone) {
  EXPECT_THAT(CurveMetrics(SmallRun()),
              ElementsAre("train_loss", "validation_accuracy"));
}

// `models` models of `epochs` epochs; model i of loss i + 1, the ranks as ids.
RunRecord ManyModels(int models, int epochs) {
  std::string results = "model,rank,status,best_epoch,validation_loss\n";
  std::string curves = "epoch,model,train_loss\n";
  for (int i = 0; i < models; ++i) {
    absl::StrAppend(&results, i, ",", i + 1, ",ok,1,", i + 1, "\n");
  }
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    for (int i = 0; i < models; ++i) {
      absl::StrAppend(&curves, epoch, ",", i, ",", i + 1, "\n");
    }
  }
  return TestRun(results, curves);
}

TEST(CurveChartTest, ManyModelsAreSummedUp) {
  const RunRecord run = ManyModels(201, 2);
  const Chart chart = CurveChart(run, "train_loss", BestModels(run, 3));
  EXPECT_THAT(Labels(chart),
              ElementsAre("90 % of models", "50 % of models", "median",
                          "model 2", "model 1", "model 0"));
  // Of 1, 2, ..., 201 the p-quantile is 1 + 200 p.
  EXPECT_THAT(chart.series[0].x, ElementsAre(1, 2));
  EXPECT_NEAR(chart.series[0].y[1], 11, 1e-9);
  EXPECT_NEAR(chart.series[0].y_high[1], 191, 1e-9);
  EXPECT_NEAR(chart.series[1].y[0], 51, 1e-9);
  EXPECT_NEAR(chart.series[1].y_high[0], 151, 1e-9);
  EXPECT_NEAR(chart.series[2].y[0], 101, 1e-9);
  EXPECT_EQ(chart.series[2].kind, Series::Kind::kLine);
  EXPECT_EQ(chart.series[0].kind, Series::Kind::kBand);
}

TEST(CurveChartTest, AHundredOthersHaveALineEach) {
  const RunRecord run = ManyModels(103, 1);
  EXPECT_EQ(CurveChart(run, "train_loss", BestModels(run, 3)).series.size(),
            103u);
  EXPECT_EQ(CurveChart(run, "train_loss", BestModels(run, 2)).series.size(),
            5u);
}

TEST(CurveChartTest, OfManyEpochsSomeAreDrawnAndTheLast) {
  const RunRecord run = ManyModels(1, 5000);
  const Chart chart = CurveChart(run, "train_loss", BestModels(run, 1));
  ASSERT_EQ(chart.series.size(), 1u);
  const Series& line = chart.series[0];
  EXPECT_LE(line.x.size(), kMaxCurvePoints + 1);
  EXPECT_GT(line.x.size(), kMaxCurvePoints / 2);
  EXPECT_EQ(line.x.front(), 1);
  EXPECT_EQ(line.x.back(), 5000);
  for (const double y : line.y) EXPECT_EQ(y, 1);  // no gaps
}

// Curves that begin at 10 % and end above 90 %.
TEST(CurveChartTest, LowAccuraciesAreCutOffWhereTheySqueezeTheOthers) {
  std::string results = "model,rank,status,best_epoch,validation_accuracy\n";
  std::string curves = "epoch,model,validation_accuracy\n";
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&results, i, ",", i + 1, ",",
                    i == 9 ? "frozen at step 1: x" : "ok", ",3,0.9\n");
    absl::StrAppend(&curves, "1,", i, ",0.1\n2,", i, ",", i == 9 ? "" : "0.9",
                    "\n3,", i, ",", i == 9 ? "" : absl::StrCat(0.99 - 0.01 * i),
                    "\n");
  }
  const RunRecord run = TestRun(results, curves);
  const Chart chart =
      CurveChart(run, "validation_accuracy", BestModels(run, 1));
  EXPECT_GT(chart.y.min, 50);
  EXPECT_LT(chart.y.min, 91);  // the worst of the last ones but the frozen
  EXPECT_THAT(chart.y.label, HasSubstr("lower ones cut off"));
  for (const Series& series : chart.series) {
    // A cross that nobody sees is none.
    if (series.kind == Series::Kind::kCrosses) {
      EXPECT_THAT(series.y, ElementsAre(chart.y.min));
    }
  }
}

}  // namespace
}  // namespace modelbatch
