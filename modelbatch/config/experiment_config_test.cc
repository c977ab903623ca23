#include "modelbatch/config/experiment_config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;

constexpr char kValid[] = R"(name = "t"
seed = 7
backend = "cpu"

[data]
path = "digits.csv"
scale = 0.0625

[model]
layers = [
  { kind = "linear", out_features = { values = [32, 64] } },
  { kind = "relu" },
  { kind = "dropout", p = 0 },
  { kind = "linear", out_features = 10 },
]

[population]
models = 16

[optimizer]
kind = "adam"
lr = { min = 1e-4, max = 0.1, scale = "log", count = 8 }

[train]
epochs = 3
batch_size = 64
)";

std::string Replace(std::string text, const std::string& what,
                    const std::string& with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

std::string ErrorOf(const std::string& text,
                    const std::vector<std::string>& overrides = {}) {
  const auto config = ParseExperiment(text, "dir/t.toml", overrides);
  return config.ok() ? "no error" : std::string(config.status().message());
}

TEST(ParseExperimentTest, ReadsWhatTheFileSays) {
  const auto parsed = ParseExperiment(kValid, "dir/t.toml");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->name, "t");
  EXPECT_EQ(parsed->seed, 7u);
  EXPECT_EQ(parsed->backend.name, "cpu");
  EXPECT_EQ(parsed->data.main.path, "dir/digits.csv");
  EXPECT_EQ(parsed->data.scale, 0.0625);
  ASSERT_EQ(parsed->data.main.label.size(), 1u);
  EXPECT_EQ(parsed->data.main.label[0].index, -1);
  EXPECT_TRUE(parsed->data.split.stratified);
  ASSERT_EQ(parsed->model.layers.size(), 4u);
  const Sweep& width = parsed->model.layers[0].numbers.at("out_features");
  EXPECT_EQ(width.kind, Sweep::Kind::kValues);
  EXPECT_TRUE(width.integer);
  EXPECT_EQ(width.values, (std::vector<double>{32, 64}));
  const Sweep& p = parsed->model.layers[2].numbers.at("p");
  EXPECT_EQ(p.kind, Sweep::Kind::kFixed);
  EXPECT_FALSE(p.integer);
  EXPECT_EQ(p.values, std::vector<double>{0});
  const Sweep& lr = parsed->optimizer.numbers.at("lr");
  EXPECT_EQ(lr.kind, Sweep::Kind::kRange);
  EXPECT_TRUE(lr.log);
  EXPECT_EQ(lr.min, 1e-4);
  EXPECT_EQ(lr.max, 0.1);
  EXPECT_EQ(lr.count, 8);
  EXPECT_EQ(parsed->population.models, 16);
  EXPECT_EQ(parsed->train.epochs, 3);
  EXPECT_EQ(parsed->train.select, Selection::kValidationAccuracy);
  EXPECT_EQ(parsed->loss.kind, "cross_entropy");
  EXPECT_TRUE(parsed->loss.attributes.empty());
}

TEST(ParseExperimentTest, LossWithAttributes) {
  const auto parsed = ParseExperiment(
      kValid, "t.toml",
      {"loss={label_smoothing=0.1, ignore_index=-1, weight=[1, 0.5, 2e3]}"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->loss.kind, "cross_entropy");
  const Attributes expected = {{"label_smoothing", 0.1},
                               {"ignore_index", int64_t{-1}},
                               {"weight", std::vector<double>{1, 0.5, 2000}}};
  EXPECT_EQ(parsed->loss.attributes, expected);
  const std::string toml = ExperimentToToml(*parsed);
  const auto again = ParseExperiment(toml, "t.toml");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << toml;
  EXPECT_EQ(again->loss.attributes, expected);
  EXPECT_EQ(ExperimentToToml(*again), toml);
  // A task has its default, and every loss for it is taken.
  for (const char* loss :
       {"bce_with_logits", "huber", "l1", "mse", "smooth_l1"}) {
    const auto regression =
        ParseExperiment(kValid, "t.toml",
                        {"data.task=regression", std::string("loss=") + loss,
                         "train.select=validation_loss"});
    ASSERT_TRUE(regression.ok()) << regression.status();
    EXPECT_EQ(regression->loss.kind, loss);
  }
  const auto by_default =
      ParseExperiment(kValid, "t.toml",
                      {"data.task=regression", "train.select=validation_loss"});
  ASSERT_TRUE(by_default.ok()) << by_default.status();
  EXPECT_EQ(by_default->loss.kind, "mse");
}

// A run repeats from its resolved config: it reads back as the same text.
TEST(ParseExperimentTest, ResolvedTomlReadsBackAsTheSame) {
  const auto parsed = ParseExperiment(
      kValid, "/dir/t.toml",
      {"backend={name=\"cpu\", threads=2, precision=\"tf32\"}",
       "train.select=last", "data.label=0", "model.input=[8, 8]"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const std::string toml = ExperimentToToml(*parsed);
  const auto again = ParseExperiment(toml, "/elsewhere/run.toml");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << toml;
  EXPECT_EQ(ExperimentToToml(*again), toml);
  EXPECT_EQ(again->data.main.path, "/dir/digits.csv");
  EXPECT_EQ(again->backend.threads, 2);
  EXPECT_EQ(again->backend.precision, "tf32");
  EXPECT_EQ(again->model.input, (Shape{8, 8}));
  EXPECT_EQ(again->optimizer.numbers.at("lr").min, 1e-4);
  EXPECT_EQ(again->train.select, Selection::kLast);
}

TEST(ParseExperimentTest, CompileIsOffOnOrATable) {
  const auto parse = [](const std::string& backend) {
    return ParseExperiment(kValid, "/dir/t.toml", {"backend=" + backend});
  };
  EXPECT_FALSE(ParseExperiment(kValid, "t.toml")->backend.compile.has_value());
  EXPECT_FALSE(parse("{compile=false}")->backend.compile.has_value());
  const auto on = parse("{compile=true}");
  ASSERT_TRUE(on.ok()) << on.status();
  ASSERT_TRUE(on->backend.compile.has_value());
  EXPECT_EQ(on->backend.compile->time_ms, 1000);
  EXPECT_EQ(on->backend.compile->cache, "");
  // Relative to the file's folder, and so it reads back from any folder.
  const auto table = parse("{compile={time_ms=50, cache=\"tuning.txt\"}}");
  ASSERT_TRUE(table.ok()) << table.status();
  const auto again = ParseExperiment(ExperimentToToml(*table), "/x/run.toml");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->backend.compile->time_ms, 50);
  EXPECT_EQ(again->backend.compile->cache, "/dir/tuning.txt");
  EXPECT_EQ(ExperimentToToml(*again), ExperimentToToml(*table));
  const auto message = [&](const std::string& backend) {
    return std::string(parse(backend).status().message());
  };
  EXPECT_THAT(message("{compile=2}"),
              HasSubstr("backend.compile: expected true, false or a table"));
  EXPECT_THAT(message("{compile={time_ms=-1}}"),
              HasSubstr("backend.compile.time_ms"));
  EXPECT_THAT(message("{compile={time=1}}"), HasSubstr("time_ms"));
}

// The keys of each format, and what tells the format where it is not said.
TEST(ParseExperimentTest, FormatsOfData) {
  struct Case {
    const char* keys;
    const char* format;
    std::vector<std::pair<std::string, std::string>> paths;
  };
  const Case cases[] = {
      {"path = \"a.txt\"", "csv", {{"data.path", "/dir/a.txt"}}},
      {"path = \"a.npz\"\nfeatures = \"x\"\ntargets = \"y/z\"",
       "npz",
       {{"data.path", "/dir/a.npz"}}},
      {"features = \"x.npy\"\ntargets = \"../y.npy\"",
       "npy",
       {{"data.features", "/dir/x.npy"}, {"data.targets", "/y.npy"}}},
      {"features = \"train-images-idx3-ubyte.gz\"\ntargets = \"l.gz\"",
       "idx",
       {{"data.features", "/dir/train-images-idx3-ubyte.gz"},
        {"data.targets", "/dir/l.gz"}}},
      {"format = \"idx\"\nfeatures = \"x.npy\"\ntargets = \"y\"",
       "idx",
       {{"data.features", "/dir/x.npy"}, {"data.targets", "/dir/y"}}},
      {"files = [\"1.bin\", \"/b/2.bin\"]",
       "cifar10",
       {{"data.files[0]", "/dir/1.bin"}, {"data.files[1]", "/b/2.bin"}}},
      {"format = \"cifar100\"\nfiles = [\"1.bin\"]\nlabel = \"coarse\"",
       "cifar100",
       {{"data.files[0]", "/dir/1.bin"}}},
  };
  for (const Case& c : cases) {
    const auto parsed = ParseExperiment(
        Replace(kValid, "path = \"digits.csv\"", c.keys), "/dir/t.toml");
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->data.format, c.format);
    EXPECT_EQ(DataPaths(parsed->data), c.paths);
    EXPECT_EQ(parsed->data.scale, 0.0625);
    const std::string toml = ExperimentToToml(*parsed);
    const auto again = ParseExperiment(toml, "/elsewhere/run.toml");
    ASSERT_TRUE(again.ok()) << again.status() << "\n" << toml;
    EXPECT_EQ(ExperimentToToml(*again), toml);
    EXPECT_EQ(DataPaths(again->data), c.paths);
    EXPECT_EQ(again->data.main.features, parsed->data.main.features);
    EXPECT_EQ(again->data.main.targets, parsed->data.main.targets);
    ASSERT_EQ(again->data.main.label.size(), parsed->data.main.label.size());
    for (size_t i = 0; i < again->data.main.label.size(); ++i) {
      EXPECT_EQ(again->data.main.label[i].name,
                parsed->data.main.label[i].name);
    }
  }
}

// Reads, and reads the same again from the resolved text.
ExperimentConfig Parsed(const std::vector<std::string>& overrides) {
  const auto parsed = ParseExperiment(kValid, "/dir/t.toml", overrides);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  if (!parsed.ok()) return ExperimentConfig();
  const std::string toml = ExperimentToToml(*parsed);
  const auto again = ParseExperiment(toml, "/elsewhere/run.toml");
  EXPECT_TRUE(again.ok()) << again.status() << "\n" << toml;
  if (!again.ok()) return ExperimentConfig();
  EXPECT_EQ(ExperimentToToml(*again), toml);
  return *again;
}

TEST(ParseExperimentTest, Folds) {
  EXPECT_FALSE(Parsed({}).data.folds.has_value());
  const DataConfig data = Parsed({"data.folds={count=5}"}).data;
  ASSERT_TRUE(data.folds.has_value());
  EXPECT_EQ(data.folds->count, 5);
  EXPECT_TRUE(data.folds->stratified);
  EXPECT_EQ(data.folds->seed, 0u);
  EXPECT_EQ(data.split.train, 0.85);
  EXPECT_EQ(data.split.validation, 0);
  EXPECT_EQ(data.split.test, 0.15);
  EXPECT_TRUE(data.has_validation());
  const DataConfig other =
      Parsed({"data.folds={count=3, stratified=false, seed=4}",
              "data.split={test=0}", "train.select=validation_loss",
              "train.early_stopping={}"})
          .data;
  EXPECT_FALSE(other.folds->stratified);
  EXPECT_EQ(other.folds->seed, 4u);
  EXPECT_EQ(other.split.train, 1);
  const DataConfig values =
      Parsed({"data.task=regression", "data.folds={count=2}"}).data;
  EXPECT_FALSE(values.folds->stratified);

  const auto error = [](const std::vector<std::string>& overrides) {
    return ErrorOf(kValid, overrides);
  };
  EXPECT_THAT(error({"data.folds={}"}), HasSubstr("data.folds.count: missing"));
  EXPECT_THAT(error({"data.folds={count=1}"}),
              HasSubstr("data.folds.count: expected an integer from 2 to "
                        "10000, found an integer 1"));
  EXPECT_THAT(error({"data.folds={count=2, shuffle=true}"}),
              HasSubstr("data.folds.shuffle: unknown key"));
  EXPECT_THAT(error({"data.folds={count=2}", "data.split={validation=0.2}"}),
              HasSubstr("data.split.validation: data.folds has the validation "
                        "rows: expected no part of the other rows"));
  EXPECT_THAT(
      error({"data.task=regression", "data.folds={count=2, stratified=true}"}),
      HasSubstr("data.folds.stratified: is true, but regression has no "
                "classes"));
  EXPECT_THAT(error({"data.folds={count=2}", "data.validation={path=\"v\"}"}),
              HasSubstr("data.folds: every row is validated on in one of the "
                        "folds, but data.validation has files of its own"));
}

// What a part of the split leaves is for training.
TEST(ParseExperimentTest, TrainIsTheRestOfTheSplit) {
  EXPECT_EQ(Parsed({}).data.split.train, 0.7);
  EXPECT_EQ(Parsed({"data.split={test=0.35}"}).data.split.train, 0.5);
  EXPECT_EQ(
      Parsed({"data.split={validation=0.25, test=0.25}"}).data.split.train,
      0.5);
}

TEST(ParseExperimentTest, FilesOfValidationAndTest) {
  const DataConfig csv = Parsed({"data.test={path=\"t10k.csv\"}"}).data;
  ASSERT_TRUE(csv.test.has_value());
  EXPECT_FALSE(csv.validation.has_value());
  EXPECT_EQ(csv.test->path, "/dir/t10k.csv");
  EXPECT_EQ(csv.test->label[0].index, -1);
  EXPECT_EQ(csv.split.train, 0.85);
  EXPECT_EQ(csv.split.validation, 0.15);
  EXPECT_EQ(csv.split.test, 0);
  const DataConfig both = Parsed({"data.header=true", "data.label=y",
                                  "data.validation={path=\"v.csv\"}",
                                  "data.test={path=\"t.csv\", header=false, "
                                  "label=0}"})
                              .data;
  EXPECT_TRUE(both.validation->header);
  EXPECT_EQ(both.validation->label[0].name, "y");
  EXPECT_FALSE(both.test->header);
  EXPECT_EQ(both.test->label[0].index, 0);
  EXPECT_EQ(both.split.train, 1);
  EXPECT_EQ(DataPaths(both), (std::vector<std::pair<std::string, std::string>>{
                                 {"data.path", "/dir/digits.csv"},
                                 {"data.validation.path", "/dir/v.csv"},
                                 {"data.test.path", "/dir/t.csv"}}));
  // An archive may have all of them.
  const DataConfig npz =
      Parsed({"data={path=\"m.npz\", features=\"x_train\", "
              "targets=\"y_train\", test={features=\"x_test\", "
              "targets=\"y_test\"}}"})
          .data;
  EXPECT_EQ(npz.test->path, "/dir/m.npz");
  EXPECT_EQ(npz.test->features, "x_test");
  const DataConfig idx =
      Parsed({"data={features=\"train-images-idx3-ubyte\", targets=\"l\", "
              "test={features=\"a\", targets=\"b\"}}"})
          .data;
  EXPECT_EQ(DataPaths(idx)[2].first, "data.test.features");
  EXPECT_EQ(DataPaths(idx)[3].second, "/dir/b");
  const DataConfig cifar =
      Parsed({"data={format=\"cifar100\", label=\"coarse\", "
              "files=[\"train.bin\"], test={files=[\"test.bin\"]}}"})
          .data;
  EXPECT_EQ(cifar.test->files, std::vector<std::string>{"/dir/test.bin"});
  EXPECT_EQ(cifar.test->label[0].name, "coarse");

  const auto error = [](const std::vector<std::string>& overrides) {
    return ErrorOf(kValid, overrides);
  };
  EXPECT_THAT(error({"data.test={}"}),
              HasSubstr("data.test.path: missing, expected a string"));
  EXPECT_THAT(error({"data.test={features=\"x\"}"}),
              HasSubstr("data.test.features: does not belong to the format "
                        "\"csv\""));
  EXPECT_THAT(error({"data.test={path=\"a\", pth=\"b\"}"}),
              HasSubstr("data.test.pth: unknown key"));
  EXPECT_THAT(
      error({"data.test={path=\"a\"}", "data.split={test=0.2}"}),
      HasSubstr("data.split.test: data.test has the test rows: expected no "
                "part of the other rows"));
  EXPECT_THAT(
      error({"data.validation={path=\"a\"}", "data.split={validation=0.2}"}),
      HasSubstr("data.split.validation: data.validation has the "
                "validation rows"));
  EXPECT_THAT(error({"data={path=\"m.npz\", features=\"x\", "
                     "targets=\"y\", test={features=\"x\"}}"}),
              HasSubstr("data.test: has the rows of data itself, expected "
                        "another path or other features and targets"));
  EXPECT_THAT(error({"data.header=true", "data.label=y",
                     "data.test={path=\"t.csv\", header=false}"}),
              HasSubstr("data.test.header: is false, but data.label is a name, "
                        "\"y\""));
  EXPECT_THAT(error({"data.test={path=\"t.csv\", label=\"y\"}"}),
              HasSubstr("but data.test.header is false: expected a column's "
                        "index"));
}

// What is done to gradients before an update: swept like hyper-parameters, and
// absent unless asked for, as not every backend has them.
TEST(ParseExperimentTest, GradientsAreScaledAndClippedOnDemand) {
  const auto without = ParseExperiment(kValid, "dir/t.toml");
  ASSERT_TRUE(without.ok()) << without.status();
  for (const char* name : {"gradient_scale", "clip_value", "clip_norm"}) {
    EXPECT_EQ(without->optimizer.numbers.count(name), 0u) << name;
    EXPECT_EQ(ExperimentToToml(*without).find(name), std::string::npos);
  }
  const auto with = ParseExperiment(
      Replace(kValid, "lr = {",
              "gradient_scale = 0.5\nclip_value = { values = [0, 1e30] }\n"
              "clip_norm = { min = 0.1, max = 10, scale = \"log\", "
              "count = 3 }\nlr = {"),
      "dir/t.toml");
  ASSERT_TRUE(with.ok()) << with.status();
  const auto& numbers = with->optimizer.numbers;
  EXPECT_EQ(numbers.at("gradient_scale").kind, Sweep::Kind::kFixed);
  EXPECT_EQ(numbers.at("gradient_scale").values, std::vector<double>{0.5});
  EXPECT_EQ(numbers.at("clip_value").values, (std::vector<double>{0, 1e30}));
  EXPECT_EQ(numbers.at("clip_norm").kind, Sweep::Kind::kRange);
  EXPECT_EQ(numbers.at("clip_norm").max, 10);
  const std::string toml = ExperimentToToml(*with);
  const auto again = ParseExperiment(toml, "/elsewhere/run.toml");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << toml;
  EXPECT_EQ(again->optimizer.numbers.at("clip_value").values,
            (std::vector<double>{0, 1e30}));
  EXPECT_EQ(again->optimizer.numbers.at("gradient_scale").values,
            std::vector<double>{0.5});
}

// Every form of a sweep is read, and written as it was.
TEST(ParseExperimentTest, FormsOfSweeps) {
  const auto parsed = ParseExperiment(
      kValid, "t.toml",
      {"optimizer={kind=\"sgd\", lr=[0.1, 0.2, 0.1], nesterov=[true, false, 1],"
       " momentum={min=0.5, max=0.9, random=true},"
       " weight_decay={values=[0, 1e-4], random=true},"
       " dampening={min=1e-9, max=1, scale=\"log\", count=4, random=false}}",
       "train.batch_size=[8, 16, 32]",
       "model.layers[0].out_features={min=8, max=32, random=true}"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto check = [](const ExperimentConfig& config) {
    const auto& numbers = config.optimizer.numbers;
    EXPECT_EQ(numbers.at("lr").kind, Sweep::Kind::kList);
    EXPECT_EQ(numbers.at("lr").values, (std::vector<double>{0.1, 0.2, 0.1}));
    EXPECT_FALSE(numbers.at("lr").random);
    EXPECT_EQ(numbers.at("nesterov").kind, Sweep::Kind::kList);
    EXPECT_EQ(numbers.at("nesterov").values, (std::vector<double>{1, 0, 1}));
    EXPECT_EQ(numbers.at("momentum").kind, Sweep::Kind::kRange);
    EXPECT_TRUE(numbers.at("momentum").random);
    EXPECT_EQ(numbers.at("weight_decay").kind, Sweep::Kind::kValues);
    EXPECT_TRUE(numbers.at("weight_decay").random);
    EXPECT_FALSE(numbers.at("dampening").random);
    EXPECT_EQ(config.train.batch_size.values, (std::vector<double>{8, 16, 32}));
    EXPECT_TRUE(config.train.batch_size.integer);
    EXPECT_TRUE(config.model.layers[0].numbers.at("out_features").random);
  };
  check(*parsed);
  const std::string toml = ExperimentToToml(*parsed);
  const auto again = ParseExperiment(toml, "t.toml");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << toml;
  check(*again);
  EXPECT_EQ(ExperimentToToml(*again), toml);
  EXPECT_THAT(ErrorOf(kValid, {"population={search=\"random\", models=4}",
                               "optimizer.lr.random=false"}),
              HasSubstr("optimizer.lr.random: is false, but population.search "
                        "is \"random\""));
  EXPECT_THAT(ErrorOf(kValid, {"population={search=\"random\", models=4}",
                               "optimizer.lr.random=true"}),
              "no error");
}

// Every kind of schedule is read with torch's defaults, and written as it was.
TEST(ParseExperimentTest, Schedules) {
  const auto none = ParseExperiment(kValid, "t.toml");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->optimizer.schedule.has_value());
  const auto read = [](const std::string& schedule) {
    const auto parsed =
        ParseExperiment(kValid, "t.toml",
                        {"optimizer.lr=0.1", "optimizer.schedule=" + schedule});
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    if (!parsed.ok()) return ScheduleSection();
    const std::string toml = ExperimentToToml(*parsed);
    const auto again = ParseExperiment(toml, "t.toml");
    EXPECT_TRUE(again.ok()) << again.status() << "\n" << toml;
    if (!again.ok()) return ScheduleSection();
    EXPECT_EQ(ExperimentToToml(*again), toml);
    return *again->optimizer.schedule;
  };
  using Values = std::vector<double>;
  const ScheduleSection linear = read("{kind=\"linear_lr\"}");
  EXPECT_EQ(linear.numbers.at("start_factor").values, Values{1.0 / 3});
  EXPECT_EQ(linear.numbers.at("total_iters").values, Values{5});
  EXPECT_TRUE(linear.numbers.at("total_iters").integer);
  EXPECT_FALSE(linear.every_step);
  const ScheduleSection steps = read(
      "{kind=\"multi_step_lr\", milestones=[30, {values=[60, 70]}, [80, "
      "90]], gamma={min=0.1, max=0.5, random=true}, every=\"step\"}");
  EXPECT_TRUE(steps.every_step);
  ASSERT_EQ(steps.lists.at("milestones").size(), 3u);
  EXPECT_EQ(steps.lists.at("milestones")[0].values, Values{30});
  EXPECT_EQ(steps.lists.at("milestones")[1].kind, Sweep::Kind::kValues);
  EXPECT_EQ(steps.lists.at("milestones")[2].kind, Sweep::Kind::kList);
  EXPECT_TRUE(steps.numbers.at("gamma").random);
  // It is left out, to follow the training.
  const ScheduleSection cosine = read(
      "{kind=\"cosine_annealing_lr\", warmup={values=[0, 3]}, "
      "warmup_start_factor=0.1}");
  EXPECT_EQ(cosine.numbers.count("T_max"), 0u);
  EXPECT_EQ(cosine.warmup.values, (Values{0, 3}));
  EXPECT_EQ(cosine.warmup_start_factor.values, Values{0.1});
  EXPECT_EQ(read("{kind=\"cosine_annealing_lr\", T_max=7}")
                .numbers.at("T_max")
                .values,
            Values{7});
  // Made for steps.
  const ScheduleSection cycle = read(
      "{kind=\"one_cycle_lr\", max_lr=[0.1, 0.2], three_phase=[true, "
      "false], anneal_strategy=\"linear\"}");
  EXPECT_TRUE(cycle.every_step);
  EXPECT_EQ(cycle.numbers.at("cycle_momentum").values, Values{1});
  EXPECT_EQ(cycle.numbers.at("three_phase").values, (Values{1, 0}));
  EXPECT_EQ(cycle.names.at("anneal_strategy"), "linear");
  // What is better depends on the metric.
  const ScheduleSection plateau = read("{kind=\"reduce_lr_on_plateau\"}");
  EXPECT_EQ(plateau.metric, ScheduleMetric::kValidationLoss);
  EXPECT_EQ(plateau.names.at("mode"), "min");
  EXPECT_EQ(plateau.names.at("threshold_mode"), "rel");
  EXPECT_EQ(plateau.numbers.at("patience").values, Values{10});
  const ScheduleSection accuracy =
      read("{kind=\"reduce_lr_on_plateau\", metric=\"validation_accuracy\"}");
  EXPECT_EQ(accuracy.metric, ScheduleMetric::kValidationAccuracy);
  EXPECT_EQ(accuracy.names.at("mode"), "max");
  EXPECT_EQ(
      read("{kind=\"lambda_lr\", lr_lambda=\"mine\"}").names.at("lr_lambda"),
      "mine");
  for (const char* kind :
       {"sequential_lr\", milestones=[4]", "chained_scheduler\""}) {
    const ScheduleSection made =
        read(std::string("{kind=\"") + kind +
             ", schedulers=[{kind=\"constant_lr\", factor={values=[0.1, 1]}},"
             " {kind=\"exponential_lr\", gamma=0.9}]}");
    ASSERT_EQ(made.schedulers.size(), 2u);
    EXPECT_EQ(made.schedulers[0].numbers.at("factor").values, (Values{0.1, 1}));
    EXPECT_EQ(made.schedulers[1].kind, "exponential_lr");
  }
}

TEST(ParseExperimentTest, APlateauSeesTheValidationRowsOfFolds) {
  const auto config =
      ParseExperiment(kValid, "dir/t.toml",
                      {"data.split={test=0.2}", "data.folds={count=4}",
                       "optimizer.schedule={kind=\"reduce_lr_on_plateau\"}"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->optimizer.schedule->metric,
            ScheduleMetric::kValidationLoss);
}

// A field is swept whether or not it has an effect.
TEST(ParseExperimentTest, AWarmUpOfNoTicksKeepsItsSweep) {
  const auto config =
      ParseExperiment(kValid, "dir/t.toml",
                      {"optimizer.schedule={kind=\"linear_lr\", warmup=0, "
                       "warmup_start_factor={values=[0.1, 0.5]}}"});
  ASSERT_TRUE(config.ok()) << config.status();
  const auto again = ParseExperiment(ExperimentToToml(*config), "again.toml");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->optimizer.schedule->warmup_start_factor.values,
            std::vector<double>({0.1, 0.5}));
}

TEST(ParseExperimentTest, SchedulesThatAreRefused) {
  struct Case {
    const char* schedule;
    const char* message;
  };
  const Case cases[] = {
      {"kind = \"cosine_annealin_lr\"",
       "dir/t.toml:22:14: optimizer.schedule.kind: no learning-rate schedule "
       "\"cosine_annealin_lr\"; did you mean \"cosine_annealing_lr\"?"},
      {"step_size = 3", "dir/t.toml:22:1: optimizer.schedule.kind: missing"},
      {"kind = \"step_lr\"",
       "dir/t.toml:22:1: optimizer.schedule.step_size: missing, expected a "
       "value: step_lr has no default for it"},
      {"kind = \"step_lr\", stepsize = 3",
       "dir/t.toml:22:32: optimizer.schedule.stepsize: unknown key; did you "
       "mean \"step_size\"?"},
      {"kind = \"step_lr\", step_size = 3, gama = 1",
       "dir/t.toml:22:47: optimizer.schedule.gama: unknown key; did you mean "
       "\"gamma\"?"},
      {"kind = \"step_lr\", step_size = 0",
       "dir/t.toml:22:32: optimizer.schedule.step_size: step_size is 0, "
       "expected an integer from 1 to 1000000000"},
      {"kind = \"step_lr\", step_size = [3, 1.5]",
       "dir/t.toml:22:48: optimizer.schedule.step_size[1]: expected an "
       "integer, found a number 1.5"},
      {"kind = \"multi_step_lr\", milestones = 3",
       "optimizer.schedule.milestones: expected an array of integers, found an "
       "integer 3"},
      {"kind = \"multi_step_lr\", milestones = [3, -1]",
       "optimizer.schedule.milestones[1]: milestones is -1, expected an "
       "integer "
       "from 0 to"},
      {"kind = \"reduce_lr_on_plateau\", mode = \"mix\"",
       "optimizer.schedule.mode: found \"mix\"; "},
      {"kind = \"reduce_lr_on_plateau\", metric = \"loss\"",
       "optimizer.schedule.metric: found \"loss\""},
      {"kind = \"reduce_lr_on_plateau\", every = \"step\"",
       "optimizer.schedule.every: is \"step\", but the metric of "
       "reduce_lr_on_plateau is that of an epoch"},
      {"kind = \"reduce_lr_on_plateau\", warmup = 3",
       "optimizer.schedule.warmup: cannot come before a reduce_lr_on_plateau"},
      {"kind = \"linear_lr\", metric = \"train_loss\"",
       "optimizer.schedule.metric: is for reduce_lr_on_plateau only"},
      {"kind = \"linear_lr\", every = \"batch\"",
       "optimizer.schedule.every: found \"batch\"; expected one of: epoch, "
       "step"},
      {"kind = \"linear_lr\", warmup = -1",
       "optimizer.schedule.warmup: is -1, expected 0 to 1e+09"},
      {"kind = \"linear_lr\", warmup_start_factor = 0.5",
       "optimizer.schedule.warmup_start_factor: is given, but warmup is not"},
      {"kind = \"lambda_lr\", lr_lambda = \"\"",
       "optimizer.schedule.lr_lambda: is empty"},
      {"kind = \"one_cycle_lr\", max_lr = 1",
       "dir/t.toml:23:1: optimizer.lr: is swept, but one_cycle_lr sets it: "
       "sweep optimizer.schedule.max_lr"},
      {"kind = \"sequential_lr\", milestones = [3]",
       "optimizer.schedule.schedulers: missing, expected an array of "
       "schedules"},
      {"kind = \"sequential_lr\", milestones = [3], schedulers = "
       "[{ kind = \"linear_lr\" }]",
       "optimizer.schedule.milestones: has 1, expected 0: one less than "
       "schedulers"},
      {"kind = \"chained_scheduler\", schedulers = "
       "[{ kind = \"reduce_lr_on_plateau\" }]",
       "optimizer.schedule.schedulers[0].kind: is \"reduce_lr_on_plateau\", "
       "which cannot be part of a chained_scheduler"},
      {"kind = \"chained_scheduler\", schedulers = "
       "[{ kind = \"linear_lr\", every = \"step\" }]",
       "optimizer.schedule.schedulers[0].every: unknown key"},
      {"kind = \"chained_scheduler\", schedulers = [3]",
       "optimizer.schedule.schedulers[0]: expected a table such as"},
  };
  for (const Case& c : cases) {
    const std::string schedule =
        std::string("schedule = { ") + c.schedule + " }\nlr = {";
    EXPECT_THAT(ErrorOf(Replace(kValid, "lr = {", schedule)),
                HasSubstr(c.message));
  }
  EXPECT_THAT(
      ErrorOf(Replace(kValid, "lr = {", "schedule = 3\nlr = {")),
      HasSubstr("dir/t.toml:22:1: optimizer.schedule: expected a table, "
                "found an integer 3"));
  EXPECT_THAT(ErrorOf(kValid, {"data.split={train=0.5, validation=0, test=0.5}",
                               "train.select=last",
                               "optimizer.schedule={kind=\"reduce_lr_on_plateau"
                               "\", metric=\"validation_loss\"}"}),
              HasSubstr("optimizer.schedule.metric: found \"validation_loss\"; "
                        "expected one of: train_loss"));
}

TEST(ParseExperimentTest, PoliciesForSingleModels) {
  const auto none = ParseExperiment(kValid, "t.toml");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->train.on_nan, NanPolicy::kFreeze);
  EXPECT_FALSE(none->train.early_stopping.has_value());
  const auto defaults = ParseExperiment(
      kValid, "t.toml", {"train.on_nan=reset", "train.early_stopping={}"});
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_EQ(defaults->train.on_nan, NanPolicy::kReset);
  EXPECT_EQ(defaults->train.max_resets, 3);
  EXPECT_EQ(defaults->train.early_stopping->metric,
            StoppingMetric::kValidationLoss);
  EXPECT_EQ(defaults->train.early_stopping->patience, 3);
  EXPECT_EQ(defaults->train.early_stopping->min_delta, 0);
  const auto parsed = ParseExperiment(
      kValid, "/dir/t.toml",
      {"train.on_nan=reset", "train.max_resets=0",
       "train.early_stopping={metric=\"validation_accuracy\", patience=7, "
       "min_delta=0.01}"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const std::string toml = ExperimentToToml(*parsed);
  const auto again = ParseExperiment(toml, "t.toml");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << toml;
  EXPECT_EQ(ExperimentToToml(*again), toml);
  EXPECT_EQ(again->train.max_resets, 0);
  EXPECT_EQ(again->train.early_stopping->metric,
            StoppingMetric::kValidationAccuracy);
  EXPECT_EQ(again->train.early_stopping->patience, 7);
  EXPECT_EQ(again->train.early_stopping->min_delta, 0.01);
  EXPECT_THAT(ErrorOf(kValid, {"data.split={train=0.5, validation=0, test=0.5}",
                               "train.select=last", "train.early_stopping={}"}),
              HasSubstr("train.early_stopping: needs validation rows, "
                        "data.split.validation is 0"));
}

// Two layers of a name, or one that `inputs` would never find.
TEST(ParseExperimentTest, NamesOfLayersAreUnique) {
  const auto error = [](const std::string& layers) {
    return ErrorOf(kValid, {"model.layers=[" + layers + "]"});
  };
  EXPECT_THAT(
      error("{kind=\"relu\", name=\"a\"}, {kind=\"tanh\", name=\"a\"}"),
      HasSubstr("model.layers[1].name: is named \"a\" as model.layers[0] is, "
                "expected another"));
  EXPECT_THAT(error("{kind=\"relu\", name=\"1\"}, {kind=\"tanh\"}"),
              HasSubstr("model.layers[1]: is named \"1\" as model.layers[0] "
                        "is, expected another"));
  EXPECT_THAT(error("{kind=\"relu\", name=\"input\"}"),
              HasSubstr("model.layers[0].name: \"input\" is the model's input, "
                        "expected another"));
}

TEST(ParseExperimentTest, ModelsAtOnce) {
  const auto none = ParseExperiment(kValid, "t.toml");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->train.models_at_once, kAllModels);
  EXPECT_THAT(ExperimentToToml(*none), testing::Not(HasSubstr("at_once")));
  for (const auto& [text, expected] :
       {std::pair<std::string, int64_t>("\"all\"", kAllModels),
        {"\"auto\"", kModelsThatFit},
        {"17", 17}}) {
    const auto parsed =
        ParseExperiment(kValid, "t.toml", {"train.models_at_once=" + text});
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->train.models_at_once, expected);
    const auto again = ParseExperiment(ExperimentToToml(*parsed), "t.toml");
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->train.models_at_once, expected);
  }
  for (const auto& [text, error] :
       {std::pair("0", "train.models_at_once"),
        {"-1", "train.models_at_once"},
        {"2.5", "expected \"all\", \"auto\" or an integer"},
        {"true", "expected \"all\", \"auto\" or an integer"},
        {"2.0",
         "train.models_at_once: expected \"all\", \"auto\" or an integer from "
         "1 to 1000000000, found a number 2.0"},
        {"some",
         "train.models_at_once: expected \"all\", \"auto\" or an integer from "
         "1 to 1000000000, found a string \"some\""}}) {
    EXPECT_THAT(ErrorOf(kValid, {std::string("train.models_at_once=") + text}),
                HasSubstr(error));
  }
  EXPECT_THAT(ErrorOf(kValid, {"train.models_at_once=2",
                               "train.log={writers=[\"csv\"]}"}),
              HasSubstr("train.log.writers"));
}

TEST(ParseExperimentTest, StepsAtOnce) {
  const auto none = ParseExperiment(kValid, "t.toml");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->train.steps_at_once, kStepsThatGain);
  for (const auto& [text, expected] :
       {std::pair<std::string, int64_t>("\"auto\"", kStepsThatGain),
        {"1", 1},
        {"1024", 1024}}) {
    const auto parsed =
        ParseExperiment(kValid, "t.toml", {"train.steps_at_once=" + text});
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->train.steps_at_once, expected);
    const auto again = ParseExperiment(ExperimentToToml(*parsed), "t.toml");
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->train.steps_at_once, expected);
  }
  for (const auto& [text, error] :
       {std::pair("0", "train.steps_at_once"),
        {"-3", "train.steps_at_once"},
        {"1025", "1024"},
        {"2.5",
         "expected \"auto\" or an integer from 1 to 1024, found a number 2.5"},
        {"true", "expected \"auto\" or an integer from 1 to 1024, found true"},
        {"all",
         "train.steps_at_once: expected \"auto\" or an integer from 1 to 1024, "
         "found a string \"all\""}}) {
    EXPECT_THAT(ErrorOf(kValid, {std::string("train.steps_at_once=") + text}),
                HasSubstr(error));
  }
}

TEST(ParseExperimentTest, Log) {
  const auto none = ParseExperiment(kValid, "t.toml");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_TRUE(none->train.log.writers.empty());
  EXPECT_FALSE(none->train.log.confusion);
  // A run without it has the resolved config it had before there was one.
  EXPECT_THAT(ExperimentToToml(*none), testing::Not(HasSubstr("train.log")));
  const auto defaults = ParseExperiment(
      kValid, "t.toml", {"train.log={writers=[\"tensorboard\"]}"});
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_THAT(defaults->train.log.writers, testing::ElementsAre("tensorboard"));
  EXPECT_EQ(defaults->train.log.every, 0);
  for (const char* log :
       {"{writers=[\"tensorboard\"], every=\"epoch\"}", "{confusion=true}",
        "{writers=[\"jsonl\", \"csv\"], every=25, confusion=true}"}) {
    const auto parsed =
        ParseExperiment(kValid, "t.toml", {std::string("train.log=") + log});
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    const std::string toml = ExperimentToToml(*parsed);
    const auto again = ParseExperiment(toml, "t.toml");
    ASSERT_TRUE(again.ok()) << again.status() << "\n" << toml;
    EXPECT_EQ(ExperimentToToml(*again), toml);
    EXPECT_EQ(again->train.log.writers, parsed->train.log.writers);
    EXPECT_EQ(again->train.log.every, parsed->train.log.every);
    EXPECT_EQ(again->train.log.confusion, parsed->train.log.confusion);
  }
  EXPECT_THAT(ErrorOf(kValid, {"data.task=regression", "loss=mse",
                               "train.log={confusion=true}"}),
              HasSubstr("train.log.confusion: needs classes, data.task is "
                        "\"regression\""));
}

TEST(ParseExperimentTest, OverridesReplaceOneValue) {
  const auto parsed = ParseExperiment(
      kValid, "t.toml",
      {"optimizer.lr.max=0.3", "model.layers[2].p=0.5", "name=other",
       "population.search=random", "data.split.seed=5"});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->optimizer.numbers.at("lr").max, 0.3);
  EXPECT_EQ(parsed->optimizer.numbers.at("lr").min, 1e-4);
  EXPECT_EQ(parsed->model.layers[2].numbers.at("p").values[0], 0.5);
  EXPECT_EQ(parsed->name, "other");
  EXPECT_TRUE(parsed->population.random);
  EXPECT_EQ(parsed->data.split.seed, 5u);
}

TEST(ParseExperimentTest, NameDefaultsToTheFile) {
  const auto parsed =
      ParseExperiment(Replace(kValid, "name = \"t\"\n", ""), "a/digits.toml");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->name, "digits");
}

struct BadCase {
  const char* name;
  const char* what;  // replaced ...
  const char* with;  // ... by this
  const char* message;
};

class BadConfigTest : public ::testing::TestWithParam<BadCase> {};

// Every message has file, line, column and key, what was found and expected.
TEST_P(BadConfigTest, NamesLineAndKey) {
  EXPECT_THAT(ErrorOf(Replace(kValid, GetParam().what, GetParam().with)),
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfigTest,
    ::testing::Values(
        BadCase{"NotToml", "seed = 7", "seed 7",
                "dir/t.toml:2:6: not valid TOML: "},
        BadCase{"DuplicateKey", "seed = 7", "name = 7",
                "dir/t.toml:2:8: not valid TOML: "},
        BadCase{"UnknownKey", "epochs = 3", "epcohs = 3",
                "dir/t.toml:25:1: train.epcohs: unknown key; did you mean "
                "\"epochs\"?"},
        BadCase{"UnknownKeyBeside", "batch_size", "batchsize",
                "dir/t.toml:26:1: train.batchsize: unknown key; did you mean "
                "\"batch_size\"?"},
        BadCase{"UnknownTable", "[optimizer]", "[optimiser]",
                "dir/t.toml:20:2: optimiser: unknown key; did you mean "
                "\"optimizer\"?"},
        BadCase{"UnknownLayerKey", "p = 0 }", "q = 0 }",
                "dir/t.toml:13:23: model.layers[2].q: unknown key"},
        BadCase{"WrongType", "epochs = 3", "epochs = \"three\"",
                "dir/t.toml:25:1: train.epochs: expected an integer from 1 to "
                "1000000000, found a string \"three\""},
        BadCase{"FloatForInt", "epochs = 3", "epochs = 3.5",
                "dir/t.toml:25:1: train.epochs: expected an integer from 1 to "
                "1000000000, found a number 3.5"},
        BadCase{"TableForString", "path = \"digits.csv\"", "path = {}",
                "dir/t.toml:6:1: data.path: expected a string, found a table"},
        BadCase{"MissingPath", "path = \"digits.csv\"\n", "",
                "dir/t.toml:5:2: data.path: missing, expected a string"},
        BadCase{"NpyWithPath", "digits.csv", "digits.npy",
                "dir/t.toml:6:1: data.path: does not belong to the format "
                "\"npy\", which has: features, targets"},
        BadCase{"CsvWithFeatures", "scale = 0.0625", "features = \"x.npy\"",
                "dir/t.toml:7:1: data.features: does not belong to the format "
                "\"csv\", which has: path, header, label"},
        BadCase{"NpzWithHeader", "path = \"digits.csv\"",
                "path = \"a.npz\"\nfeatures = \"x\"\nheader = true",
                "dir/t.toml:8:1: data.header: does not belong to the format "
                "\"npz\", which has: path, features, targets"},
        BadCase{"NpzWithoutTargets", "path = \"digits.csv\"",
                "path = \"a.npz\"\nfeatures = \"x\"",
                "dir/t.toml:5:2: data.targets: missing, expected a string"},
        BadCase{"NpyWithMisspeltKey", "path = \"digits.csv\"",
                "features = \"x.npy\"\ntarget = \"y.npy\"",
                "dir/t.toml:7:1: data.target: unknown key; did you mean "
                "\"targets\"?"},
        BadCase{"NoFormatInName", "path = \"digits.csv\"",
                "features = \"x.gz\"\ntargets = \"y.gz\"",
                "dir/t.toml:5:2: data.format: missing: the name of "
                "data.features, \"x.gz\", does not tell; expected one of: "
                "csv, npy, npz, idx, cifar10, cifar100"},
        BadCase{"UnknownFormat", "path =", "format = \"np\"\npath =",
                "dir/t.toml:6:1: data.format: found \"np\"; did you mean "
                "\"npy\"?"},
        BadCase{"EmptyTargets", "path = \"digits.csv\"",
                "features = \"x.npy\"\ntargets = \"\"",
                "dir/t.toml:7:1: data.targets: is empty"},
        BadCase{"FilesNoArray", "path = \"digits.csv\"", "files = \"1.bin\"",
                "dir/t.toml:6:1: data.files: expected an array of paths, "
                "found a string \"1.bin\""},
        BadCase{"FilesEmpty", "path = \"digits.csv\"", "files = []",
                "dir/t.toml:6:1: data.files: expected an array of paths, "
                "found an empty one"},
        BadCase{"FilesOfNumbers", "path = \"digits.csv\"",
                "files = [\"1.bin\", 2]",
                "data.files[1]: expected a path, found an integer 2"},
        BadCase{"CifarNumbers", "path = \"digits.csv\"",
                "files = [\"1.bin\"]\ntask = \"regression\"",
                "dir/t.toml:7:1: data.task: is \"regression\", but the "
                "labels of cifar10 are classes"},
        BadCase{"CifarLabel", "path = \"digits.csv\"",
                "format = \"cifar100\"\nfiles = [\"1.bin\"]\nlabel = \"fin\"",
                "dir/t.toml:8:1: data.label: found \"fin\"; did you mean "
                "\"fine\"?"},
        BadCase{"NoModels", "models = 16", "models = 0",
                "dir/t.toml:18:1: population.models: expected an integer from "
                "1 to 1000000, found an integer 0"},
        BadCase{"LrNan", "lr = { min = 1e-4", "lr = { min = nan",
                "dir/t.toml:22:8: optimizer.lr.min: expected a finite number, "
                "found a number nan"},
        BadCase{"LrNegative", "lr = { min = 1e-4", "lr = { min = -1.0",
                "dir/t.toml:22:8: optimizer.lr.min: lr is -1, expected a "
                "number finite and at least 0"},
        BadCase{
            "LrString", "lr = { min", "lr = \"a\" # { min",
            "dir/t.toml:22:1: optimizer.lr: expected a number, a list of one "
            "a model, { values = [...] } or { min, max, scale, count }, "
            "found a string \"a\""},
        BadCase{"LogFromZero", "lr = { min = 1e-4", "lr = { min = 0",
                "dir/t.toml:22:8: optimizer.lr.min: is 0, expected a number "
                "above 0: the scale is logarithmic"},
        BadCase{"MinAboveMax", "lr = { min = 1e-4", "lr = { min = 2",
                "dir/t.toml:22:8: optimizer.lr.min: is 2, above max, which is "
                "0.1"},
        BadCase{"NoCount", ", count = 8", "",
                "dir/t.toml:22:1: optimizer.lr.count: missing"},
        BadCase{"BadScale", "scale = \"log\"", "scale = \"lg\"",
                "dir/t.toml:22:31: optimizer.lr.scale: found \"lg\"; did you "
                "mean \"log\"?"},
        BadCase{"MisspeltRange", "max = 0.1", "mx = 0.1",
                "dir/t.toml:22:20: optimizer.lr.mx: unknown key; did you mean "
                "\"max\"?"},
        BadCase{"EmptyList", "lr = {", "lr = [] # {",
                "dir/t.toml:22:1: optimizer.lr: expected an array of at least "
                "one number"},
        BadCase{"ListOfWords", "lr = {", "lr = [0.1, \"a\"] # {",
                "dir/t.toml:22:12: optimizer.lr[1]: expected a number, found a "
                "string \"a\""},
        BadCase{"ListOutOfRange", "lr = {", "lr = [0.1, -0.1] # {",
                "dir/t.toml:22:12: optimizer.lr[1]: lr is -0.1, expected a "
                "number finite and at least 0"},
        BadCase{"ListOfLists", "lr = {", "lr = [[0.1], 0.2] # {",
                "dir/t.toml:22:7: optimizer.lr[0]: expected a number, found an "
                "array"},
        BadCase{"RandomIsNoFlag", "count = 8", "random = \"uniform\"",
                "dir/t.toml:22:46: optimizer.lr.random: expected true or "
                "false, found a string \"uniform\""},
        BadCase{"RandomOfNothing", "min = 1e-4, max = 0.1", "random = true",
                "optimizer.lr.min: missing, expected a number"},
        BadCase{"WidthZero", "[32, 64]", "[32, 0]",
                "dir/t.toml:11:53: model.layers[0].out_features.values[1]: "
                "out_features is 0, expected 1 to"},
        BadCase{"WidthFloat", "[32, 64]", "[32, 64.5]",
                "dir/t.toml:11:53: model.layers[0].out_features.values[1]: "
                "expected an integer, found a number 64.5"},
        BadCase{"NoValues", "[32, 64]", "[]",
                "dir/t.toml:11:39: model.layers[0].out_features.values: "
                "expected an array of at least one number"},
        BadCase{"RateAboveOne", "p = 0 }", "p = 1.5 }",
                "dir/t.toml:13:23: model.layers[2].p: p is 1.5, expected a "
                "number in [0, 1]"},
        BadCase{"NoWidth", "\"linear\", out_features = 10", "\"linear\"",
                "dir/t.toml:14:3: model.layers[3].out_features: missing"},
        BadCase{"UnknownLayer", "kind = \"relu\"", "kind = \"rellu\"",
                "dir/t.toml:12:5: model.layers[1].kind: no layer \"rellu\"; "
                "did you mean \"relu\"?"},
        BadCase{"PlannedLayer", "kind = \"relu\"", "kind = \"conv2d\"",
                "dir/t.toml:12:5: model.layers[1].kind: operator conv2d is "
                "not implemented yet"},
        BadCase{"TwoGraphs", "kind = \"relu\"",
                "kind = { values = [\"relu\", \"tanh\"] }",
                "dir/t.toml:12:5: model.layers[1].kind: a model with tanh has "
                "another graph than a model with relu"},
        BadCase{"UnknownOptimizer", "kind = \"adam\"", "kind = \"adan\"",
                "dir/t.toml:21:1: optimizer.kind: no optimizer \"adan\"; "
                "there are: sgd, adam, adamw, nadam, radam, rmsprop, adagrad, "
                "adadelta, lion"},
        BadCase{"UnknownHyperParameter", "lr = {", "momentum = 0.9\nlr = {",
                "dir/t.toml:22:1: optimizer.momentum: unknown key; expected "
                "one of: amsgrad, beta1, beta2, clip_norm, clip_value, eps, "
                "gradient_scale, kind, lr, maximize, schedule, weight_decay"},
        BadCase{"NegativeClip", "lr = {", "clip_norm = -1\nlr = {",
                "dir/t.toml:22:1: optimizer.clip_norm: clip_norm is -1, "
                "expected a number 0 or more"},
        BadCase{"InfiniteClip", "lr = {", "clip_value = inf\nlr = {",
                "dir/t.toml:22:1: optimizer.clip_value: expected a finite "
                "number, found a number inf"},
        BadCase{"SweptScaleNan", "lr = {",
                "gradient_scale = { values = [1, nan] }\nlr = {",
                "dir/t.toml:22:33: optimizer.gradient_scale.values[1]: "
                "expected a finite number, found a number nan"},
        BadCase{"LossForOtherTask", "backend = \"cpu\"", "loss = \"mse\"",
                "dir/t.toml:3:1: loss: is \"mse\", expected one of: "
                "cross_entropy, nll: data.task is classification"},
        BadCase{"UnknownLoss", "backend = \"cpu\"", "loss = \"cross_entrpy\"",
                "dir/t.toml:3:1: loss: found \"cross_entrpy\"; did you mean "
                "\"cross_entropy\"?"},
        BadCase{"UnknownLossOfATable", "backend = \"cpu\"",
                "loss = { kind = \"nl\" }",
                "dir/t.toml:3:10: loss.kind: found \"nl\"; did you mean "
                "\"nll\"?"},
        BadCase{"LossNoString", "backend = \"cpu\"", "loss = 3",
                "dir/t.toml:3:1: loss: expected a string, found an integer 3"},
        BadCase{"UnknownLossAttribute", "backend = \"cpu\"",
                "loss = { smoothing = 0.1 }",
                "dir/t.toml:3:10: loss.smoothing: unknown key; "},
        BadCase{"LossAttributeOfAnother", "backend = \"cpu\"",
                "loss = { kind = \"nll\", label_smoothing = 0.1 }",
                "dir/t.toml:3:24: loss.label_smoothing: unknown key; "},
        BadCase{"LossAttributeOutOfRange", "backend = \"cpu\"",
                "loss = { label_smoothing = 2 }",
                "dir/t.toml:3:10: loss.label_smoothing: loss cross_entropy: "
                "attribute label_smoothing is 2, expected a number from 0 to "
                "1"},
        BadCase{"LossListOfAWord", "backend = \"cpu\"",
                "loss = { weight = [1, \"x\"] }",
                "dir/t.toml:3:23: loss.weight[1]: expected a finite number, "
                "found a string \"x\""},
        BadCase{"LossListEmpty", "backend = \"cpu\"", "loss = { weight = [] }",
                "dir/t.toml:3:10: loss.weight: is empty, expected an array of "
                "finite numbers"},
        BadCase{"LossListNegative", "backend = \"cpu\"",
                "loss = { weight = [1, -1] }",
                "dir/t.toml:3:10: loss.weight: loss cross_entropy: attribute "
                "weight[1] is -1, expected a number from 0 to 1e+30"},
        BadCase{"LossIndexOfAFloat", "backend = \"cpu\"",
                "loss = { ignore_index = 1.5 }",
                "dir/t.toml:3:10: loss.ignore_index: expected an integer"},
        BadCase{"SplitNotOne", "scale = 0.0625", "split = { train = 0.9 }",
                "dir/t.toml:7:1: data.split: train + validation + test is "
                "1.2, expected 1"},
        BadCase{"LabelNameWithoutHeader", "scale = 0.0625", "label = \"y\"",
                "dir/t.toml:7:1: data.label: found a name, \"y\", but "
                "data.header is false"},
        BadCase{"ResetsWithoutReset", "epochs = 3",
                "epochs = 3\nmax_resets = 2",
                "dir/t.toml:26:1: train.max_resets: is for train.on_nan = "
                "\"reset\" only, it is \"freeze\""},
        BadCase{"NegativeResets", "epochs = 3",
                "epochs = 3\non_nan = \"reset\"\nmax_resets = -1",
                "dir/t.toml:27:1: train.max_resets: expected an integer from 0 "
                "to 1000000000, found an integer -1"},
        BadCase{"UnknownMetric", "epochs = 3",
                "epochs = 3\nearly_stopping = { metric = \"loss\" }",
                "train.early_stopping.metric: found \"loss\""},
        BadCase{"NoPatience", "epochs = 3",
                "epochs = 3\nearly_stopping = { patience = 0 }",
                "train.early_stopping.patience: expected an integer from 1 to "
                "1000000000, found an integer 0"},
        BadCase{"NegativeDelta", "epochs = 3",
                "epochs = 3\nearly_stopping = { min_delta = -0.1 }",
                "train.early_stopping.min_delta: expected a finite number of "
                "at least 0, found a number -0.1"},
        BadCase{"UnknownStoppingKey", "epochs = 3",
                "epochs = 3\nearly_stopping = { patiense = 3 }",
                "train.early_stopping.patiense: unknown key; did you mean "
                "\"patience\"?"},
        BadCase{"StoppingIsNoTable", "epochs = 3",
                "epochs = 3\nearly_stopping = true",
                "train.early_stopping: expected a table, found "},
        BadCase{"UnknownWriter", "epochs = 3",
                "epochs = 3\nlog = { writers = [\"tensorbord\"] }",
                "train.log.writers[0]: found \"tensorbord\"; did you mean "
                "\"tensorboard\"?"},
        BadCase{"WriterTwice", "epochs = 3",
                "epochs = 3\nlog = { writers = [\"csv\", \"csv\"] }",
                "train.log.writers[1]: \"csv\" is there twice"},
        BadCase{"WritersAreNoArray", "epochs = 3",
                "epochs = 3\nlog = { writers = \"csv\" }",
                "train.log.writers: expected an array of names, found a "
                "string"},
        BadCase{"WriterIsNoName", "epochs = 3",
                "epochs = 3\nlog = { writers = [1] }",
                "train.log.writers[0]: expected a name, found an integer"},
        BadCase{"LogEveryZeroSteps", "epochs = 3",
                "epochs = 3\nlog = { writers = [\"csv\"], every = 0 }",
                "train.log.every: expected an integer from 1 to 1000000000, "
                "found an integer 0"},
        BadCase{"LogEveryDay", "epochs = 3",
                "epochs = 3\nlog = { writers = [\"csv\"], every = \"day\" }",
                "train.log.every: found \"day\"; expected one of: epoch"},
        BadCase{"LogEveryWithoutWriters", "epochs = 3",
                "epochs = 3\nlog = { every = 5 }",
                "train.log.every: is for train.log.writers, there are none"},
        BadCase{"UnknownLogKey", "epochs = 3",
                "epochs = 3\nlog = { writer = [\"csv\"] }",
                "train.log.writer: unknown key; did you mean \"writers\"?"},
        BadCase{"UnknownPolicy", "epochs = 3", "epochs = 3\non_nan = \"stop\"",
                "dir/t.toml:26:1: train.on_nan: found \"stop\"; expected one "
                "of: freeze, reset, warn"},
        BadCase{"RandomWithoutModels", "models = 16", "search = \"random\"",
                "dir/t.toml:17:2: population.models: missing"},
        BadCase{"NegativeSeed", "seed = 7", "seed = -1",
                "dir/t.toml:2:1: seed: expected an integer of at least 0, "
                "found an integer -1"},
        BadCase{"NameWithSlash", "name = \"t\"", "name = \"a/b\"",
                "dir/t.toml:1:1: name: found \"a/b\", expected letters"}),
    [](const auto& param_info) { return param_info.param.name; });

struct BadOverride {
  const char* name;
  const char* text;
  const char* message;
};

class BadOverrideTest : public ::testing::TestWithParam<BadOverride> {};

TEST_P(BadOverrideTest, NamesTheOverride) {
  EXPECT_THAT(ErrorOf(kValid, {GetParam().text}),
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadOverrideTest,
    ::testing::Values(
        BadOverride{"NoEquals", "train.epochs",
                    "--set train.epochs: expected KEY=VALUE"},
        BadOverride{"BadKey", "train..epochs=3",
                    "--set train..epochs=3: \"train..epochs\" is not a key"},
        BadOverride{"BadValue", "train.epochs=3,5",
                    "--set train.epochs=3,5: \"3,5\" is not a TOML value"},
        BadOverride{"UnknownKey", "train.epoch=3",
                    "--set train.epoch=3: train.epoch: unknown key; did you "
                    "mean \"epochs\"?"},
        BadOverride{"UnknownTable", "trian.epochs=3",
                    "--set trian.epochs=3: trian: unknown key; did you mean "
                    "\"train\"?"},
        BadOverride{"WrongType", "train.epochs=many",
                    "--set train.epochs=many: train.epochs: expected an "
                    "integer from 1 to 1000000000, found a string \"many\""},
        BadOverride{"NotATable", "train.epochs.max=3",
                    "--set train.epochs.max=3: train.epochs is an integer 3, "
                    "expected a table with the key \"max\""},
        BadOverride{"NoSuchIndex", "model.layers[9].p=0",
                    "--set model.layers[9].p=0: model.layers has 4 entries, "
                    "found index 9"},
        BadOverride{"Nan", "optimizer.lr=nan",
                    "--set optimizer.lr=nan: optimizer.lr: expected a finite "
                    "number, found a number nan"}),
    [](const auto& param_info) { return param_info.param.name; });

TEST(LoadExperimentTest, MissingFileAndFolder) {
  const auto missing = LoadExperiment("/nowhere/a.toml");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()),
              HasSubstr("cannot read /nowhere/a.toml: No such file"));
  EXPECT_THAT(std::string(LoadExperiment("/tmp").status().message()),
              HasSubstr("/tmp: is a folder"));
}

// No text, however cut, may crash the reader.
TEST(ParseExperimentTest, EveryPrefixGivesAStatus) {
  const std::string text = kValid;
  for (size_t size = 0; size < text.size(); ++size) {
    const auto config = ParseExperiment(text.substr(0, size), "t.toml");
    if (!config.ok()) {
      EXPECT_THAT(std::string(config.status().message()), HasSubstr("t.toml:"));
    }
  }
}

}  // namespace
}  // namespace modelbatch
