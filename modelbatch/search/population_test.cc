#include "modelbatch/search/population.h"

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/model/initializer.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/optim/optimizer_info.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kConfig[] = R"(seed = 7
[data]
path = "digits.csv"
[model]
layers = [
  { kind = "linear", out_features = { values = [32, 64] } },
  { kind = "relu" },
  { kind = "dropout", p = { values = [0, 0.2] } },
  { kind = "linear", out_features = 10 },
]
[optimizer]
kind = "adam"
lr = { min = 1e-3, max = 0.1, scale = "log", count = 3 }
eps = 1e-7
[train]
epochs = 3
)";

absl::StatusOr<Population> Expand(const std::string& text,
                                  const std::vector<std::string>& overrides,
                                  const Shape& row_shape = {64}) {
  auto config = ParseExperiment(text, "t.toml", overrides);
  if (!config.ok()) return config.status();
  return ExpandPopulation(*config, row_shape);
}

std::string ErrorOf(const std::vector<std::string>& overrides,
                    const Shape& row_shape = {64}) {
  const auto population = Expand(kConfig, overrides, row_shape);
  return population.ok() ? "no error"
                         : std::string(population.status().message());
}

int64_t Width(const ModelInstance& model) {
  return std::get<int64_t>(
      model.spec.operators()[0].attributes.at("out_features"));
}

// Each setting once a fold; seeds and ids are the models' own.
TEST(ExpandPopulationTest, FoldsVaryFastest) {
  const auto plain = Expand(kConfig, {});
  const auto folds = Expand(kConfig, {"data.folds={count=5}"});
  ASSERT_TRUE(folds.ok()) << folds.status();
  ASSERT_EQ(folds->size(), 60);
  EXPECT_EQ(folds->fields.back().path, "data.fold");
  EXPECT_EQ(folds->fields.back().label, "fold");
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(folds->folds[i], i % 5);
    EXPECT_EQ(folds->fields.back().values[i], i % 5);
    EXPECT_EQ(folds->settings[i], i / 5);
    EXPECT_EQ(folds->models[i].id, i);
    EXPECT_EQ(folds->models[i].seed, DeriveSeed(7, i));
    EXPECT_EQ(folds->optimizers[i], plain->optimizers[i / 5]);
    EXPECT_EQ(Width(folds->models[i]), Width(plain->models[i / 5]));
    for (size_t f = 0; f < plain->fields.size(); ++f) {
      EXPECT_EQ(folds->fields[f].values[i], plain->fields[f].values[i / 5]);
    }
  }
  for (int i = 0; i < plain->size(); ++i) {
    EXPECT_EQ(plain->folds[i], 0);
    EXPECT_EQ(plain->settings[i], i);
  }
}

// population.models counts settings, and the number of folds changes no draw.
TEST(ExpandPopulationTest, FoldsOfARandomSearch) {
  const std::vector<std::string> random = {
      "population={search=\"random\", models=4}"};
  const auto plain = Expand(kConfig, random);
  const auto folds =
      Expand(kConfig, {random[0], "data.folds={count=3, seed=9}"});
  ASSERT_TRUE(folds.ok()) << folds.status();
  ASSERT_EQ(folds->size(), 12);
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(folds->optimizers[i], plain->optimizers[i / 3]);
  }
  EXPECT_THAT(ErrorOf({"population={search=\"random\", models=1000000}",
                       "data.folds={count=2}"}),
              HasSubstr("data.folds.count: 1000000 settings in 2 folds are "
                        "more than 1000000 models"));
}

TEST(ExpandPopulationTest, GridTakesAllCombinations) {
  const auto population = Expand(kConfig, {});
  ASSERT_TRUE(population.ok()) << population.status();
  ASSERT_EQ(population->size(), 12);
  ASSERT_EQ(population->fields.size(), 3u);
  EXPECT_EQ(population->fields[0].path, "optimizer.lr");
  EXPECT_EQ(population->fields[0].label, "lr");
  EXPECT_EQ(population->fields[1].path, "model.layers[0].out_features");
  EXPECT_EQ(population->fields[1].label, "out_features");
  EXPECT_TRUE(population->fields[1].integer);
  EXPECT_EQ(population->fields[2].label, "p");
  // The first field varies slowest.
  const std::vector<double> p = {0, 0.2};
  const std::vector<int64_t> widths = {32, 64};
  const std::vector<double> rates = {1e-3, 1e-2, 1e-1};
  std::set<uint64_t> seeds;
  for (int i = 0; i < 12; ++i) {
    const ModelInstance& model = population->models[i];
    EXPECT_EQ(model.id, i);
    EXPECT_EQ(model.seed, DeriveSeed(7, i));
    seeds.insert(model.seed);
    EXPECT_EQ(Width(model), widths[i / 2 % 2]);
    EXPECT_EQ(std::get<double>(model.spec.operators()[2].attributes.at("p")),
              p[i % 2]);
    EXPECT_NEAR(population->optimizers[i].at("lr"), rates[i / 4], 1e-9);
    EXPECT_EQ(population->optimizers[i].at("eps"), 1e-7);
    // 64 w + w + 10 w + 10 parameters.
    EXPECT_EQ(population->layouts[i].num_parameters(),
              75 * widths[i / 2 % 2] + 10);
  }
  EXPECT_EQ(seeds.size(), 12u);
}

// Clipping varies after the optimizer's own, in the order in which it is done.
TEST(ExpandPopulationTest, ClippingIsSweptAfterTheOptimizersOwn) {
  const auto population =
      Expand(kConfig, {"optimizer.clip_norm={values=[1, 2]}",
                       "optimizer.clip_value={values=[3, 4]}",
                       "optimizer.gradient_scale=0.5", "model.layers[2].p=0",
                       "model.layers[0].out_features=8"});
  ASSERT_TRUE(population.ok()) << population.status();
  ASSERT_EQ(population->size(), 12);
  ASSERT_EQ(population->fields.size(), 3u);
  EXPECT_EQ(population->fields[0].label, "lr");
  EXPECT_EQ(population->fields[1].label, "clip_value");
  EXPECT_EQ(population->fields[2].label, "clip_norm");
  for (int i = 0; i < 12; ++i) {
    const OptimizerConfig& optimizer = population->optimizers[i];
    EXPECT_EQ(optimizer.at("gradient_scale"), 0.5);
    EXPECT_EQ(optimizer.at("clip_value"), 3 + i / 2 % 2);
    EXPECT_EQ(optimizer.at("clip_norm"), 1 + i % 2);
  }
}

TEST(ExpandPopulationTest, NothingSweptGivesReplicas) {
  const auto population =
      Expand(kConfig, {"optimizer.lr=0.01", "model.layers[0].out_features=8",
                       "model.layers[2].p=0", "population.models=5"});
  ASSERT_TRUE(population.ok()) << population.status();
  EXPECT_EQ(population->size(), 5);
  EXPECT_TRUE(population->fields.empty());
}

// A model of a random search stays itself when the population grows or another
// field is swept as well.
TEST(ExpandPopulationTest, RandomDrawsAreIndependent) {
  const auto few = Expand(kConfig, {"population={search=\"random\", models=4}",
                                    "model.layers[2].p=0.2"});
  const auto many =
      Expand(kConfig, {"population={search=\"random\", models=9}"});
  ASSERT_TRUE(few.ok()) << few.status();
  ASSERT_TRUE(many.ok()) << many.status();
  EXPECT_EQ(many->size(), 9);
  std::set<double> rates;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(few->optimizers[i], many->optimizers[i]);
    EXPECT_EQ(Width(few->models[i]), Width(many->models[i]));
    rates.insert(few->optimizers[i].at("lr"));
  }
  EXPECT_EQ(rates.size(), 4u);
}

// A list has a value for each model: lists are read side by side.
TEST(ExpandPopulationTest, ListsGiveOneValueAModel) {
  const auto population =
      Expand(kConfig,
             {"optimizer.lr=[0.1, 0.01, 0.1]", "optimizer.beta1=[0.5, 0.6, 0]",
              "model.layers[0].out_features=[8, 16, 4]",
              "model.layers[2].p=0.5", "train.batch_size=[1, 2, 3]"});
  ASSERT_TRUE(population.ok()) << population.status();
  ASSERT_EQ(population->size(), 3);
  const std::vector<double> lr = {0.1, 0.01, 0.1};
  const std::vector<double> beta1 = {0.5, 0.6, 0};
  const std::vector<int64_t> widths = {8, 16, 4};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(population->optimizers[i].at("lr"), lr[i]);
    EXPECT_EQ(population->optimizers[i].at("beta1"), beta1[i]);
    EXPECT_EQ(Width(population->models[i]), widths[i]);
    EXPECT_EQ(population->batch_sizes[i], i + 1);
  }
  // The columns of results.csv.
  ASSERT_EQ(population->fields.size(), 4u);
  EXPECT_EQ(population->fields[0].values, lr);
  EXPECT_EQ(population->fields[2].values, (std::vector<double>{8, 16, 4}));
  // One is a population too, and so are lists in a random search.
  EXPECT_EQ(Expand(kConfig, {"optimizer.lr=[0.1]", "model.layers[2].p=[0]",
                             "model.layers[0].out_features=[8]"})
                ->size(),
            1);
  const auto random =
      Expand(kConfig, {"population={search=\"random\", models=3}",
                       "optimizer.lr=[0.1, 0.2, 0.3]"});
  ASSERT_TRUE(random.ok()) << random.status();
  EXPECT_EQ(random->fields[0].values, (std::vector<double>{0.1, 0.2, 0.3}));
}

// Beside a grid, a list has a value for each of its combinations.
TEST(ExpandPopulationTest, ListsBesideAGrid) {
  const auto population = Expand(
      kConfig, {"optimizer.weight_decay=[1, 2, 3, 4]", "optimizer.lr=0.1",
                "model.layers[2].p.values=[0, 0.2]"});
  ASSERT_TRUE(population.ok()) << population.status();
  ASSERT_EQ(population->size(), 4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(population->optimizers[i].at("weight_decay"), i + 1);
    EXPECT_EQ(Width(population->models[i]), i < 2 ? 32 : 64);
  }
}

// A field that is drawn gets what it would in a random search, whatever the
// others are.
TEST(ExpandPopulationTest, OneFieldIsDrawnInAGrid) {
  const auto random =
      Expand(kConfig, {"population={search=\"random\", models=6}"});
  ASSERT_TRUE(random.ok()) << random.status();
  const auto grid = Expand(
      kConfig, {"optimizer.lr={min=1e-3, max=0.1, scale=\"log\", random=true}",
                "model.layers[0].out_features.values=[1, 2, 3]"});
  ASSERT_TRUE(grid.ok()) << grid.status();
  ASSERT_EQ(grid->size(), 6);  // 3 widths x 2 rates of dropout
  const auto lists = Expand(
      kConfig, {"optimizer.lr={min=1e-3, max=0.1, scale=\"log\", random=true}",
                "model.layers[0].out_features={values=[32, 64], random=true}",
                "model.layers[2].p=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]"});
  ASSERT_TRUE(lists.ok()) << lists.status();
  const auto models =
      Expand(kConfig, {"optimizer.lr={min=1e-3, max=0.1, scale=\"log\", "
                       "random=true}",
                       "model.layers[0].out_features=4", "model.layers[2].p=0",
                       "population.models=4"});
  ASSERT_TRUE(models.ok()) << models.status();
  ASSERT_EQ(models->size(), 4);
  for (int i = 0; i < 6; ++i) {
    const double lr = random->optimizers[i].at("lr");
    EXPECT_EQ(grid->optimizers[i].at("lr"), lr);
    EXPECT_EQ(lists->optimizers[i].at("lr"), lr);
    EXPECT_EQ(Width(lists->models[i]), Width(random->models[i]));
    EXPECT_EQ(Width(grid->models[i]), 1 + i / 2);
    if (i < 4) {
      EXPECT_EQ(models->optimizers[i].at("lr"), lr);
    }
  }
}

TEST(ExpandPopulationTest, NumbersOfModelsThatDisagree) {
  const std::vector<std::string> no_grid = {"model.layers[0].out_features=8",
                                            "model.layers[2].p=0"};
  const auto error = [&](std::vector<std::string> overrides) {
    overrides.insert(overrides.begin(), no_grid.begin(), no_grid.end());
    return ErrorOf(overrides);
  };
  EXPECT_EQ(error({"optimizer.lr=[0.1, 0.2]", "optimizer.eps=[1, 2, 3]"}),
            "--set optimizer.eps=[1, 2, 3]: optimizer.eps: is a list of 3, "
            "expected one value a model, but optimizer.lr is a list of 2");
  EXPECT_EQ(error({"optimizer.lr=[0.1, 0.2]", "population.models=3"}),
            "--set optimizer.lr=[0.1, 0.2]: optimizer.lr: is a list of 2, "
            "expected one value a model, but population.models is 3");
  EXPECT_EQ(ErrorOf({"optimizer.eps=[1, 2, 3]"}),
            "--set optimizer.eps=[1, 2, 3]: optimizer.eps: is a list of 3, "
            "expected one value a model, but the grid has 12 combinations: 3 "
            "of optimizer.lr x 2 of model.layers[0].out_features x 2 of "
            "model.layers[2].p");
  EXPECT_THAT(error({"optimizer.lr={values=[1, 2], random=true}"}),
              HasSubstr("population.models: missing, expected an integer: "
                        "optimizer.lr is drawn, which does not end by itself"));
}

// A schedule's numbers are swept like the optimizer's, and vary after them.
TEST(ExpandPopulationTest, SchedulesAreSwept) {
  const auto population = Expand(
      kConfig, {"optimizer.lr={values=[0.1, 0.2]}", "model.layers[2].p=0",
                "model.layers[0].out_features=8",
                "optimizer.schedule={kind=\"multi_step_lr\", milestones=[3, "
                "{values=[5, 6]}], gamma=[1, 2, 3, 4], warmup=[0, 2, 0, 2]}"});
  ASSERT_TRUE(population.ok()) << population.status();
  ASSERT_EQ(population->size(), 4);
  ASSERT_EQ(population->schedules.size(), 4u);
  ASSERT_EQ(population->fields.size(), 4u);
  EXPECT_EQ(population->fields[0].label, "lr");
  EXPECT_EQ(population->fields[1].path, "optimizer.schedule.gamma");
  EXPECT_EQ(population->fields[2].path, "optimizer.schedule.milestones[1]");
  EXPECT_EQ(population->fields[2].label, "milestones[1]");
  EXPECT_EQ(population->fields[3].label, "warmup");
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(population->optimizers[i].at("lr"), i < 2 ? 0.1 : 0.2);
    const LrScheduleSpec& whole = population->schedules[i];
    EXPECT_EQ(whole.kind, i % 2 == 0 ? "multi_step_lr" : "sequential_lr");
    const LrScheduleSpec& spec = i % 2 == 0 ? whole : whole.schedulers[1];
    EXPECT_EQ(std::get<double>(spec.arguments.at("gamma")), i + 1);
    EXPECT_EQ(std::get<std::vector<int64_t>>(spec.arguments.at("milestones")),
              (std::vector<int64_t>{3, 5 + i % 2}));
    if (i % 2 == 0) continue;
    EXPECT_EQ(std::get<std::vector<int64_t>>(whole.arguments.at("milestones")),
              std::vector<int64_t>{2});
    EXPECT_EQ(whole.schedulers[0].kind, "linear_lr");
    EXPECT_EQ(
        whole.schedulers[0].arguments,
        (Attributes{{"start_factor", 1.0 / 3}, {"total_iters", int64_t{2}}}));
  }
  const auto inside = Expand(
      kConfig, {"optimizer.lr=0.1", "model.layers[2].p=0",
                "model.layers[0].out_features=8",
                "optimizer.schedule={kind=\"chained_scheduler\", schedulers=["
                "{kind=\"exponential_lr\", gamma=[0.5, 0.6]}, "
                "{kind=\"exponential_lr\", gamma=[0.7, 0.8]}]}"});
  ASSERT_TRUE(inside.ok()) << inside.status();
  EXPECT_EQ(inside->fields[1].label, "optimizer.schedule.schedulers[1].gamma");
  EXPECT_EQ(std::get<double>(
                inside->schedules[1].schedulers[1].arguments.at("gamma")),
            0.8);
}

TEST(ExpandPopulationTest, SameFieldInTwoLayersIsToldApart) {
  const auto population =
      Expand(kConfig, {"model.layers[3].out_features={values=[10, 12]}"});
  ASSERT_TRUE(population.ok()) << population.status();
  EXPECT_EQ(population->fields[1].label, "layers[0].out_features");
  EXPECT_EQ(population->fields[3].label, "layers[3].out_features");
}

TEST(ExpandPopulationTest, GraphsByName) {
  const auto population = Expand(R"([data]
path = "d.csv"
[model]
layers = [
  { name = "stem", kind = "linear", out_features = 8 },
  { name = "inner", kind = "linear", out_features = 8 },
  { name = "sum", kind = "add", inputs = ["inner", "stem"] },
]
[train]
epochs = 1
)",
                                 {});
  ASSERT_TRUE(population.ok()) << population.status();
  EXPECT_EQ(population->models[0].spec.operators()[2].inputs,
            (std::vector<int>{1, 0}));
  EXPECT_EQ(population->layouts[0].parameters[0].name, "stem.weight");
}

TEST(ExpandPopulationTest, InputShapeReshapesARow) {
  EXPECT_EQ(ErrorOf({"model.input=[8, 9]"}),
            "--set model.input=[8, 9]: model.input: found [8, 9], but a row of "
            "the data has 64 features");
  // linear needs one dimension: the message comes from the layer's line.
  EXPECT_THAT(ErrorOf({"model.input=[8, 8]"}),
              HasSubstr("t.toml:6:3: model.layers[0]: model 0: operator \"0\" "
                        "(linear): input has shape [8, 8] a row"));
}

TEST(ExpandPopulationTest, ErrorsNameLineAndKey) {
  EXPECT_EQ(ErrorOf({"population.models=60"}),
            "--set population.models=60: population.models: found 60, but the "
            "grid has 12 combinations: 3 of optimizer.lr x 2 of "
            "model.layers[0].out_features x 2 of model.layers[2].p");
  EXPECT_EQ(
      ErrorOf({"model.layers[0].out_features={min=4, max=6, count=9}"}),
      "--set model.layers[0].out_features={min=4, max=6, count=9}: "
      "model.layers[0].out_features: gives only 3 different values out of 9, "
      "expected each to differ");
  EXPECT_THAT(ErrorOf({"model.layers[1].inputs=[\"00\"]"}),
              HasSubstr("model.layers[1].inputs[0]: no earlier layer is named "
                        "\"00\""));
  EXPECT_THAT(ErrorOf({"optimizer={kind=\"sgd\", nesterov=true}"}),
              HasSubstr("optimizer: model 0: nesterov needs momentum"));
  EXPECT_THAT(ErrorOf({"optimizer.lr={values=[0.1, 0.1]}"}),
              HasSubstr("optimizer.lr: gives only 1 different values"));
}

// Every hyper-parameter of every optimizer, flags as true and false.
TEST(ExpandPopulationTest, EveryHyperParameterIsSwept) {
  for (const std::string& kind : OptimizerKinds()) {
    for (const HyperParameter& h : (*FindOptimizer(kind))->hyper_parameters) {
      const std::string values = h.flag ? "[false, true]" : "[0, 0.5]";
      const std::string others = h.name == "nesterov" ? ", momentum=0.9" : "";
      const auto population = Expand(
          kConfig, {"optimizer={kind=\"" + kind + "\", " + h.name +
                        "={values=" + values + "}" + others + "}",
                    "model.layers[2].p=0", "model.layers[0].out_features=8"});
      ASSERT_TRUE(population.ok()) << population.status();
      ASSERT_EQ(population->size(), 2) << kind << ", " << h.name;
      EXPECT_EQ(population->fields[0].label, h.name);
      EXPECT_EQ(population->optimizers[0].at(h.name), 0);
      EXPECT_EQ(population->optimizers[1].at(h.name), h.flag ? 1 : 0.5);
    }
  }
  EXPECT_THAT(ErrorOf({"optimizer.amsgrad=0.5"}),
              HasSubstr("optimizer.amsgrad: amsgrad is 0.5, expected 0 or 1"));
}

// An initialiser's numbers may be swept, and errors name the key.
TEST(ExpandPopulationTest, Initializers) {
  const auto population =
      Expand(kConfig, {"model.layers[0].weight_init=trunc_normal",
                       "model.layers[0].weight_init_std.values=[0.1,0.2]",
                       "model.layers[3].bias_init=zeros"});
  ASSERT_TRUE(population.ok()) << population.status();
  ASSERT_EQ(population->size(), 24);
  std::set<double> stds;
  for (const Layout& layout : population->layouts) {
    EXPECT_EQ(layout.parameters[0].init.kind, Initializer::Kind::kTruncNormal);
    EXPECT_EQ(layout.parameters[3].init.kind, Initializer::Kind::kConstant);
    stds.insert(layout.parameters[0].init.std);
  }
  EXPECT_EQ(stds, (std::set<double>{0.1, 0.2}));
  EXPECT_THAT(ErrorOf({"model.layers[0].weight_init=normal",
                       "model.layers[0].weight_init_std.values=[0.1,-0.2]"}),
              AllOf(HasSubstr("model.layers[0].weight_init_std"),
                    HasSubstr("weight_init_std is -0.2, expected at least 0")));
  EXPECT_THAT(ErrorOf({"model.layers[0].weight_init=xavier"}),
              AllOf(HasSubstr("model.layers[0].weight_init: "),
                    HasSubstr("is \"xavier\", expected one of")));
  EXPECT_THAT(ErrorOf({"model.layers[0].weight_init_gain=2"}),
              HasSubstr("weight_init_gain is given, but weight_init is "
                        "\"default\", which takes no arguments"));
}

TEST(ExpandPopulationTest, BatchSizesMayDiffer) {
  const auto fixed = Expand(kConfig, {"train.batch_size=7"});
  ASSERT_TRUE(fixed.ok()) << fixed.status();
  EXPECT_EQ(fixed->batch_sizes, std::vector<int64_t>(12, 7));
  EXPECT_EQ(Expand(kConfig, {})->batch_sizes, std::vector<int64_t>(12, 32));
  const auto swept = Expand(kConfig, {"train.batch_size.values=[8, 64]"});
  ASSERT_TRUE(swept.ok()) << swept.status();
  ASSERT_EQ(swept->size(), 24);
  EXPECT_EQ(swept->fields.back().path, "train.batch_size");
  EXPECT_EQ(swept->fields.back().label, "batch_size");
  EXPECT_TRUE(swept->fields.back().integer);
  for (int i = 0; i < 24; ++i) {
    EXPECT_EQ(swept->batch_sizes[i], i % 2 == 0 ? 8 : 64);
  }
  EXPECT_THAT(ErrorOf({"train.batch_size=0"}),
              HasSubstr("train.batch_size: is 0, expected 1 to 1000000000"));
  EXPECT_THAT(ErrorOf({"train.batch_size.values=[8, -1]"}),
              HasSubstr("train.batch_size.values[1]: is -1, expected 1 to"));
  EXPECT_THAT(ErrorOf({"train.batch_size=1.5"}),
              HasSubstr("train.batch_size: expected an integer"));
}

}  // namespace
}  // namespace modelbatch
