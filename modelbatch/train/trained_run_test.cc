#include "modelbatch/train/trained_run.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/io/sealed_safetensors.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/failing_backend.h"
#include "modelbatch/train/new_rows.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/run_training.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TrainedRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(TestFolder()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    backend_ = CpuBackendForTest();
  }

  // A finished run of the test experiment.
  RunFolder Train(const std::vector<std::string>& overrides = {}) {
    experiment_ = TestExperiment(overrides);
    experiment_.config.train.output = root_.string();
    RunFolder folder = *RunFolder::Create(experiment_.config);
    RunOptions options;
    options.info = RunInfo::OfThisMachine();
    options.info.backend = "cpu";
    auto result =
        RunTraining(experiment_, backend_.get(), folder, options, nullptr);
    EXPECT_TRUE(result.ok()) << result.status();
    state_ = std::move(result->state);
    return folder;
  }

  static absl::StatusOr<TrainedRun> Load(
      const RunFolder& folder, const std::vector<std::string>& overrides = {}) {
    auto config = LoadExperiment(folder.config(), overrides);
    if (!config.ok()) return config.status();
    return LoadTrainedRun(folder, *std::move(config));
  }

  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = (root_ / name).string();
    std::ofstream(path) << text;
    return path;
  }

  fs::path root_;
  std::unique_ptr<Backend> backend_;
  Experiment experiment_;
  TrainState state_;
};

// As trainer_test has it of a training: what refuses it is the cpu's Compile.
TEST_F(TrainedRunTest, PredictsInTheRunsPrecision) {
  const RunFolder folder = Train();
  auto run = Load(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  const auto data =
      ReadNewRows(*run, {{experiment_.config.data.main.path}, "", ""});
  ASSERT_TRUE(data.ok()) << data.status();
  run->experiment.config.backend.precision = "bf16";
  FailingBackend backend(CpuBackendForTest());
  backend.mutable_capabilities()->precisions.push_back("bf16");
  EXPECT_THAT(
      std::string(
          Predictor::Create(*run, {0}, *data, &backend).status().message()),
      HasSubstr("precision \"bf16\" is not in this backend"));
}

// The leaderboard's test accuracy, from predictions of the same rows.
TEST_F(TrainedRunTest, EveryModelScoresWhatTheTrainerFound) {
  const RunFolder folder = Train();
  const auto run = Load(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->usable, Ranking(experiment_, state_));
  const auto data =
      ReadNewRows(*run, {{experiment_.config.data.main.path}, "", ""});
  ASSERT_TRUE(data.ok()) << data.status();
  const auto predictor =
      Predictor::Create(*run, run->usable, *data, backend_.get());
  ASSERT_TRUE(predictor.ok()) << predictor.status();
  std::vector<Tensor> outputs;
  ASSERT_TRUE((*predictor)->Predict(0, data->rows(), &outputs).ok());
  ASSERT_EQ(outputs.size(), 8u);
  for (size_t i = 0; i < outputs.size(); ++i) {
    ASSERT_EQ(outputs[i].shape(), (Shape{120, 3}));
    int64_t correct = 0;
    for (int32_t row : experiment_.split.test) {
      const float* x = outputs[i].data<float>() + 3 * row;
      correct +=
          std::max_element(x, x + 3) - x == data->targets.data<int64_t>()[row];
    }
    EXPECT_EQ(correct, state_.models[run->usable[i]].best_test.correct);
  }
  // In pieces, in another order, alone: the same numbers.
  const int model = run->usable[5];
  const auto alone = Predictor::Create(*run, {model}, *data, backend_.get());
  ASSERT_TRUE(alone.ok()) << alone.status();
  for (int64_t begin : {100, 0, 37}) {
    std::vector<Tensor> part;
    ASSERT_TRUE((*alone)->Predict(begin, begin + 20, &part).ok());
    ASSERT_EQ(part[0].shape(), (Shape{20, 3}));
    for (int64_t i = 0; i < 60; ++i) {
      EXPECT_EQ(part[0].data<float>()[i],
                outputs[5].data<float>()[3 * begin + i]);
    }
  }
}

TEST_F(TrainedRunTest, NeitherDataNorLabelsAreNeeded) {
  const RunFolder folder = Train({"data.scale=0.5"});
  fs::remove(experiment_.config.data.main.path);
  const auto run = Load(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->input_shape(), (Shape{4}));
  const auto data =
      ReadNewRows(*run, {{Write("new.csv", "1,2,3,4\n5,6,7,8\n")}, "", ""});
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_FALSE(data->has_targets());
  EXPECT_EQ(data->features.data<float>()[7], 4);
  EXPECT_THAT(
      ReadNewRows(*run, {{Write("bad.csv", "1,2,3\n")}, "", ""})
          .status()
          .message(),
      HasSubstr("bad.csv:1: the row has 3 columns, expected 4, or 5 with the "
                "label"));
}

TEST_F(TrainedRunTest, InputShapeIsTheRuns) {
  const RunFolder folder =
      Train({"model.input=[2, 2]",
             "model.layers=[{kind=\"flatten\"}, {kind=\"linear\", "
             "out_features=3}]"});
  const auto run = Load(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->input_shape(), (Shape{2, 2}));
  const auto data =
      ReadNewRows(*run, {{Write("new.csv", "1,2,3,4,0\n")}, "", ""});
  ASSERT_TRUE(data.ok()) << data.status();
  const auto predictor = Predictor::Create(*run, {0}, *data, backend_.get());
  ASSERT_TRUE(predictor.ok()) << predictor.status();
  std::vector<Tensor> outputs;
  EXPECT_TRUE((*predictor)->Predict(0, 1, &outputs).ok());
}

// Columns in another order would be predicted from silently.
TEST_F(TrainedRunTest, SwappedColumnsAreNamed) {
  std::string text = "a,b,c,d,kind\n";
  for (int i = 0; i < 60; ++i) {
    text += std::to_string(i) + ",1,2,3," + std::to_string(i % 3) + "\n";
  }
  const std::string path = TestFolder() + "/named.csv";
  std::ofstream(path) << text;
  const RunFolder folder =
      Train({"data.path=" + path, "data.header=true", "data.label=kind"});
  const auto run = Load(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(run->feature_names, ::testing::ElementsAre("a", "b", "c", "d"));
  const auto error = [&](const std::string& header) {
    const auto data =
        ReadNewRows(*run, {{Write("new.csv", header + "\n1,2,3,4\n")}, "", ""});
    return data.ok() ? "no error" : std::string(data.status().message());
  };
  EXPECT_EQ(error("a,b,c,d"), "no error");
  EXPECT_THAT(error("a,c,b,d"),
              HasSubstr("new.csv does not fit the data that the run was "
                        "trained on: feature 2 is \"c\", expected \"b\", which "
                        "is feature 3: the columns are in another order"));
  EXPECT_THAT(error("a,b,c,e"),
              HasSubstr("feature 4 is \"e\", expected \"d\""));
  // The label may stand anywhere.
  const auto labelled = ReadNewRows(
      *run, {{Write("new.csv", "a,kind,b,c,d\n1,2,3,4,5\n")}, "", ""});
  ASSERT_TRUE(labelled.ok()) << labelled.status();
  EXPECT_EQ(labelled->targets.data<int64_t>()[0], 2);
  // A first line of numbers is no header.
  EXPECT_THAT(error("0.5,1,2,3"),
              HasSubstr("feature 1 is \"0.5\", expected \"a\""));
}

// A model that was frozen after an epoch has weights; one before has none.
TEST_F(TrainedRunTest, FrozenModels) {
  const RunFolder folder = Train(ExplodingOverrides());
  const auto run = Load(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->usable.size(), 4u);
  const auto data =
      ReadNewRows(*run, {{experiment_.config.data.main.path}, "", ""});
  ASSERT_TRUE(data.ok()) << data.status();
  for (int model = 0; model < 8; ++model) {
    ASSERT_EQ(run->state.models[model].frozen(), model >= 4);
    const absl::Status status =
        Predictor::Create(*run, {model}, *data, backend_.get()).status();
    if (model < 4) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_THAT(status.message(),
                  HasSubstr("model " + std::to_string(model) +
                            " has no weights to predict with: frozen at step"));
    }
  }
  // Frozen later, in the eyes of the predictor: it has its best weights.
  TrainedRun later = *Load(folder);
  later.state.models[2].frozen_step = 14;
  EXPECT_TRUE(
      Predictor::Create(later, {2}, *data, backend_.get()).status().ok());
}

TEST_F(TrainedRunTest, OutputsThatAreNotFinite) {
  const RunFolder folder = Train();
  auto run = Load(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  // Overflows for large features, and for these only.
  Tensor& weight = run->state.models[3].best.at("0.weight");
  std::fill_n(weight.data<float>(), weight.size(), 1e9f);
  const auto data = ReadNewRows(
      *run, {{Write("huge.csv", "0,0,0,0\n3e38,3e38,3e38,3e38\n")}, "", ""});
  ASSERT_TRUE(data.ok()) << data.status();
  const auto predictor = Predictor::Create(*run, {3}, *data, backend_.get());
  ASSERT_TRUE(predictor.ok()) << predictor.status();
  std::vector<Tensor> outputs;
  EXPECT_TRUE((*predictor)->Predict(0, 1, &outputs).ok());
  const absl::Status status = (*predictor)->Predict(1, 2, &outputs);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("model 3 gives "));
  EXPECT_THAT(status.message(), HasSubstr(" for row 1 (from 0)"));
}

TEST_F(TrainedRunTest, RunsThatCannotPredict) {
  const RunFolder folder = Train();
  // Another config.
  EXPECT_THAT(Load(folder, {"train.batch_size=8"}).status().message(),
              HasSubstr("the config is not that of the checkpoint"));
  // Other sizes of the models' input.
  const auto rewrite = [&](std::vector<int64_t> shape) {
    Safetensors file = *ReadSealedSafetensors(folder.checkpoint());
    const int64_t size = static_cast<int64_t>(shape.size());
    file.tensors["run.input_shape"] = Tensor::FromVector(shape, {size});
    std::vector<NamedTensor> tensors;
    for (const auto& [name, tensor] : file.tensors) {
      tensors.push_back({name, &tensor});
    }
    ASSERT_TRUE(
        WriteSealedSafetensors(folder.checkpoint(), tensors, file.metadata)
            .ok());
  };
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{-4}, std::vector<int64_t>{},
        std::vector<int64_t>{int64_t{1} << 40, int64_t{1} << 40}}) {
    rewrite(shape);
    EXPECT_FALSE(Load(folder).ok());
  }
  rewrite({5});
  const auto run = Load(folder);
  ASSERT_TRUE(run.ok()) << run.status();
  const auto data =
      ReadNewRows(*run, {{Write("new.csv", "1,2,3,4,5\n")}, "", ""});
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(
      Predictor::Create(*run, {0}, *data, backend_.get()).status().message(),
      HasSubstr("param 0.weight is float32 [5, 4], expected float32 "
                "[5, 5]"));
  // No epoch, no checkpoint.
  rewrite({4});
  Safetensors file = *ReadSealedSafetensors(folder.checkpoint());
  file.tensors["run.best_epoch"] = Tensor::Zeros(DType::kInt64, {8});
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : file.tensors) {
    tensors.push_back({name, &tensor});
  }
  ASSERT_TRUE(
      WriteSealedSafetensors(folder.checkpoint(), tensors, file.metadata).ok());
  EXPECT_EQ(Load(folder).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Load(folder).status().message(),
              HasSubstr("no model has finished an epoch"));
  fs::remove(folder.checkpoint());
  EXPECT_THAT(Load(folder).status().message(),
              HasSubstr("the run has no checkpoint yet"));
}

}  // namespace
}  // namespace modelbatch
