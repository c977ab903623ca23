// Every claimed optimizer: its first update is the formula's, its state is all
// that a run continues from, each model has its own hyper-parameters, flags
// too, and a model that makes no step keeps its state.
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "modelbatch/optim/optimizer_info.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

constexpr int64_t kRows = 8;
constexpr int64_t kFeatures = 4;
constexpr int64_t kOutputs = 3;
constexpr int kModels = 6;

using Values = std::map<std::string, double>;

// The change of a parameter p by the first update from its gradient g, by
// torch.optim's formulas (2.11) with lr, weight_decay and eps given and all
// else the defaults; Lion's by Chen et al. 2023.
double FirstStep(const std::string& optimizer, double p, double g, double lr,
                 double decay, double eps) {
  if (optimizer == "adamw" || optimizer == "lion") {
    const double shrink = -lr * decay * p;
    return shrink - lr * (optimizer == "lion" ? (g > 0) - (g < 0)
                                              : g / (std::abs(g) + eps));
  }
  g += decay * p;
  if (optimizer == "sgd") return -lr * g;
  // With its bias corrected, Adam's first step is lr g / (|g| + eps).
  if (optimizer == "adam") return -lr * g / (std::abs(g) + eps);
  // rho_t is 1: not rectified.
  if (optimizer == "radam") return -lr * g;
  if (optimizer == "nadam") {
    const auto mu = [](int t) {
      return 0.9 * (1 - 0.5 * std::pow(0.96, t * 4e-3));
    };
    const double of_gradient = (1 - mu(1)) / (1 - mu(1));
    const double of_average = mu(2) * 0.1 / (1 - mu(1) * mu(2));
    return -lr * (of_gradient + of_average) * g / (std::abs(g) + eps);
  }
  if (optimizer == "rmsprop") {
    return -lr * g / (std::sqrt(0.01 * g * g) + eps);
  }
  if (optimizer == "adagrad") return -lr * g / (std::abs(g) + eps);
  if (optimizer == "adadelta") {
    return -lr * g * std::sqrt(eps) / std::sqrt(0.1 * g * g + eps);
  }
  ADD_FAILURE() << "no formula of " << optimizer;
  return 0;
}

// Needs linear and mse, which every useful backend has.
class Optimizers : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (IsSkipped()) return;
    MB_REQUIRES(HasOperator("linear") && HasLoss("mse") &&
                !capabilities().optimizers.empty());
    exact_ = HasFeature("bitwise_independence");
    data_ = Get(backend().CreateDataset(NoiseTensor(1, {kRows, kFeatures}),
                                        NoiseTensor(2, {kRows, kOutputs})));
  }

  std::vector<std::string> Claimed() const {
    std::vector<std::string> kinds;
    for (const std::string& kind : KnownOptimizers()) {
      if (HasOptimizer(kind)) kinds.push_back(kind);
    }
    return kinds;
  }

  Population Make(const std::string& optimizer, int models = kModels) {
    std::vector<ModelInstance> instances;
    for (int64_t m = 0; m < models; ++m) {
      ModelSpec spec({kFeatures});
      // In pairs: a backend may update models of equal shapes together.
      spec.Linear(HasFeature("mixed_widths") ? 3 + 2 * (m / 2) : 4)
          .Linear(kOutputs);
      instances.push_back({m, static_cast<uint64_t>(m), spec});
    }
    Population population(backend(), instances, "mse", kRows);
    population.WriteNoise();
    population.SetOptimizer(optimizer);
    return population;
  }

  // Whether the plugin takes a column that it need not take; it refuses it by
  // name otherwise.
  bool Takes(const std::string& optimizer, const std::string& column) {
    Population population = Make(optimizer, 1);
    const absl::Status status = population.TryStep(
        *data_, {rows_, {}}, population.Columns({{column, 1}}));
    if (status.ok()) return true;
    EXPECT_TRUE(absl::IsInvalidArgument(status) ||
                absl::IsUnimplemented(status))
        << status;
    EXPECT_NE(status.message().find(column), absl::string_view::npos) << status;
    return false;
  }
  bool TakesAll(const std::string& optimizer) {
    for (const std::string& column : OptionalColumns(optimizer)) {
      if (!Takes(optimizer, column)) return false;
    }
    return true;
  }

  std::vector<int32_t> RowsOf(int step) const {
    std::vector<int32_t> rows;
    for (int r = 0; r < 5; ++r) rows.push_back((3 * r + 5 * step) % kRows);
    return rows;
  }
  void Train(Population& population, const std::vector<Column>& columns,
             int first, int last) {
    for (int step = first; step < last; ++step) {
      const std::vector<int32_t> rows = RowsOf(step);
      const StepResult result = population.Step(*data_, {rows, {}}, columns);
      for (size_t m = 0; m < population.size(); ++m) {
        ASSERT_EQ(result.outcomes[m], Outcome::kStepped) << "model " << m;
      }
    }
  }

  const std::vector<int32_t> rows_ = {0, 1, 2, 3, 4, 5};
  std::unique_ptr<Dataset> data_;
  bool exact_ = false;
};

// From the gradient that the session itself reports.
TEST_F(Optimizers, TheFirstUpdateIsTheFormula) {
  constexpr double kRate = 0.05, kDecay = 0.25, kEps = 1e-6;
  for (const std::string& optimizer : Claimed()) {
    SCOPED_TRACE(optimizer);
    for (const bool maximize : {false, true}) {
      if (maximize && !Takes(optimizer, "maximize")) continue;
      Population population = Make(optimizer);
      Values values = {{"lr", kRate}, {"weight_decay", kDecay}, {"eps", kEps}};
      if (maximize) values["maximize"] = 1;
      const std::vector<Snapshot> saved = population.SaveAll();
      std::vector<Tensor> before;
      for (size_t m = 0; m < population.size(); ++m) {
        before.push_back(population.Read(m, "param", "0.weight"));
      }
      population.Step(*data_, {rows_, {}}, population.Columns(values), {},
                      /*keep_gradients=*/true);
      for (size_t m = 0; m < population.size(); ++m) {
        const Tensor after = population.Read(m, "param", "0.weight");
        const Tensor gradient = population.Read(m, "grad", "0.weight");
        for (int64_t i = 0; i < after.size(); ++i) {
          const double p = before[m].data<float>()[i];
          const double g = (maximize ? -1.0 : 1.0) * gradient.data<float>()[i];
          EXPECT_NEAR(after.data<float>()[i],
                      p + FirstStep(optimizer, p, g, kRate, kDecay, kEps),
                      1e-6);
        }
        EXPECT_EQ(population.Read(m, "step", "").data<int64_t>()[0], 1);
      }
    }
  }
}

// A run in two halves, the second in a session of its own that has nothing but
// the state of the first: the same bits, whatever the flags.
TEST_F(Optimizers, ARunContinuesFromItsState) {
  for (const std::string& optimizer : Claimed()) {
    SCOPED_TRACE(optimizer);
    const bool optional = TakesAll(optimizer);
    for (const int stop : {0, 1, 4}) {
      Population whole = Make(optimizer);
      const std::vector<Column> columns = whole.VariedColumns(optional);
      Train(whole, columns, 0, 8);
      Population first = Make(optimizer);
      Train(first, columns, 0, stop);
      Population second = Make(optimizer);
      // Steps of its own, which the state must replace.
      if (stop == 1) Train(second, columns, 3, 5);
      for (size_t m = 0; m < second.size(); ++m) second.Load(m, first.Save(m));
      Train(second, columns, stop, 8);
      for (size_t m = 0; m < whole.size(); ++m) {
        ExpectSameState(second.Save(m), whole.Save(m), exact_,
                        "stopped after " + std::to_string(stop) + ", model " +
                            std::to_string(m));
      }
    }
  }
}

// A flag is each model's own: among models with the others, each ends as in a
// population where all have its flag.
TEST_F(Optimizers, EachModelHasItsOwnFlags) {
  for (const std::string& optimizer : Claimed()) {
    for (const HyperParameter& h :
         Get(FindOptimizer(optimizer))->hyper_parameters) {
      if (!h.flag || (h.optional && !Takes(optimizer, h.name))) continue;
      SCOPED_TRACE(optimizer + ", " + h.name);
      Values values = {{"weight_decay", 0.1}, {"lr", 0.1}};
      if (h.name == "nesterov") values["momentum"] = 0.9;
      std::vector<Snapshot> all[2];
      for (const int flag : {0, 1}) {
        Population population = Make(optimizer);
        values[h.name] = flag;
        Train(population, population.Columns(values), 0, 5);
        all[flag] = population.SaveAll();
      }
      Population mixed = Make(optimizer);
      std::vector<Column> columns = mixed.Columns(values);
      for (Column& column : columns) {
        if (column.name != h.name) continue;
        for (size_t m = 0; m < mixed.size(); ++m) column.values[m] = m % 2;
      }
      Train(mixed, columns, 0, 5);
      for (size_t m = 0; m < mixed.size(); ++m) {
        ExpectSameState(mixed.Save(m), all[m % 2][m], exact_,
                        "model " + std::to_string(m));
        EXPECT_NE(all[0][m], all[1][m]) << "the flag changes nothing";
      }
    }
  }
}

// Left out, an optional column is its default.
TEST_F(Optimizers, OptionalColumnsMayBeLeftOut) {
  for (const std::string& optimizer : Claimed()) {
    Values zeros;
    for (const std::string& name : OptionalColumns(optimizer)) {
      if (Takes(optimizer, name)) zeros[name] = 0;
    }
    SCOPED_TRACE(optimizer);
    Population with = Make(optimizer), without = Make(optimizer);
    Train(with, with.Columns(zeros), 0, 3);
    Train(without, without.Columns(), 0, 3);
    for (size_t m = 0; m < with.size(); ++m) {
      ExpectSameState(with.Save(m), without.Save(m), exact_, "left out");
    }
  }
}

// A column that a plugin takes has its state.
TEST_F(Optimizers, StatesOfColumnsAreThere) {
  for (const std::string& optimizer : Claimed()) {
    for (const OptimizerState& state : Get(FindOptimizer(optimizer))->state) {
      if (state.needed_by.empty()) continue;
      const std::vector<std::string> optional = OptionalColumns(optimizer);
      if (Contains(optional, state.needed_by) &&
          !Takes(optimizer, state.needed_by)) {
        continue;
      }
      SCOPED_TRACE(optimizer + ", " + state.name);
      Population population = Make(optimizer);
      const Tensor before = population.Read(0, state.name, "0.weight");
      for (int64_t i = 0; i < before.size(); ++i) {
        EXPECT_EQ(before.data<float>()[i], 0.0f);
      }
      Train(population, population.Columns({{state.needed_by, 1}}), 0, 2);
      const Tensor after = population.Read(0, state.name, "0.weight");
      bool changed = false;
      for (int64_t i = 0; i < after.size(); ++i) {
        changed = changed || after.data<float>()[i] != 0;
      }
      EXPECT_TRUE(changed);
    }
  }
}

TEST_F(Optimizers, InactiveAndNonFiniteModelsAreNotTouched) {
  for (const std::string& optimizer : Claimed()) {
    SCOPED_TRACE(optimizer);
    const bool optional = TakesAll(optimizer);
    Population population = Make(optimizer), clean = Make(optimizer);
    const std::vector<Column> columns = population.VariedColumns(optional);
    Train(population, columns, 0, 2);
    Train(clean, columns, 0, 2);
    Tensor bias = population.Read(1, "param", "1.bias");
    bias.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    population.Write(1, "param", "1.bias", bias);
    const std::vector<Snapshot> before = population.SaveAll();
    std::vector<uint8_t> active(population.size(), 1);
    active[2] = 0;
    const StepResult result =
        population.Step(*data_, {rows_, {}}, columns, active);
    clean.Step(*data_, {rows_, {}}, columns);
    EXPECT_EQ(result.outcomes[1], Outcome::kNonFiniteLoss);
    EXPECT_EQ(result.outcomes[2], Outcome::kInactive);
    for (size_t m = 0; m < population.size(); ++m) {
      const std::string what = "model " + std::to_string(m);
      if (m == 1 || m == 2) {
        ExpectSameState(population.Save(m), before[m], true, what);
      } else {
        ExpectSameState(population.Save(m), clean.Save(m), exact_, what);
      }
    }
  }
}

TEST_F(Optimizers, ColumnsAreRefusedByNameAndChangeNothing) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const std::string& optimizer : Claimed()) {
    SCOPED_TRACE(optimizer);
    Population population = Make(optimizer, 3);
    Train(population, population.Columns(), 0, 1);
    const std::vector<Snapshot> before = population.SaveAll();
    const auto refused = [&](const std::vector<Column>& columns,
                             const std::string& name, const std::string& what) {
      const absl::Status status =
          population.TryStep(*data_, {rows_, {}}, columns);
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << what << ": " << status;
      EXPECT_NE(status.message().find(name), absl::string_view::npos)
          << what << ": " << status << " does not name " << name;
    };
    for (const HyperParameter& h :
         Get(FindOptimizer(optimizer))->hyper_parameters) {
      const std::vector<Column> good = population.Columns();
      if (!h.optional) {
        std::vector<Column> missing;
        for (const Column& column : good) {
          if (column.name != h.name) missing.push_back(column);
        }
        refused(missing, h.name, "missing");
      } else if (!Takes(optimizer, h.name)) {
        continue;
      }
      std::vector<double> bad = {std::nan("")};
      if (!h.flag) bad.insert(bad.end(), {kInfinity, -kInfinity});
      if (h.min == 0) bad.push_back(-1e-3);
      if (h.flag) bad.insert(bad.end(), {0.5, 2});
      if (h.max_open) bad.push_back(1);
      for (const double value : bad) {
        std::vector<Column> columns = population.Columns({{h.name, 0}});
        for (Column& column : columns) {
          if (column.name == h.name) column.values[1] = value;
        }
        refused(columns, h.name, std::to_string(value));
      }
    }
    std::vector<Column> unknown = population.Columns();
    unknown.push_back({"no_such_column", std::vector<double>(3, 0)});
    refused(unknown, "no_such_column", "unknown");
    for (size_t m = 0; m < population.size(); ++m) {
      ExpectSameState(population.Save(m), before[m], true, "refused");
    }
  }
}

}  // namespace
}  // namespace modelbatch::conformance
