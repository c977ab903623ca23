#include "modelbatch/train/results_reader.h"

#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

template <typename T>
std::string ErrorOf(const absl::StatusOr<T>& result) {
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(result.status().message());
}

// Columns in an order that no build has written, one that is not known yet.
constexpr char kResults[] =
    "rank,model,optimizer.lr,status,validation_f1,best_epoch,train.schedule\n"
    "2,7,0.001,ok,0.5,3,cosine\n"
    "1,4,1e-05,\"frozen at step 3: \"\"a\"\", b\",,,step\n"
    "3,5,inf,stopped at step 9,0.25,1,step\n";

TEST(ParseResultsTest, FindsColumnsByName) {
  const auto table = ParseResults(kResults, "results.csv");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->models, ElementsAre(7, 4, 5));
  EXPECT_THAT(table->ranks, ElementsAre(2, 1, 3));
  EXPECT_THAT(table->ByRank(), ElementsAre(1, 0, 2));
  EXPECT_THAT(table->best_epochs, ElementsAre(3, 0, 1));
  EXPECT_EQ(table->statuses[1], "frozen at step 3: \"a\", b");
  EXPECT_TRUE(table->IsFrozen(1));
  EXPECT_FALSE(table->IsFrozen(2));  // an early stop is as planned
  ASSERT_EQ(table->swept.size(), 2u);
  EXPECT_EQ(table->swept[0].name, "optimizer.lr");
  EXPECT_THAT(table->swept[0].values, ElementsAre(0.001, 1e-5, INFINITY));
  EXPECT_THAT(table->swept[0].texts, ElementsAre("0.001", "1e-05", "inf"));
  EXPECT_FALSE(table->swept[1].numeric());
  EXPECT_THAT(table->swept[1].texts, ElementsAre("cosine", "step", "step"));
  ASSERT_EQ(table->scores.size(), 1u);
  ASSERT_EQ(table->FindScore("validation_f1"), &table->scores[0]);
  EXPECT_EQ(table->scores[0].values[0], 0.5);
  EXPECT_TRUE(std::isnan(table->scores[0].values[1]));
  EXPECT_EQ(table->FindScore("test_loss"), nullptr);
}

TEST(ParseResultsTest, ErrorsNameLineAndColumn) {
  const auto error = [](const std::string& rows) {
    return ErrorOf(ParseResults(
        "model,rank,status,best_epoch,validation_loss\n" + rows, "r.csv"));
  };
  EXPECT_EQ(error(""), "r.csv:2: there are no models");
  EXPECT_EQ(error("0,1,ok,2,0.5\n0,2,ok,2,0.5\n"),
            "r.csv:3: column model: found \"0\", expected each model once");
  EXPECT_EQ(error("0,1,ok,2,0.5\n1,1,ok,2,0.5\n"),
            "r.csv:3: column rank: found \"1\", expected each rank once");
  EXPECT_EQ(
      error("0,0,ok,2,0.5\n"),
      "r.csv:2: column rank: found \"0\", expected an integer of at least 1");
  EXPECT_EQ(error("0,1,ok,2,0.5\n1,2,ok,2,0.5x\n"),
            "r.csv:3: column validation_loss: found \"0.5x\", expected a "
            "number");
  EXPECT_EQ(error("0,1,ok,two,0.5\n"),
            "r.csv:2: column best_epoch: found \"two\", expected an integer of "
            "at least 1");
  EXPECT_EQ(error("0,1,ok,2,0.5\n1,2,ok"), "r.csv:3: the line is cut off");
  EXPECT_EQ(ErrorOf(ParseResults("model,status,best_epoch\n", "r.csv")),
            "r.csv:2: there are no models");
  EXPECT_EQ(ErrorOf(ParseResults("model,status\n0,ok\n", "r.csv")),
            "r.csv:1: there is no column \"rank\"");
  EXPECT_EQ(ErrorOf(ParseResults("model,model\n0,ok\n", "r.csv")),
            "r.csv:1: there are two columns \"model\"");
}

TEST(ParseCurvesTest, GathersEachModelsEpochs) {
  const auto table = ParseCurves(
      "lr,model,epoch,train_loss\n"
      "0.1,3,1,2\n"
      "0.2,1,1,\n"
      "0.05,3,2,1\n"
      "0.2,9,2,nan\n",
      "curves.csv");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->metrics, ElementsAre("lr", "train_loss"));
  ASSERT_EQ(table->models.size(), 3u);
  EXPECT_EQ(table->models[0].model, 3);
  EXPECT_THAT(table->models[0].epochs, ElementsAre(1, 2));
  EXPECT_THAT(table->models[0].values[0], ElementsAre(0.1, 0.05));
  EXPECT_THAT(table->models[0].values[1], ElementsAre(2, 1));
  EXPECT_EQ(table->models[1].model, 1);
  EXPECT_TRUE(std::isnan(table->models[1].values[1][0]));
  EXPECT_EQ(table->models[2].model, 9);
  EXPECT_THAT(table->models[2].epochs, ElementsAre(2));
}

TEST(ParseCurvesTest, ARunWithoutAnEpochHasNone) {
  const auto table = ParseCurves("epoch,model,train_loss\n", "curves.csv");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_TRUE(table->models.empty());
}

TEST(ParseCurvesTest, ErrorsNameLineAndColumn) {
  const auto error = [](const std::string& rows) {
    return ErrorOf(ParseCurves("epoch,model,train_loss\n" + rows, "c.csv"));
  };
  EXPECT_EQ(error("1,0,x\n"),
            "c.csv:2: column train_loss: found \"x\", expected a number");
  EXPECT_EQ(error("1,0,1\n1,0,1\n"),
            "c.csv:3: column epoch: found \"1\", expected more than 1, which "
            "model 0 has before");
  EXPECT_EQ(error("0,0,1\n"),
            "c.csv:2: column epoch: found \"0\", expected an integer of at "
            "least 1");
}

constexpr char kSummary[] = R"({
  "name": "digits", "finished": true, "models": 2,
  "epochs": {"done": 3, "planned": 4}, "steps": 12,
  "rows": {"train": 10, "validation": 5, "test": 6},
  "selected_by": "validation_loss", "best": null, "frozen": [], "events": "",
  "backend": {"name": "cpu", "version": "0.1.0", "build_id": "abc",
              "path": "/p.so", "device": "2 threads"},
  "modelbatch_version": "0.1.0",
  "machine": {"processor": "P", "cpus": 2, "host": "h", "system": "Linux"},
  "times": {"started": "a", "finished": "b", "seconds": 1.5,
            "model_rows_per_second": 20, "resumed": false},
  "memory": {"state_bytes": 7, "workspace_bytes": 8},
  "plan": "one\ntwo\n"
}
)";

TEST(ParseSummaryTest, ReadsEveryField) {
  const auto summary = ParseSummary(kSummary, "summary.json");
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->name, "digits");
  EXPECT_TRUE(summary->finished);
  EXPECT_EQ(summary->epochs_done, 3);
  EXPECT_EQ(summary->epochs_planned, 4);
  EXPECT_EQ(summary->test_rows, 6);
  EXPECT_EQ(summary->backend_build_id, "abc");
  EXPECT_EQ(summary->seconds, 1.5);
  EXPECT_EQ(summary->model_rows_per_second, 20);
  EXPECT_EQ(summary->ended, "b");
  EXPECT_EQ(summary->workspace_bytes, 8);
  EXPECT_EQ(summary->plan, "one\ntwo\n");
}

std::string Changed(const std::string& from, const std::string& to) {
  std::string text = kSummary;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(ParseSummaryTest, ErrorsNameLineOrField) {
  EXPECT_THAT(
      ErrorOf(ParseSummary(Changed("\"steps\": 12", "\"steps\": ,"), "s.json")),
      StartsWith("s.json:3: is not JSON: "));
  EXPECT_THAT(
      ErrorOf(ParseSummary(std::string(kSummary).substr(0, 300), "s.json")),
      HasSubstr("is not JSON"));
  // The parser's other exception.
  EXPECT_THAT(ErrorOf(ParseSummary(
                  Changed("\"steps\": 12", "\"steps\": 1e9999"), "s.json")),
              StartsWith("s.json: "));
  EXPECT_EQ(ErrorOf(ParseSummary(Changed("\"steps\"", "\"stops\""), "s.json")),
            "s.json: \"steps\" is missing");
  EXPECT_EQ(
      ErrorOf(ParseSummary(Changed("\"done\": 3", "\"done\": -3"), "s.json")),
      "s.json: \"epochs/done\" is -3, expected an integer of at least 0");
  EXPECT_EQ(ErrorOf(ParseSummary(Changed("\"cpu\"", "[1]"), "s.json")),
            "s.json: \"backend/name\" is [1], expected a string");
  EXPECT_EQ(ErrorOf(ParseSummary(Changed("true", "1"), "s.json")),
            "s.json: \"finished\" is 1, expected true or false");
  EXPECT_EQ(ErrorOf(ParseSummary("[]", "s.json")),
            "s.json:1: expected a JSON object");
}

}  // namespace
}  // namespace modelbatch
