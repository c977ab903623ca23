#include "modelbatch/train/results.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/train/test_experiment.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

Score MakeScore(double loss, int64_t correct) {
  Score score;
  score.loss = loss;
  score.correct = correct;
  return score;
}

// Eight models: 24 rows to validate and 24 to test.
TrainState MakeState() {
  TrainState state;
  state.epoch = 3;
  state.step = 15;
  state.models.resize(8);
  const std::vector<int64_t> correct = {18, 24, 24, 20, 12, 6, 0, 0};
  const std::vector<double> loss = {0.5, 0.25, 0.125, 0.75, 1, 2, 0, 0};
  for (int i = 0; i < 6; ++i) {
    state.models[i].best_epoch = 2;
    state.models[i].best_validation = MakeScore(loss[i], correct[i]);
    state.models[i].best_test = MakeScore(loss[i] * 2, correct[i] / 2);
  }
  state.models[5].frozen_step = 12;
  state.models[5].frozen_reason = "non-finite loss";
  for (int i : {6, 7}) {
    state.models[i].frozen_step = 1;
    state.models[i].frozen_reason = "non-finite gradient";
  }
  EpochCurve curve;
  curve.train_loss.assign(8, 0.5);
  curve.validation.assign(8, MakeScore(0.25, 12));
  curve.train_loss[6] = std::nan("");
  curve.validation[6] = Score();
  curve.lr.assign(8, 0.01);
  curve.lr[6] = std::nan("");
  state.curves = {curve};
  return state;
}

TEST(RankingTest, AccuracyThenLossThenId) {
  const Experiment experiment = TestExperiment();
  EXPECT_EQ(Ranking(experiment, MakeState()),
            (std::vector<int>{2, 1, 3, 0, 4, 5, 6, 7}));
}

TEST(RankingTest, ByLossWhenTheConfigSaysSo) {
  const Experiment experiment =
      TestExperiment({"train.select=validation_loss"});
  EXPECT_EQ(Ranking(experiment, MakeState()),
            (std::vector<int>{2, 1, 0, 3, 4, 5, 6, 7}));
}

TEST(ResultsCsvTest, OneLineAModel) {
  const Experiment experiment = TestExperiment();
  const std::string csv = ResultsCsv(experiment, MakeState());
  EXPECT_THAT(csv, HasSubstr("model,seed,optimizer.lr,model.layers[0]."
                             "out_features,model.layers[2].p,rank,status,"
                             "best_epoch,validation_loss,validation_accuracy,"
                             "test_loss,test_accuracy\n"));
  const auto line = [&](int id, const std::string& rest) {
    return "\n" + std::to_string(id) + "," +
           std::to_string(experiment.population.models[id].seed) + "," + rest +
           "\n";
  };
  EXPECT_THAT(csv, HasSubstr(line(0, "0.01,5,0,4,ok,2,0.5,0.75,1,0.375")));
  EXPECT_THAT(csv, HasSubstr(line(5,
                                  "0.03,5,0.3,6,frozen at step 12: "
                                  "non-finite loss,2,2,0.25,4,0.125")));
  EXPECT_THAT(csv, HasSubstr(line(7,
                                  "0.03,8,0.3,8,frozen at step 1: "
                                  "non-finite gradient,,,,,")));
}

TEST(StatusOfTest, SaysWhatEndedIt) {
  ModelRecord record;
  EXPECT_EQ(StatusOf(record), "ok");
  record.frozen_step = 7;
  record.frozen_by = EventKind::kEarlyStop;
  record.frozen_reason = "no improvement";
  EXPECT_EQ(StatusOf(record), "stopped at step 7: no improvement");
  record.frozen_by = EventKind::kRemove;
  record.frozen_reason = "";
  EXPECT_EQ(StatusOf(record), "removed at step 7");
}

TEST(ResultsCsvTest, QuotesAReason) {
  TrainState state = MakeState();
  state.models[5].frozen_reason = "worse, by \"far\"";
  EXPECT_THAT(ResultsCsv(TestExperiment(), state),
              HasSubstr(",\"frozen at step 12: worse, by \"\"far\"\"\",2,"));
}

TEST(CurvesCsvTest, EmptyWhereThereIsNothing) {
  const std::string csv = CurvesCsv(TestExperiment(), MakeState());
  EXPECT_THAT(csv, HasSubstr("epoch,model,train_loss,validation_loss,"
                             "validation_accuracy,lr\n"
                             "1,0,0.5,0.25,0.5,0.01\n"));
  EXPECT_THAT(csv, HasSubstr("\n1,6,,,,\n"));
}

TEST(SummaryJsonTest, IsJsonAndNamesTheBestAndTheFrozen) {
  SessionStats stats;
  stats.plan = "a plan";
  RunTimes times;
  times.seconds = 2;
  times.model_rows = 1000;
  RunInfo info;
  info.backend = "cpu";
  info.backend_build_id = "abc";
  const auto json = nlohmann::json::parse(
      SummaryJson(TestExperiment(), MakeState(), info, stats, times));
  EXPECT_EQ(json["best"]["model"], 2);
  EXPECT_EQ(json["best"]["values"]["model.layers[0].out_features"], 8);
  EXPECT_EQ(json["best"]["validation_accuracy"], 1.0);
  EXPECT_EQ(json["best"]["test_accuracy"], 0.5);
  ASSERT_EQ(json["frozen"].size(), 3u);
  EXPECT_EQ(json["frozen"][0]["model"], 5);
  EXPECT_EQ(json["frozen"][0]["step"], 12);
  EXPECT_EQ(json["frozen"][0]["reason"], "non-finite loss");
  EXPECT_EQ(json["times"]["model_rows_per_second"], 500);
  EXPECT_EQ(json["backend"]["build_id"], "abc");
}

}  // namespace
}  // namespace modelbatch
