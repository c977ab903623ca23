#include "modelbatch/plot/field_chart.h"

#include <string>
#include <vector>

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
using ::testing::UnorderedElementsAre;

RunRecord SmallRun() {
  return TestRun(
      "model,optimizer.lr,model.layers[0].out_features,train.batch_size,"
      "train.kind,rank,status,best_epoch,validation_loss,validation_accuracy\n"
      "0,0.001,1,16,a,3,ok,1,2,0.25\n"
      "1,0.002,1,16,a,2,ok,1,1,0.5\n"
      "2,0.004,500,16,b,1,ok,1,0.5,0.75\n"
      "3,0.008,500,16,b,4,frozen at step 9: x,1,4,0.125\n"
      "4,0.01,1000,16,b,5,frozen at step 1: y,,,\n"
      "5,0.003,1000,16,b,6,ok,1,8,0.0625\n");
}

const ResultsColumn& Field(const RunRecord& run, const std::string& name) {
  for (const ResultsColumn& column : run.results.swept) {
    if (column.name == name) return column;
  }
  ADD_FAILURE() << name;
  return run.results.swept[0];
}

TEST(FieldChartTest, APointAModelAndCrossesForTheFrozen) {
  const RunRecord run = SmallRun();
  const Chart chart = FieldChart(run, Field(run, "optimizer.lr"),
                                 "validation_accuracy", BestModels(run, 2));
  EXPECT_EQ(chart.name, "by_optimizer.lr");
  ASSERT_EQ(chart.series.size(), 5u);
  const Series& others = chart.series[0];
  EXPECT_EQ(others.kind, Series::Kind::kPoints);
  EXPECT_THAT(others.models, ElementsAre(0, 5));
  EXPECT_THAT(others.x, ElementsAre(0.001, 0.003));
  EXPECT_THAT(others.y, ElementsAre(25, 6.25));
  EXPECT_EQ(others.tooltips[0],
            "model 0 (lr 0.001, out_features 1, batch_size 16, kind a), rank "
            "3: validation accuracy 25 %");
  const Series& frozen = chart.series[1];
  EXPECT_EQ(frozen.kind, Series::Kind::kCrosses);
  EXPECT_EQ(frozen.label, "frozen");
  EXPECT_THAT(frozen.models, ElementsAre(3));
  // Without a score: at the edge of the worse, which is below.
  const Series& missing = chart.series[2];
  EXPECT_EQ(missing.label, "no finite score");
  EXPECT_THAT(missing.models, ElementsAre(4));
  EXPECT_THAT(missing.y, ElementsAre(chart.y.min));
  EXPECT_EQ(chart.series[3].label, "model 1");
  EXPECT_EQ(chart.series[4].label, "model 2");
  EXPECT_EQ(chart.series[4].place, 0);
}

TEST(FieldChartTest, OfALossTheWorseIsAbove) {
  const RunRecord run = SmallRun();
  const Chart chart = FieldChart(run, Field(run, "optimizer.lr"),
                                 "validation_loss", BestModels(run, 1));
  bool found = false;
  for (const Series& series : chart.series) {
    if (series.label != "no finite score") continue;
    EXPECT_THAT(series.y, ElementsAre(chart.y.max));
    EXPECT_THAT(series.tooltips[0], HasSubstr("no finite validation loss"));
    found = true;
  }
  EXPECT_TRUE(found);
}

TEST(FieldChartTest, TheScaleIsThatOfTheSweep) {
  const RunRecord run = SmallRun();
  const ModelChoice best = BestModels(run, 1);
  // 0.001 to 0.01 on a logarithmic scale, 1 to 1000 on an even one.
  EXPECT_TRUE(
      FieldChart(run, Field(run, "optimizer.lr"), "validation_loss", best)
          .x.log);
  const Chart even = FieldChart(run, Field(run, "model.layers[0].out_features"),
                                "validation_loss", best);
  EXPECT_FALSE(even.x.log);
  EXPECT_THAT(even.x.ticks, ElementsAre(1, 500, 1000));
  EXPECT_EQ(even.name, "by_model.layers.0.out_features");
  // Listed values, or a field that the config's reader does not know here.
  RunRecord other = SmallRun();
  for (const auto& [largest, log] :
       {std::pair("40", true), std::pair("10", false)}) {
    other =
        TestRun(std::string("model,rank,status,best_epoch,a.b,") +
                "validation_loss\n0,1,ok,1,1,1\n1,2,ok,1," + largest + ",2\n");
    EXPECT_EQ(FieldChart(other, Field(other, "a.b"), "validation_loss",
                         BestModels(other, 1))
                  .x.log,
              log);
  }
}

TEST(FieldChartTest, ALineJoinsTheMediansOfEqualValues) {
  const RunRecord run = SmallRun();
  const Chart chart =
      FieldChart(run, Field(run, "model.layers[0].out_features"),
                 "validation_accuracy", BestModels(run, 1));
  // Two models of 1, two of 500, one of 1000: five scores are too few.
  for (const Series& series : chart.series) EXPECT_NE(series.label, "median");
  const RunRecord pairs = TestRun(
      "model,rank,status,best_epoch,a.b,validation_loss\n"
      "0,1,ok,1,3,1\n1,2,ok,1,3,2\n2,3,ok,1,3,6\n3,4,ok,1,1,8\n");
  const Chart lines = FieldChart(pairs, Field(pairs, "a.b"), "validation_loss",
                                 BestModels(pairs, 0));
  ASSERT_EQ(lines.series[0].label, "median");
  EXPECT_THAT(lines.series[0].x, ElementsAre(1, 3));
  EXPECT_THAT(lines.series[0].y, ElementsAre(8, 2));
}

TEST(FieldChartTest, ScoresFarFromTheBestAreAtTheEdge) {
  const RunRecord run = TestRun(
      "model,rank,status,best_epoch,a.b,validation_loss\n"
      "0,1,ok,1,3,0.5\n1,2,ok,1,2,4\n2,3,ok,1,1,1e30\n");
  const Chart chart =
      FieldChart(run, Field(run, "a.b"), "validation_loss", BestModels(run, 1));
  EXPECT_LT(chart.y.max, 10);
  EXPECT_THAT(chart.y.label, HasSubstr("higher ones cut off"));
  const Series& beyond = chart.series[1];
  EXPECT_EQ(beyond.label, "beyond the axis");
  EXPECT_THAT(beyond.models, ElementsAre(2));
  EXPECT_THAT(beyond.y, ElementsAre(chart.y.max));
  EXPECT_THAT(beyond.tooltips[0], HasSubstr("1e+30"));
}

TEST(FieldChartTest, FieldsWithOneValueOrTextAreNotDrawn) {
  const RunRecord run = SmallRun();
  std::vector<std::string> names;
  for (const ResultsColumn* column : SweptNumbers(run)) {
    names.push_back(column->name);
  }
  EXPECT_THAT(names, UnorderedElementsAre("optimizer.lr",
                                          "model.layers[0].out_features"));
}

}  // namespace
}  // namespace modelbatch
