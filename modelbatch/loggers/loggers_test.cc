// What loggers keep, refuse and take up again. Whether other tools read the
// files is tested in //tests/loggers.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/tf_record.h"
#include "modelbatch/loggers/csv.h"
#include "modelbatch/loggers/json_lines.h"
#include "modelbatch/loggers/metrics_logger.h"
#include "modelbatch/loggers/tensorboard.h"
#include "modelbatch/loggers/tensorboard_event.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

using Logger = absl::StatusOr<std::unique_ptr<MetricsLogger>>;

std::string Path(const std::string& name) {
  const std::string path = TestFolder() + "/loggers_" + name;
  fs::remove_all(path);
  return path;
}

absl::Status LogLoss(const Logger& logger, int64_t step,
                     const std::vector<int64_t>& models) {
  MetricsEntry entry;
  entry.step = step;
  entry.epoch = 1 + step / 4;
  entry.models = models;
  std::vector<double> losses;
  for (const int64_t model : models) {
    losses.push_back(static_cast<double>(model) + 1.0 / (1 + step));
  }
  entry.metrics = {{"loss", losses}};
  return (*logger)->Log(entry);
}

// Logs the steps [begin, end) of three models, of which the third begins late.
void LogSteps(const Logger& logger, int64_t begin, int64_t end) {
  ASSERT_TRUE(logger.ok()) << logger.status();
  for (int64_t step = begin; step < end; ++step) {
    std::vector<int64_t> models = {0, 7};
    if (step >= 6) models.push_back(12);
    ASSERT_TRUE(
        (*logger)->LogHyperParameters(models.back(), {{"lr", 0.1}}).ok());
    const absl::Status status = LogLoss(logger, step, models);
    ASSERT_TRUE(status.ok()) << status;
  }
  ASSERT_TRUE((*logger)->Flush().ok());
}

// ---- Lines

TEST(CsvLoggerTest, ALineAModel) {
  const std::string path = Path("a.csv");
  const Logger logger = OpenCsvLogger(path, {"loss", "accuracy"});
  ASSERT_TRUE(logger.ok()) << logger.status();
  const std::vector<int64_t> models = {3, 5, 6};
  ASSERT_TRUE(
      (*logger)->Log({8, 1, models, {{"loss", {0.5, kNaN, -kInf}}}}).ok());
  ASSERT_TRUE((*logger)
                  ->Log({9,
                         2,
                         models,
                         {{"accuracy", {1, 0.1, kInf}},
                          {"loss", {1e-300, -kNaN, 0.1f}}}})
                  .ok());
  ASSERT_TRUE((*logger)->Flush().ok());
  EXPECT_EQ(*ReadFile(path),
            "step,epoch,model,loss,accuracy\n"
            "8,1,3,0.5,\n8,1,5,nan,\n8,1,6,-inf,\n"
            "9,2,3,1e-300,1\n9,2,5,nan,0.1\n9,2,6,0.10000000149011612,inf\n");
}

TEST(JsonLinesLoggerTest, AnObjectAModel) {
  const std::string path = Path("a.jsonl");
  const Logger logger = OpenJsonLinesLogger(path);
  ASSERT_TRUE(logger.ok()) << logger.status();
  const std::vector<int64_t> models = {3, 5};
  ASSERT_TRUE((*logger)
                  ->Log({8,
                         1,
                         models,
                         {{"loss", {0.5, kNaN}}, {"\"\\\xc3\xa9", {kInf, 2}}}})
                  .ok());
  ASSERT_TRUE((*logger)->Flush().ok());
  EXPECT_EQ(*ReadFile(path),
            "{\"step\":8,\"epoch\":1,\"model\":3,\"loss\":0.5,"
            "\"\\\"\\\\\xc3\xa9\":null}\n"
            "{\"step\":8,\"epoch\":1,\"model\":5,\"loss\":null,"
            "\"\\\"\\\\\xc3\xa9\":2}\n");
}

// Other processes see what was flushed, and what is much; the rest when the
// logger is gone.
TEST(LoggersTest, KeepsInMemoryUntilFlush) {
  const std::string csv = Path("memory.csv");
  {
    const Logger logger = OpenCsvLogger(csv, {"loss"});
    ASSERT_TRUE(LogLoss(logger, 1, {0}).ok());
    EXPECT_EQ(*ReadFile(csv), "step,epoch,model,loss\n");
    ASSERT_TRUE((*logger)->Flush().ok());
    EXPECT_THAT(*ReadFile(csv), HasSubstr("\n1,1,0,0.5\n"));
    ASSERT_TRUE(LogLoss(logger, 2, {0}).ok());
  }
  EXPECT_THAT(*ReadFile(csv), HasSubstr("\n2,1,0,"));

  std::vector<int64_t> many(40000);
  for (size_t i = 0; i < many.size(); ++i)
    many[i] = static_cast<int64_t>(i % 3);
  const std::string jsonl = Path("memory.jsonl");
  const Logger lines = OpenJsonLinesLogger(jsonl);
  ASSERT_TRUE(LogLoss(lines, 1, many).ok());
  EXPECT_GT(fs::file_size(jsonl), 100000u);
  const std::string folder = Path("memory_tensorboard");
  const Logger events = OpenTensorBoardLogger(folder);
  ASSERT_TRUE(LogLoss(events, 1, {0}).ok());
  EXPECT_FALSE(fs::exists(folder + "/model_0"));
  for (int64_t step = 2; step < 12; ++step) {
    ASSERT_TRUE(LogLoss(events, step, many).ok());
  }
  EXPECT_TRUE(fs::exists(folder + "/model_0"));
}

// ---- Resuming

using Open = Logger (*)(const std::string& path, std::optional<int64_t> step);

Logger OpenCsv(const std::string& path, std::optional<int64_t> step) {
  return OpenCsvLogger(path, {"loss"}, step);
}
Logger OpenJsonLines(const std::string& path, std::optional<int64_t> step) {
  return OpenJsonLinesLogger(path, step);
}

class LineLoggerTest : public ::testing::TestWithParam<Open> {};
INSTANTIATE_TEST_SUITE_P(Both, LineLoggerTest,
                         ::testing::Values(OpenCsv, OpenJsonLines));

// Whatever was written after the step of the checkpoint, and wherever the file
// was cut: it ends as that of a run that was never stopped.
TEST_P(LineLoggerTest, ResumesWithoutDuplicatesOrGaps) {
  const std::string path = Path("whole");
  LogSteps(GetParam()(path, std::nullopt), 1, 12);
  const std::string whole = *ReadFile(path);
  const std::string cut = Path("cut");
  for (const int64_t checkpoint : {0, 5, 6, 11}) {
    for (size_t size = 0; size <= whole.size();
         size += checkpoint == 0 ? 7 : 1) {
      // The flush before the checkpoint has written its step.
      const std::string last = std::to_string(checkpoint + 1);
      const size_t next = std::min(whole.find("\n" + last + ","),
                                   whole.find("\n{\"step\":" + last + ","));
      if (checkpoint > 0 && checkpoint < 11 && size <= next) continue;
      if (checkpoint == 11 && size < whole.size()) continue;
      fs::remove(cut);
      std::ofstream(cut) << whole.substr(0, size);
      LogSteps(GetParam()(cut, checkpoint), checkpoint + 1, 12);
      ASSERT_EQ(*ReadFile(cut), whole) << checkpoint << " " << size;
    }
  }
}

TEST_P(LineLoggerTest, ResumesWithoutAFile) {
  const std::string path = Path("none");
  LogSteps(GetParam()(path, 4), 5, 7);
  EXPECT_THAT(*ReadFile(path), HasSubstr("0.14285714285714285"));
}

TEST_P(LineLoggerTest, NeverWritesOverAFile) {
  const std::string path = Path("kept");
  LogSteps(GetParam()(path, std::nullopt), 1, 3);
  const std::string kept = *ReadFile(path);
  const Logger again = GetParam()(path, std::nullopt);
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*ReadFile(path), kept);
}

// A damaged file is no reason to throw away what follows the damage.
TEST_P(LineLoggerTest, RefusesADamagedFile) {
  const std::string path = Path("damaged");
  LogSteps(GetParam()(path, std::nullopt), 1, 5);
  std::string damaged = *ReadFile(path);
  damaged[damaged.find("\n2,") != std::string::npos ? damaged.find("\n2,") + 1
                                                    : damaged.find("}")] = '!';
  ASSERT_TRUE(WriteFileAtomically(path, damaged).ok());
  const Logger logger = GetParam()(path, 4);
  EXPECT_EQ(logger.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(logger.status().message()),
              HasSubstr("expected a line of metrics"));
  EXPECT_EQ(*ReadFile(path), damaged);
}

TEST(CsvLoggerTest, RefusesOtherColumns) {
  const std::string path = Path("columns.csv");
  LogSteps(OpenCsvLogger(path, {"loss"}), 1, 3);
  const Logger other = OpenCsvLogger(path, {"accuracy"}, 2);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(other.status().message(),
            path +
                ": begins with \"step,epoch,model,loss\", expected "
                "\"step,epoch,model,accuracy\"");
}

// ---- TensorBoard

std::string EventFile(const std::string& folder, int64_t model) {
  return folder + "/model_" + std::to_string(model) +
         "/events.out.tfevents.modelbatch";
}

struct Events {
  std::vector<int64_t> steps;
  int hyper_parameters = 0;
};

Events ReadEvents(const std::string& path) {
  const std::string file = *ReadFile(path);
  TfRecordReader reader(file);
  std::string_view record;
  Events events;
  while (*reader.Next(&record)) {
    const auto event = ReadEvent(record);
    EXPECT_TRUE(event.ok()) << event.status();
    events.steps.push_back(event->step);
    events.hyper_parameters += event->hyper_parameters;
  }
  EXPECT_EQ(reader.offset(), file.size());
  return events;
}

TEST(TensorBoardLoggerTest, ResumesWithoutDuplicatesOrGaps) {
  const std::string whole = Path("whole_tensorboard");
  LogSteps(OpenTensorBoardLogger(whole), 1, 12);
  // The version, the hyper-parameters, a record a step.
  EXPECT_THAT(ReadEvents(EventFile(whole, 7)).steps,
              ElementsAre(0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(ReadEvents(EventFile(whole, 12)).steps,
              ElementsAre(0, 6, 6, 7, 8, 9, 10, 11));
  for (const int64_t checkpoint : {-1, 0, 1, 5, 6, 7, 11}) {
    for (const size_t cut : {0, 1, 15, 16, 20, 60}) {
      if (checkpoint > 6 && cut > 0) continue;  // then its own step is cut
      const std::string folder = Path("resumed_tensorboard");
      fs::copy(whole, folder, fs::copy_options::recursive);
      for (const int64_t model : {0, 12}) {
        const std::string file = EventFile(folder, model);
        fs::resize_file(file, fs::file_size(file) - cut);
      }
      const Logger logger = OpenTensorBoardLogger(folder, checkpoint);
      ASSERT_TRUE(logger.ok()) << logger.status();
      EXPECT_EQ(fs::exists(folder + "/model_12"), checkpoint >= 6);
      LogSteps(logger, std::max<int64_t>(checkpoint, 0) + 1, 12);
      for (const int64_t model : {0, 7, 12}) {
        const Events events = ReadEvents(EventFile(folder, model));
        const Events expected = ReadEvents(EventFile(whole, model));
        EXPECT_EQ(events.steps, expected.steps) << checkpoint << " " << cut;
        EXPECT_EQ(events.hyper_parameters, expected.hyper_parameters);
      }
    }
  }
}

TEST(TensorBoardLoggerTest, NeverWritesIntoAnotherRun) {
  const std::string folder = Path("other_tensorboard");
  LogSteps(OpenTensorBoardLogger(folder), 1, 3);
  const Logger again = OpenTensorBoardLogger(folder);
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.status().message()), HasSubstr(folder));
}

TEST(TensorBoardLoggerTest, RefusesADamagedFile) {
  const std::string folder = Path("damaged_tensorboard");
  LogSteps(OpenTensorBoardLogger(folder), 1, 5);
  std::string bytes = *ReadFile(EventFile(folder, 7));
  bytes[70] ^= 4;
  ASSERT_TRUE(WriteFileAtomically(EventFile(folder, 7), bytes).ok());
  const Logger logger = OpenTensorBoardLogger(folder, 4);
  EXPECT_EQ(logger.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(logger.status().message()),
              HasSubstr(EventFile(folder, 7)));
  EXPECT_EQ(*ReadFile(EventFile(folder, 7)), bytes);
  // A record that is whole but no event.
  std::string file;
  AppendTfRecord("\xff\xff", &file);
  ASSERT_TRUE(WriteFileAtomically(EventFile(folder, 7), file).ok());
  EXPECT_EQ(OpenTensorBoardLogger(folder, 4).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(TensorBoardLoggerTest, HyperParametersAreNoLists) {
  const Logger logger = OpenTensorBoardLogger(Path("lists_tensorboard"));
  const absl::Status status = (*logger)->LogHyperParameters(
      3, {{"lr", 0.1}, {"sizes", std::vector<int64_t>{1, 2}}});
  EXPECT_EQ(status.message(),
            "hyper-parameter \"sizes\" is a list, expected a number, a string "
            "or a boolean");
}

// ---- What all refuse

TEST(LoggersTest, ErrorsNameWhatDoesNotFit) {
  const std::string path = Path("errors.csv");
  std::vector<Logger> loggers;
  loggers.push_back(OpenCsvLogger(path, {"loss"}));
  loggers.push_back(OpenJsonLinesLogger(Path("errors.jsonl")));
  loggers.push_back(OpenTensorBoardLogger(Path("errors_tensorboard")));
  const std::vector<int64_t> models = {0, 1}, negative = {0, -3};
  for (const Logger& logger : loggers) {
    const auto message = [&logger](const MetricsEntry& entry) {
      const absl::Status status = (*logger)->Log(entry);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      return std::string(status.message());
    };
    ASSERT_TRUE((*logger)->Log({5, 1, models, {{"loss", {1, 2}}}}).ok());
    EXPECT_EQ(message({4, 1, models, {{"loss", {1, 2}}}}),
              "metrics of step 4 after those of step 5, expected steps that do "
              "not decrease");
    EXPECT_EQ(
        message({6, 1, models, {{"loss", {1}}}}),
        "metric \"loss\" has 1 values, expected one for each of 2 models");
    EXPECT_EQ(message({6, 1, negative, {{"loss", {1, 2}}}}),
              "metrics of model -3, expected an id of at least 0");
    EXPECT_EQ(message({6, 1, models, {{"loss", {1, 2}}, {"loss", {1, 2}}}}),
              "metric \"loss\" is there twice");
    EXPECT_EQ(message({6, 1, models, {{"model", {1, 2}}}}),
              "a metric is named \"model\", which every entry has of itself");
    for (const char* name : {"", "a\nb", "\xff"}) {
      EXPECT_THAT(message({6, 1, models, {{name, {1, 2}}}}),
                  HasSubstr("expected UTF-8 text without control characters"));
    }
    ASSERT_TRUE((*logger)->Log({5, 1, models, {{"loss", {1, 2}}}}).ok());
    ASSERT_TRUE((*logger)->Flush().ok());
  }
  EXPECT_EQ((*loggers[0])->Log({5, 1, models, {{"acc", {1, 2}}}}).message(),
            path + " has no column for the metric \"acc\"; it has: loss");
  EXPECT_EQ(*ReadFile(path),
            "step,epoch,model,loss\n5,1,0,1\n5,1,1,2\n5,1,0,1\n5,1,1,2\n");
  EXPECT_EQ(OpenCsvLogger(Path("x.csv"), {"a", "a"}).status().message(),
            "the column \"a\" is there twice");
  EXPECT_FALSE(OpenCsvLogger(Path("x.csv"), {"a,b"}).ok());
  EXPECT_FALSE(OpenCsvLogger(Path("x.csv"), {"epoch"}).ok());
  // A resumed log takes no steps of before.
  const Logger resumed = OpenCsvLogger(path, {"loss"}, 9);
  EXPECT_FALSE((*resumed)->Log({8, 1, models, {{"loss", {1, 2}}}}).ok());
}

TEST(LoggersTest, AFolderThatIsNotThere) {
  const std::string folder = Path("nowhere");
  for (Open open : {OpenCsv, OpenJsonLines}) {
    const Logger logger = open(folder + "/a", 3);
    EXPECT_THAT(std::string(logger.status().message()), HasSubstr(folder));
  }
}

}  // namespace
}  // namespace modelbatch
