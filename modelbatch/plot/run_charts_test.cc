#include "modelbatch/plot/run_charts.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
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

RunRecord SmallRun() {
  return TestRun(
      "model,optimizer.lr,a/../b.c,rank,status,best_epoch,validation_loss,"
      "validation_accuracy\n"
      "0,0.001,1,2,ok,1,2,0.25\n"
      "1,0.002,2,1,ok,1,1,0.5\n",
      "epoch,model,train_loss,validation_loss\n1,0,2,3\n1,1,4,5\n");
}

std::vector<std::string> Names(const RunRecord& run,
                               const ChartOptions& options) {
  const auto charts = RunCharts(run, options);
  EXPECT_TRUE(charts.ok()) << charts.status();
  std::vector<std::string> names;
  for (const Chart& chart : *charts) names.push_back(chart.name);
  return names;
}

TEST(RunChartsTest, AllCurvesThenTheFieldsByWhatRanks) {
  const RunRecord run = SmallRun();
  ChartOptions options;
  options.choice = BestModels(run, 1);
  // The names are those of files.
  EXPECT_THAT(Names(run, options),
              ElementsAre("train_loss", "validation_loss", "by_optimizer.lr",
                          "by_a_.._b.c"));
  EXPECT_EQ(RunCharts(run, options)->at(2).y.label, "validation accuracy, %");
  EXPECT_EQ(RunCharts(run, options)->at(2).note,
            "test: 2 models, in colour the best by validation_accuracy");
}

TEST(RunChartsTest, WhatWasAskedFor) {
  const RunRecord run = SmallRun();
  ChartOptions options;
  options.fields = false;
  options.metrics = {"train_loss"};
  EXPECT_THAT(Names(run, options), ElementsAre("train_loss"));
  options.fields = true;
  options.metrics = {"validation_loss", "validation_accuracy"};
  EXPECT_THAT(Names(run, options),
              ElementsAre("validation_loss", "validation_loss_by_optimizer.lr",
                          "validation_loss_by_a_.._b.c",
                          "validation_accuracy_by_optimizer.lr",
                          "validation_accuracy_by_a_.._b.c"));
}

TEST(RunChartsTest, ALearningRateIsACurveWhereItChanges) {
  for (const auto& [second, drawn] :
       {std::pair("0.1", false), std::pair("0.05", true)}) {
    const RunRecord run =
        TestRun("model,rank,status,best_epoch,validation_loss\n0,1,ok,1,2\n",
                std::string("epoch,model,train_loss,lr\n1,0,2,0.1\n2,0,1,") +
                    second + "\n");
    ChartOptions options;
    EXPECT_EQ(Names(run, options).size(), drawn ? 2u : 1u);
    options.metrics = {"lr"};  // asked for, it is drawn
    EXPECT_THAT(Names(run, options), ElementsAre("lr"));
  }
}

TEST(RunChartsTest, AMetricThatIsNoneIsNamedWithTheNearest) {
  const RunRecord run = SmallRun();
  ChartOptions options;
  options.metrics = {"validation_los"};
  const absl::Status status = RunCharts(run, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()),
            "the run has no metric \"validation_los\"; did you mean "
            "\"validation_loss\"?");
  // A score, but no curve.
  options.metrics = {"validation_accuracy"};
  options.fields = false;
  EXPECT_EQ(RunCharts(run, options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(RunChartsTest, NothingToDrawIsSaid) {
  const RunRecord run =
      TestRun("model,rank,status,best_epoch,validation_loss\n0,1,ok,,\n");
  const absl::Status status = RunCharts(run, ChartOptions()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("no epoch has been finished"));
}

}  // namespace
}  // namespace modelbatch
