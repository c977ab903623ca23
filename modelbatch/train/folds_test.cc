// Cross-validation from rows to results.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/failing_backend.h"
#include "modelbatch/train/fold_summary.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_training.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/train/trained_run.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/train/verify.h"
#include "modelbatch/util/status_macros.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

// 120 blobs: 24 to test, 96 in folds.
std::vector<std::string> Folds(const std::string& table,
                               std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"data.split={test=0.2}", "data.folds=" + table});
  return more;
}

std::string ErrorOf(const std::vector<std::string>& overrides) {
  auto config = ParseExperiment(TestConfig(), "blobs.toml", overrides);
  if (!config.ok()) return std::string(config.status().message());
  const auto experiment = PrepareExperiment(*std::move(config));
  return experiment.ok() ? "no error"
                         : std::string(experiment.status().message());
}

std::vector<int64_t> LabelsOf(const Experiment& experiment,
                              const std::vector<int32_t>& rows) {
  std::vector<int64_t> count(3);
  for (const int32_t row : rows) {
    ++count[experiment.data->targets.data<int64_t>()[row]];
  }
  return count;
}

// Every row that is not for the test is validated on in one fold, and trained
// on in all others.
TEST(FoldsTest, DivideWhatTheTestLeaves) {
  const Experiment experiment = TestExperiment(Folds("{count=4}"));
  ASSERT_EQ(experiment.folds.size(), 4u);
  EXPECT_EQ(experiment.split.test.size(), 24u);
  const std::set<int32_t> test(experiment.split.test.begin(),
                               experiment.split.test.end());
  std::map<int32_t, int> validated, trained;
  for (const FoldRows& fold : experiment.folds) {
    EXPECT_EQ(fold.counted_validation, 24u);
    // 32 rows a class are left.
    EXPECT_EQ(LabelsOf(experiment, *fold.validation),
              (std::vector<int64_t>{8, 8, 8}));
    EXPECT_EQ(LabelsOf(experiment, *fold.train),
              (std::vector<int64_t>{24, 24, 24}));
    for (const int32_t row : *fold.validation) ++validated[row];
    for (const int32_t row : *fold.train) ++trained[row];
  }
  EXPECT_EQ(validated.size(), 96u);
  for (const auto& [row, times] : validated) {
    EXPECT_EQ(times, 1);
    EXPECT_EQ(trained[row], 3);
    EXPECT_EQ(test.count(row), 0u);
  }
  EXPECT_EQ(trained.size(), 96u);
  // Seeds differ, the rest is the same.
  const Experiment other = TestExperiment(Folds("{count=4, seed=1}"));
  EXPECT_EQ(other.split.test, experiment.split.test);
  EXPECT_NE(*other.folds[0].validation, *experiment.folds[0].validation);
}

// A seed that suits a setting in all of its folds would be taken for its merit.
TEST(FoldsTest, EachFoldOfASettingHasASeedOfItsOwn) {
  const Experiment experiment = TestExperiment(Folds("{count=4}"));
  std::set<uint64_t> seeds;
  for (const ModelInstance& model : experiment.population.models) {
    seeds.insert(model.seed);
  }
  EXPECT_EQ(seeds.size(), experiment.population.models.size());
}

TEST(FoldsTest, RowsThatDoNotCountAreSpreadToo) {
  const Experiment experiment =
      TestExperiment(Folds("{count=4}", {"loss={ignore_index=2}"}));
  for (const FoldRows& fold : experiment.folds) {
    EXPECT_EQ(LabelsOf(experiment, *fold.validation),
              (std::vector<int64_t>{8, 8, 8}));
    EXPECT_EQ(fold.counted_validation, 16u);
  }
}

TEST(FoldsTest, ErrorsNameTheKey) {
  EXPECT_THAT(ErrorOf(Folds("{count=97}")),
              HasSubstr("data.folds.count: num_folds is 97, expected 2 to 96, "
                        "the number of rows"));
  EXPECT_THAT(ErrorOf(Folds("{count=200000}")),
              HasSubstr("expected an integer from 2 to 10000"));
  // 120 rows of which one counts: three folds have none to validate on.
  const std::string path = TestFolder() + "/one.csv";
  std::ofstream out(path);
  for (int i = 0; i < 20; ++i) out << i << (i == 7 ? ",0\n" : ",5\n");
  out.close();
  EXPECT_THAT(
      ErrorOf({"data.path=" + path, "data.split={test=0}",
               "data.folds={count=4}", "loss={ignore_index=5}"}),
      HasSubstr("part is ignore_index, 5, expected at least one other"));
}

TEST(FoldsTest, ABackendWithoutRaggedRowsIsNamed) {
  FailingBackend backend(CpuBackendForTest());
  std::vector<std::string>* features =
      &backend.mutable_capabilities()->features;
  features->erase(
      std::remove(features->begin(), features->end(), "ragged_rows"),
      features->end());
  const Experiment folds = TestExperiment(Folds("{count=4}"));
  const absl::Status status = Trainer::Create(&folds, &backend).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("data.folds: backend \"cpu\" lacks the feature "
                        "\"ragged_rows\""));
  // One model needs nothing of the kind.
  const Experiment single = SingleModel(folds, 3);
  EXPECT_TRUE(Trainer::Create(&single, &backend).ok());
  const Experiment sizes =
      TestExperiment({"train.batch_size={values=[8, 16]}"});
  EXPECT_THAT(std::string(Trainer::Create(&sizes, &backend).status().message()),
              HasSubstr("train.batch_size: backend \"cpu\" lacks the feature "
                        "\"ragged_rows\""));
}

// ---- Training -------------------------------------------------------------

// Softmax regression of four features and three classes, in double.
struct Reference {
  std::vector<double> weight, bias;  // [3, 4], [3]

  void Load(ModelBatch& batch, int model) {
    const Tensor w = *batch.GetParameter(model, "0.weight");
    const Tensor b = *batch.GetParameter(model, "0.bias");
    weight.assign(w.data<float>(), w.data<float>() + 12);
    bias.assign(b.data<float>(), b.data<float>() + 3);
  }

  // Mean loss over the rows; adds the gradient's step -lr * gradient.
  double Step(const Experiment& experiment, const std::vector<int32_t>& rows,
              double lr) {
    std::vector<double> dw(12), db(3);
    double loss = 0;
    for (const int32_t row : rows) {
      const float* x = experiment.data->features.data<float>() + 4 * row;
      const int64_t label = experiment.data->targets.data<int64_t>()[row];
      double p[3], sum = 0;
      for (int c = 0; c < 3; ++c) {
        p[c] = bias[c];
        for (int i = 0; i < 4; ++i) p[c] += weight[4 * c + i] * x[i];
        p[c] = std::exp(p[c]);
        sum += p[c];
      }
      loss -= std::log(p[label] / sum);
      for (int c = 0; c < 3; ++c) {
        const double d = p[c] / sum - (c == label);
        db[c] += d;
        for (int i = 0; i < 4; ++i) dw[4 * c + i] += d * x[i];
      }
    }
    const double n = static_cast<double>(rows.size());
    for (int i = 0; i < 12; ++i) weight[i] -= lr * dw[i] / n;
    for (int c = 0; c < 3; ++c) bias[c] -= lr * db[c] / n;
    return loss / n;
  }
};

// Each model learns from its fold's training rows, and is judged by its
// validation rows and the test rows; by a computation of our own.
TEST(FoldsTest, ModelsSeeTheRowsOfTheirFold) {
  // Folds of 20, 19, 19, 19 and 19 rows.
  const Experiment experiment = TestExperiment(
      Folds("{count=5, stratified=false}",
            {"model.layers=[{kind=\"linear\", out_features=3}]",
             "optimizer={kind=\"sgd\", lr={values=[0.5, 1]}}",
             "train.batch_size=1000", "train.epochs=1", "train.select=last"}));
  ASSERT_EQ(experiment.population.size(), 10);
  EXPECT_EQ(experiment.folds[0].validation->size(), 20u);
  EXPECT_EQ(experiment.folds[4].validation->size(), 19u);
  const auto backend = CpuBackendForTest();
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  std::vector<Reference> references(10);
  for (int i = 0; i < 10; ++i) references[i].Load((*trainer)->batch(), i);
  ASSERT_TRUE((*trainer)->Step().ok());
  ASSERT_TRUE((*trainer)->finished());
  EXPECT_EQ((*trainer)->last_step().model_rows, 2 * 4 * 96);
  const TrainState& state = (*trainer)->state();
  for (int i = 0; i < 10; ++i) {
    const FoldRows& fold = experiment.folds[i % 5];
    Reference& reference = references[i];
    const double train_loss =
        reference.Step(experiment, *fold.train, i < 5 ? 0.5 : 1);
    EXPECT_NEAR(state.curves[0].train_loss[i], train_loss, 1e-6);
    Reference now;
    now.Load((*trainer)->batch(), i);
    for (int k = 0; k < 12; ++k) {
      EXPECT_NEAR(now.weight[k], reference.weight[k], 1e-6);
    }
    EXPECT_NEAR(state.curves[0].validation[i].loss,
                reference.Step(experiment, *fold.validation, 0), 1e-6);
    EXPECT_NEAR(state.models[i].best_test.loss,
                reference.Step(experiment, experiment.split.test, 0), 1e-6);
  }
}

std::unique_ptr<Trainer> Train(const Experiment& experiment, Backend* backend,
                               Callback* callback, int steps) {
  auto trainer = Trainer::Create(&experiment, backend);
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  if (callback != nullptr) (*trainer)->AddCallback(callback);
  while (steps-- > 0 && !(*trainer)->finished()) {
    EXPECT_TRUE((*trainer)->Step().ok());
  }
  return *std::move(trainer);
}

Checkpoint CheckpointOf(Trainer* trainer) {
  const std::string path = TestFolder() + "/folds.safetensors";
  EXPECT_TRUE(WriteCheckpoint(path, trainer, RunInfo()).ok());
  auto checkpoint = ReadCheckpoint(path);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return *std::move(checkpoint);
}

// With batch sizes of their own, dropout, early stopping, and models that
// explode; a copy goes on with the rows of the fold that it comes from.
TEST(FoldsTest, EveryModelEqualsItselfAlone) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment(Folds(
      "{count=3}",
      {"model.layers[0].out_features=6", "train.batch_size={values=[40, 16]}",
       "train.early_stopping={patience=1}", "train.epochs=5",
       "optimizer={kind=\"sgd\", momentum=0.9, lr={values=[0.1, 1e30]}}"}));
  ASSERT_EQ(experiment.population.size(), 24);
  // Model 20 has fold 2, model 1 fold 1.
  ScriptedCallback script;
  script.AtStep(7, [](Trainer* trainer) {
    MB_RETURN_IF_ERROR(
        trainer->Replace(20, 1, 99, {{"lr", 0.05}}, "explore").status());
    return trainer->Reset(3, 77, "again");
  });
  for (const int steps : {6, 9, 1000}) {
    const auto trainer = Train(experiment, backend.get(), &script, steps);
    const Checkpoint checkpoint = CheckpointOf(trainer.get());
    const Population& now = trainer->experiment().population;
    if (steps > 7) {
      EXPECT_EQ(now.folds[20], 1);
      EXPECT_EQ(now.settings[20], -1);
    }
    for (const int64_t id : checkpoint.ids) {
      const auto report =
          VerifyModel(experiment, checkpoint, id, backend.get());
      ASSERT_TRUE(report.ok()) << report.status();
      EXPECT_TRUE(report->passed)
          << steps << " steps, " << id << ": " << report->text;
    }
  }
}

// ---- Results --------------------------------------------------------------

Score MakeScore(double loss, int64_t correct) {
  Score score;
  score.loss = loss;
  score.correct = correct;
  return score;
}

// Two settings in three folds of 33, 32 and 31 rows to validate.
Experiment SixModels(std::vector<std::string> more = {}) {
  more.insert(more.end(), {"model.layers[0].out_features=6",
                           "model.layers[2].p=0.1", "data.split={test=0.2}"});
  Experiment experiment =
      TestExperiment(Folds("{count=3, stratified=false}", more));
  const size_t rows[] = {33, 32, 31};
  for (int f = 0; f < 3; ++f) experiment.folds[f].counted_validation = rows[f];
  return experiment;
}

TrainState SixStates() {
  TrainState state;
  state.models.resize(6);
  const double loss[] = {0.5, 0.25, 0.75, 1, 0.125, 0.5};
  const int64_t correct[] = {31, 31, 31, 33, 0, 30};
  for (int i = 0; i < 6; ++i) {
    state.models[i].best_epoch = 1;
    state.models[i].best_validation = MakeScore(loss[i], correct[i]);
    state.models[i].best_test = MakeScore(2 * loss[i], 2 * i);
  }
  return state;
}

// 31 of 31 is more than 31 of 33.
TEST(FoldsTest, RankingGoesByThePartOfTheFoldsRows) {
  EXPECT_EQ(Ranking(SixModels(), SixStates()),
            (std::vector<int>{2, 3, 1, 5, 0, 4}));
}

// Expected: numpy.mean and numpy.std of these numbers.
TEST(FoldsTest, SummaryOfEachSetting) {
  const auto settings = SummarizeFolds(SixModels(), SixStates());
  ASSERT_EQ(settings.size(), 2u);
  EXPECT_EQ(settings[0].models, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(settings[0].rank, 1);
  EXPECT_NEAR(settings[0].validation_loss.mean, 0.5, 1e-15);
  EXPECT_NEAR(settings[0].validation_loss.deviation, 0.20412414523193154,
              1e-15);
  EXPECT_NEAR(settings[0].validation_accuracy.mean, 0.9693813131313131, 1e-15);
  EXPECT_NEAR(settings[0].validation_accuracy.deviation, 0.024746347376918713,
              1e-15);
  EXPECT_NEAR(settings[1].validation_loss.mean, 0.5416666666666666, 1e-15);
  EXPECT_NEAR(settings[1].validation_loss.deviation, 0.35843021946010944,
              1e-15);
  EXPECT_NEAR(settings[1].test_accuracy.mean, 8.0 / 24, 1e-15);
  EXPECT_EQ(settings[1].rank, 2);
  // By the loss alone the same.
  const auto by_loss =
      SummarizeFolds(SixModels({"train.select=validation_loss"}), SixStates());
  EXPECT_EQ(by_loss[0].rank, 1);
}

// A setting of which a fold has nothing does not win by the others.
TEST(FoldsTest, IncompleteSettingsComeLast) {
  TrainState state = SixStates();
  state.models[0].best_epoch = 0;
  auto settings = SummarizeFolds(SixModels(), state);
  EXPECT_EQ(settings[0].models, (std::vector<int>{1, 2}));
  EXPECT_EQ(settings[0].rank, 2);
  EXPECT_NEAR(settings[0].validation_loss.mean, 0.5, 1e-15);
  for (int i : {1, 2}) state.models[i].best_epoch = 0;
  settings = SummarizeFolds(SixModels(), state);
  EXPECT_TRUE(settings[0].models.empty());
  EXPECT_TRUE(std::isnan(settings[0].validation_loss.mean));
  EXPECT_EQ(settings[0].rank, 2);
  EXPECT_THAT(FoldsCsv(SixModels(), state),
              HasSubstr("\n0,0.01,2,0,,,,,,,,\n"));
}

TEST(FoldsTest, CsvHasALineASetting) {
  const std::string csv = FoldsCsv(SixModels(), SixStates());
  EXPECT_THAT(csv,
              HasSubstr("setting,optimizer.lr,rank,folds,validation_loss_mean,"
                        "validation_loss_std,validation_accuracy_mean,"
                        "validation_accuracy_std,test_loss_mean,test_loss_std,"
                        "test_accuracy_mean,test_accuracy_std\n"));
  EXPECT_THAT(csv, HasSubstr("\n0,0.01,1,3,0.5,0.204124145231931"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);
  EXPECT_TRUE(SummarizeFolds(TestExperiment(), SixStates()).empty());
}

// ---- Runs -----------------------------------------------------------------

class StopAfter : public TrainObserver {
 public:
  explicit StopAfter(int steps) : left_(steps) {}
  void OnStep(const Trainer&) override { stop_ = --left_ == 0; }
  const std::atomic<bool>* flag() const { return &stop_; }

 private:
  int left_;
  std::atomic<bool> stop_{false};
};

TEST(FoldsTest, ARunResumesToTheSameBitsAndPredicts) {
  const Experiment experiment = TestExperiment(
      Folds("{count=3}", {"train.batch_size={values=[40, 16]}"}));
  const auto backend = CpuBackendForTest();
  const auto run = [&](const std::string& name, int stop) {
    ExperimentConfig config = experiment.config;
    config.train.output = TestFolder() + "/" + name;
    std::filesystem::remove_all(config.train.output);
    auto folder = RunFolder::Create(config);
    EXPECT_TRUE(folder.ok()) << folder.status();
    for (const bool resume : {false, true}) {
      StopAfter observer(stop);
      RunOptions options;
      options.stop = observer.flag();
      options.resume = resume;
      const auto result =
          RunTraining(experiment, backend.get(), *folder, options, &observer);
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok() || !result->interrupted) break;
      stop = 0;
    }
    return *folder;
  };
  const RunFolder whole = run("whole", 0);
  const RunFolder stopped = run("stopped", 8);
  for (const auto& [a, b] :
       {std::pair(whole.checkpoint(), stopped.checkpoint()),
        std::pair(whole.results(), stopped.results()),
        std::pair(whole.curves(), stopped.curves()),
        std::pair(whole.folds(), stopped.folds())}) {
    EXPECT_EQ(*ReadFile(a), *ReadFile(b)) << a;
  }
  EXPECT_THAT(*ReadFile(whole.results()), HasSubstr(",data.fold,rank,"));
  // The config in the folder is the same experiment.
  const auto config = LoadExperiment(whole.config());
  ASSERT_TRUE(config.ok()) << config.status();
  const auto trained = LoadTrainedRun(whole, *config);
  ASSERT_TRUE(trained.ok()) << trained.status();
  EXPECT_EQ(trained->usable.size(), 48u);
  const auto again = PrepareExperiment(*config);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again->folds[2].validation, *experiment.folds[2].validation);
  // What predict ranks by is what the run has ranked by.
  EXPECT_EQ(trained->usable, Ranking(*again, trained->state));
}

}  // namespace
}  // namespace modelbatch
