#include "modelbatch/train/experiment.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOf(const std::vector<std::string>& overrides) {
  auto config = ParseExperiment(TestConfig(), "blobs.toml", overrides);
  if (!config.ok()) return std::string(config.status().message());
  const auto experiment = PrepareExperiment(*std::move(config));
  return experiment.ok() ? "no error"
                         : std::string(experiment.status().message());
}

std::string WriteCsv(const std::string& name, const std::string& text) {
  const std::string path =
      (std::filesystem::path(TestFolder()) / name).string();
  std::ofstream(path) << text;
  return path;
}

TEST(PrepareExperimentTest, ReadsSplitsAndExpands) {
  const Experiment experiment = TestExperiment();
  EXPECT_EQ(experiment.population.size(), 8);
  EXPECT_EQ(experiment.data->rows(), 120);
  EXPECT_EQ(experiment.split.train.size(), 72u);
  EXPECT_EQ(experiment.split.validation.size(), 24u);
  EXPECT_EQ(experiment.split.test.size(), 24u);
}

TEST(PrepareExperimentTest, InputReshapesTheRows) {
  const Experiment experiment = TestExperiment(
      {"model.input=[2, 2]",
       "model.layers=[{kind=\"flatten\"}, {kind=\"linear\", out_features=3}]"});
  EXPECT_EQ(experiment.data->features.shape(), (Shape{120, 2, 2}));
}

// Rows of files of their own: all of them, and none of the others.
TEST(PrepareExperimentTest, FilesOfValidationAndTest) {
  const Experiment plain = TestExperiment();
  const std::string test = WriteCsv("test.csv", "1,2,3,4,0\n5,6,7,8,2\n");
  const Experiment one =
      TestExperiment({"data.split={}", "data.test={path=\"" + test + "\"}"});
  EXPECT_EQ(one.split.train.size(), 102u);
  EXPECT_EQ(one.split.validation.size(), 18u);
  EXPECT_EQ(one.split.test, (std::vector<int32_t>{120, 121}));
  EXPECT_EQ(one.counted_test, 2u);
  EXPECT_EQ(one.data->rows(), 122);
  EXPECT_EQ(one.data->features.data<float>()[4 * 121 + 2], 7);
  EXPECT_EQ(one.data->targets.data<int64_t>()[121], 2);
  for (int i = 0; i < 480; ++i) {
    ASSERT_EQ(one.data->features.data<float>()[i],
              plain.data->features.data<float>()[i]);
  }
  EXPECT_NE(one.data_fingerprint, plain.data_fingerprint);
  // The fingerprint is of all files.
  WriteCsv("test.csv", "1,2,3,4,0\n5,6,7,9,2\n");
  EXPECT_NE(
      TestExperiment({"data.split={}", "data.test={path=\"" + test + "\"}"})
          .data_fingerprint,
      one.data_fingerprint);

  const std::string validation = WriteCsv("validation.csv", "9,9,9,9,1\n");
  const Experiment both = TestExperiment(
      {"data.split={}", "data.validation={path=\"" + validation + "\"}",
       "data.test={path=\"" + test + "\"}"});
  EXPECT_EQ(both.split.train.size(), 120u);
  EXPECT_EQ(both.split.validation, std::vector<int32_t>{120});
  EXPECT_EQ(both.split.test, (std::vector<int32_t>{121, 122}));
  EXPECT_EQ(both.counted_validation(0), 1u);
  // Folds are of the main file's rows.
  const Experiment folds =
      TestExperiment({"data.split={}", "data.test={path=\"" + test + "\"}",
                      "data.folds={count=4}"});
  EXPECT_EQ(folds.folds[0].validation->size(), 30u);
  EXPECT_EQ(folds.folds[0].train->size(), 90u);
}

TEST(PrepareExperimentTest, FilesMustFitTheMainOnes) {
  const auto error = [](const std::string& name, const std::string& text,
                        const std::string& more = "",
                        const std::string& override = "seed=3") {
    return ErrorOf(
        {"data.split={}",
         "data.test={path=\"" + WriteCsv(name, text) + "\"" + more + "}",
         override});
  };
  EXPECT_THAT(error("narrow.csv", "1,2,3,0\n"),
              HasSubstr("narrow.csv does not fit "));
  EXPECT_THAT(error("narrow.csv", "1,2,3,0\n"),
              HasSubstr("blobs.csv: rows of the shape [3], expected [4]"));
  EXPECT_THAT(error("ragged.csv", "1,2,3,4,0\n1,2\n"),
              HasSubstr("ragged.csv:2: the row has 2 columns"));
  EXPECT_THAT(error("ragged.csv", "1,2,3,4,0\n1,2\n"),
              HasSubstr(": data.test.path: "));
  EXPECT_THAT(error("class.csv", "1,2,3,4,0\n1,2,3,4,3\n"),
              HasSubstr("class.csv:2: column 5: label 3 is out of range, "
                        "expected 0 to 2: the model has 3 outputs"));
  EXPECT_THAT(ErrorOf({"data.split={}", "data.test={path=\"/nowhere/t.csv\"}"}),
              HasSubstr("data.test.path: cannot read /nowhere/t.csv"));
  EXPECT_THAT(error("none.csv", "1,2,3,4,2\n", "", "loss={ignore_index=2}"),
              HasSubstr("every label of the test part is ignore_index, 2"));
}

// Names of columns are compared where both files have them.
TEST(PrepareExperimentTest, ColumnsOfFilesAreInTheSameOrder) {
  const std::string main = WriteCsv("main.csv", "x,y,l\n1,2,0\n3,4,1\n");
  const std::string test = WriteCsv("test.csv", "y,x,l\n1,2,0\n");
  const auto config = ParseExperiment(
      "[data]\npath = \"" + main +
          "\"\nheader = true\n[data.split]\n"
          "validation = 0\n[data.test]\npath = \"" +
          test +
          "\"\n"
          "[model]\nlayers = [{ kind = \"linear\", out_features = 2 }]\n"
          "[train]\nepochs = 1\n",
      "t.toml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(std::string(PrepareExperiment(*config).status().message()),
              HasSubstr("main.csv: feature 1 is \"y\", expected \"x\", which "
                        "is feature 2: the columns are in another order"));
}

// Bad data names the config's line and the data's.
TEST(PrepareExperimentTest, ErrorsNameConfigAndData) {
  EXPECT_EQ(ErrorOf({"data.path=/nowhere/d.csv"}),
            "--set data.path=/nowhere/d.csv: data.path: cannot read "
            "/nowhere/d.csv: No such file or directory");
  const std::string ragged = WriteCsv("ragged.csv", "1,2,0\n1,2\n");
  EXPECT_THAT(ErrorOf({"data.path=" + ragged}),
              HasSubstr(": data.path: " + ragged +
                        ":2: the row has 2 columns, expected 3"));
  EXPECT_THAT(ErrorOf({"model.layers[3].out_features=2"}),
              HasSubstr("blobs.csv:3: column 5: label 2 is out of range, "
                        "expected 0 to 1: the model has 2 outputs"));
  EXPECT_THAT(ErrorOf({"model.layers[3].out_features=2"}),
              StartsWith("blobs.toml:4:1: data.path: "));
  // 40 rows a class: 39.2, 0.4 and 0.4, of which validation gets the row left.
  EXPECT_EQ(ErrorOf({"data.split={train=0.98, validation=0.01, test=0.01}"}),
            "--set data.split={train=0.98, validation=0.01, test=0.01}: "
            "data.split: the test part, 0.01 of 120 rows, is empty, "
            "expected at least one row");
  EXPECT_EQ(ErrorOf({"data.task=regression", "data.label=[0, 1]"}),
            "blobs.toml:14:3: model.layers[3]: model 0 has 3 outputs, expected "
            "2, the columns of data.label");
}

// The blobs' labels are 0, 1 and 2.
TEST(PrepareExperimentTest, IgnoredLabelsDoNotCount) {
  const Experiment all = TestExperiment();
  EXPECT_EQ(all.counted_validation(0), all.split.validation.size());
  EXPECT_EQ(all.counted_test, all.split.test.size());
  // With the largest class ignored two outputs are enough.
  const Experiment some = TestExperiment(
      {"loss={ignore_index=2}", "model.layers[3].out_features=2"});
  EXPECT_EQ(some.data->num_classes, 2);
  EXPECT_EQ(some.split.validation, all.split.validation);
  size_t counted = 0;
  for (const int32_t row : all.split.validation) {
    counted += all.data->targets.data<int64_t>()[row] != 2;
  }
  EXPECT_LT(counted, all.split.validation.size());
  EXPECT_EQ(some.counted_validation(0), counted);
}

TEST(PrepareExperimentTest, SomeRowOfEachPartMustCount) {
  const std::string path = WriteCsv("ignored.csv", "1,5\n2,5\n3,5\n4,5\n");
  EXPECT_THAT(ErrorOf({"data.path=" + path, "loss={ignore_index=5}",
                       "data.split={train=0.5, validation=0.25, test=0.25}"}),
              HasSubstr("loss: every label of the train part is ignore_index, "
                        "5, expected at least one other"));
}

TEST(PrepareExperimentTest, LossesMustFitDataAndModels) {
  EXPECT_EQ(ErrorOf({"loss={weight=[1, 2]}"}),
            "--set loss={weight=[1, 2]}: loss: model 0: loss cross_entropy: "
            "weight has 2 numbers, expected one for each of 3 classes");
  EXPECT_THAT(ErrorOf({"data.task=regression", "loss=bce_with_logits",
                       "model.layers[3].out_features=1"}),
              HasSubstr("target 0 is 2, bce_with_logits expects 0 to 1"));
}

TEST(SingleModelTest, KeepsIdSeedAndValues) {
  const Experiment all = TestExperiment();
  const Experiment one = SingleModel(all, 5);
  ASSERT_EQ(one.population.size(), 1);
  EXPECT_EQ(one.population.models[0].id, 5);
  EXPECT_EQ(one.population.models[0].seed, all.population.models[5].seed);
  EXPECT_EQ(one.population.optimizers[0], all.population.optimizers[5]);
  EXPECT_EQ(one.split.train, all.split.train);
}

TEST(CheckCapabilitiesTest, NamesTheOperatorsLine) {
  Capabilities capabilities;
  capabilities.operators = {"linear", "dropout"};
  capabilities.losses = {"cross_entropy"};
  capabilities.optimizers = {"adam"};
  const Experiment experiment = TestExperiment();
  const auto check = [&] {
    return CheckCapabilities(experiment, capabilities, "mine");
  };
  EXPECT_EQ(check().message(),
            "blobs.toml:12:5: model.layers[1].kind: backend \"mine\" lacks the "
            "operator \"relu\"; it has: linear, dropout");
  capabilities.operators.push_back("relu");
  // Two widths.
  EXPECT_EQ(check().message(),
            "blobs.toml:11:3: model.layers[0]: backend \"mine\" lacks the "
            "feature \"mixed_widths\"; it has: none");
  capabilities.features = {"mixed_widths"};
  EXPECT_TRUE(check().ok());
  EXPECT_EQ(CheckCapabilities(
                TestExperiment({"backend={name=\"mine\", compile=true}"}),
                capabilities, "mine")
                .message(),
            "--set backend={name=\"mine\", compile=true}: backend.compile: "
            "backend \"mine\" lacks the feature \"tuning\"; it has: "
            "mixed_widths");
  capabilities.precisions = {"fp32", "tf32"};
  EXPECT_EQ(CheckCapabilities(
                TestExperiment({"backend={name=\"mine\", precision=\"bf16\"}"}),
                capabilities, "mine"),
            absl::UnimplementedError(
                "--set backend={name=\"mine\", precision=\"bf16\"}: "
                "backend.precision: backend \"mine\" lacks the precision "
                "\"bf16\"; it has: fp32, tf32"));
  // One width and one dropout rate: nothing is mixed.
  const Experiment equal = TestExperiment(
      {"model.layers[0].out_features=4", "model.layers[2].p=0.1"});
  EXPECT_TRUE(CheckCapabilities(equal,
                                {capabilities.operators,
                                 capabilities.losses,
                                 capabilities.optimizers,
                                 {},
                                 {}},
                                "mine")
                  .ok());
}

TEST(ConfigFingerprintTest, ChangesWithWhatDecidesBits) {
  const uint64_t base = ConfigFingerprint(TestExperiment().config);
  const auto with = [](const std::string& text) {
    return ConfigFingerprint(TestExperiment({text}).config);
  };
  EXPECT_EQ(with("train.epochs=50"), base);
  EXPECT_EQ(with("train.checkpoint_every=7"), base);
  EXPECT_EQ(with("backend={name=\"cpu\", threads=1}"), base);
  EXPECT_NE(with("backend={name=\"cpu\", precision=\"bf16\"}"), base);
  EXPECT_NE(with("seed=4"), base);
  EXPECT_NE(with("train.batch_size=17"), base);
  EXPECT_NE(with("optimizer.lr.values=[0.01, 0.02]"), base);
  EXPECT_NE(with("data.split.seed=1"), base);
}

// The data has a fingerprint of its own: where it lies decides nothing.
TEST(ConfigFingerprintTest, DoesNotChangeWithPaths) {
  ExperimentConfig config = TestExperiment().config;
  const auto changes = [&config](std::string* path) {
    const uint64_t before = ConfigFingerprint(config);
    *path += ".moved";
    return ConfigFingerprint(config) != before;
  };
  EXPECT_FALSE(changes(&config.data.main.path));
  config.data.format = "npy";
  EXPECT_FALSE(changes(&config.data.main.features));
  EXPECT_FALSE(changes(&config.data.main.targets));
  config.data.format = "npz";
  EXPECT_FALSE(changes(&config.data.main.path));
  EXPECT_TRUE(changes(&config.data.main.features));
  config.data.format = "cifar10";
  config.data.main.files = {"1.bin", "2.bin"};
  EXPECT_FALSE(changes(&config.data.main.files[1]));
  const uint64_t two = ConfigFingerprint(config);
  config.data.main.files.pop_back();
  EXPECT_NE(ConfigFingerprint(config), two);
}

int64_t IntOf(const LrScheduleSpec& spec, const std::string& name) {
  return std::get<int64_t>(spec.arguments.at(name));
}

// A schedule that says nothing of its length takes the training's: 72 rows are
// 5 steps of 16 rows and 2 of 40.
TEST(PrepareExperimentTest, SchedulesTakeTheirLengthFromTheTraining) {
  const auto specs = [](const std::string& schedule) {
    return TestExperiment({"optimizer.schedule=" + schedule, "train.epochs=9",
                           "train.batch_size={values=[16, 40]}"})
        .population.schedules;
  };
  const auto epochs = specs("{kind=\"cosine_annealing_lr\"}");
  const auto steps = specs("{kind=\"cosine_annealing_lr\", every=\"step\"}");
  const auto given = specs("{kind=\"cosine_annealing_lr\", T_max=4}");
  const auto warm =
      specs("{kind=\"cosine_annealing_lr\", warmup={values=[0, 3]}}");
  const auto sequence = specs(
      "{kind=\"sequential_lr\", milestones=[2, {values=[5, 7]}], schedulers="
      "[{kind=\"cosine_annealing_lr\"}, {kind=\"cosine_annealing_lr\"}, "
      "{kind=\"cosine_annealing_lr\"}]}");
  ASSERT_EQ(epochs.size(), 16u);
  for (int i = 0; i < 16; ++i) {
    const int64_t updates = i % 2 == 0 ? 45 : 18;
    EXPECT_EQ(IntOf(epochs[i], "T_max"), 9);
    EXPECT_EQ(IntOf(steps[i], "T_max"), updates);
    EXPECT_EQ(IntOf(given[i], "T_max"), 4);
  }
  const auto cycle =
      TestExperiment({"optimizer.lr=0.1", "train.batch_size={values=[16, 40]}",
                      "optimizer.schedule={kind=\"one_cycle_lr\", max_lr=1}"})
          .population.schedules;
  EXPECT_EQ(IntOf(cycle[0], "total_steps"), 15);
  EXPECT_EQ(IntOf(cycle[1], "total_steps"), 6);
  // The schedule's numbers vary after the optimizer's: 2 rates come first.
  ASSERT_EQ(warm.size(), 32u);
  EXPECT_EQ(warm[0].kind, "cosine_annealing_lr");
  EXPECT_EQ(IntOf(warm[0], "T_max"), 9);
  EXPECT_EQ(warm[8].kind, "sequential_lr");
  EXPECT_EQ(IntOf(warm[8].schedulers[1], "T_max"), 6);
  EXPECT_EQ(IntOf(sequence[8].schedulers[0], "T_max"), 2);
  EXPECT_EQ(IntOf(sequence[8].schedulers[1], "T_max"), 5);
  EXPECT_EQ(IntOf(sequence[8].schedulers[2], "T_max"), 2);
}

TEST(PrepareExperimentTest, SchedulesThatDoNotFitTheTraining) {
  EXPECT_EQ(ErrorOf({"optimizer.lr=0.1",
                     "optimizer.schedule={kind=\"one_cycle_lr\", max_lr=1, "
                     "total_steps=14}"}),
            "--set optimizer.schedule={kind=\"one_cycle_lr\", max_lr=1, "
            "total_steps=14}: optimizer.schedule.total_steps: model 0: is 14, "
            "but the training has 15 ticks for it");
  EXPECT_EQ(ErrorOf({"optimizer.lr=0.1",
                     "optimizer.schedule={kind=\"one_cycle_lr\", max_lr=1, "
                     "total_steps=15}"}),
            "no error");
  EXPECT_THAT(
      ErrorOf({"optimizer.schedule={kind=\"cosine_annealing_lr\", warmup=3}"}),
      HasSubstr("optimizer.schedule.T_max: model 0: is missing, and there are "
                "no ticks that it could be: it begins at tick 3 of 3"));
  EXPECT_THAT(
      ErrorOf({"optimizer.schedule={kind=\"sequential_lr\", milestones=[2, 2],"
               " schedulers=[{kind=\"linear_lr\"}, {kind=\"linear_lr\"}, "
               "{kind=\"linear_lr\"}]}"}),
      HasSubstr("optimizer.schedule: model 0: sequential_lr: milestones has 2 "
                "after 2, expected them in ascending order"));
  auto config = ParseExperiment(
      TestConfig(), "blobs.toml",
      {"optimizer.schedule={kind=\"lambda_lr\", lr_lambda=\"mine\"}"});
  ASSERT_TRUE(config.ok()) << config.status();
  const absl::Status status = PrepareExperiment(*std::move(config)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("optimizer.schedule: model 0: no function \"mine\" is "
                        "registered in this process"));
}

// More epochs continue a run, unless a schedule follows their number.
TEST(ConfigFingerprintTest, EpochsCountWhereAScheduleFollowsThem) {
  const auto same = [](const std::string& schedule) {
    std::vector<std::string> set = {"optimizer.lr=0.1",
                                    "optimizer.schedule=" + schedule};
    const uint64_t three = ConfigFingerprint(TestExperiment(set).config);
    set.push_back("train.epochs=9");
    return ConfigFingerprint(TestExperiment(set).config) == three;
  };
  EXPECT_TRUE(same("{kind=\"cosine_annealing_lr\", T_max=3}"));
  EXPECT_FALSE(same("{kind=\"cosine_annealing_lr\"}"));
  EXPECT_FALSE(same("{kind=\"one_cycle_lr\", max_lr=1}"));
  EXPECT_FALSE(
      same("{kind=\"chained_scheduler\", schedulers=[{kind="
           "\"linear_lr\"}, {kind=\"cosine_annealing_lr\"}]}"));
  EXPECT_NE(ConfigFingerprint(TestExperiment({}).config),
            ConfigFingerprint(TestExperiment({"optimizer.schedule={kind="
                                              "\"linear_lr\"}"})
                                  .config));
}

}  // namespace
}  // namespace modelbatch
