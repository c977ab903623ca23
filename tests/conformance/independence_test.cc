// The promise: a model ends with the weights it would have had alone.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/conformance/plugin_under_test.h"
#include "tests/conformance/population.h"

namespace modelbatch::conformance {
namespace {

constexpr int kModels = 7;
constexpr int kSteps = 5;
constexpr int64_t kRows = 40;
constexpr int64_t kFeatures = 9;
constexpr int64_t kClasses = 5;
constexpr int64_t kMaxRows = 24;

class Independence : public ConformanceTest {
 protected:
  void SetUp() override {
    ConformanceTest::SetUp();
    if (IsSkipped()) return;
    MB_REQUIRES(HasOperator("linear") && HasOperator("relu") &&
                (HasLoss("cross_entropy") || HasLoss("mse")));
    exact_ = HasFeature("bitwise_independence");
    loss_ = HasLoss("cross_entropy") ? "cross_entropy" : "mse";
    data_ = Get(backend().CreateDataset(NoiseTensor(1, {kRows, kFeatures}),
                                        loss_ == "mse"
                                            ? NoiseTensor(2, {kRows, kClasses})
                                            : Labels(2, kRows, kClasses)));
  }

  ModelInstance Model(int i) const {
    ModelSpec spec({kFeatures});
    spec.Linear(HasFeature("mixed_widths") ? 3 + 5 * i : 16).Relu();
    if (HasOperator("layer_norm")) spec.LayerNorm();
    if (HasOperator("dropout")) {
      spec.Dropout(HasFeature("mixed_widths") ? 0.1 * i : 0.3);
    }
    spec.Linear(kClasses);
    return {100 + i, static_cast<uint64_t>(7 * i), spec};
  }

  // The rows of model i in a step: its own where the backend can.
  std::vector<int32_t> RowsOf(int i, int step) const {
    if (!HasFeature("ragged_rows")) i = 0;
    std::vector<int32_t> rows;
    for (int r = 0; r < 5 + 3 * i; ++r) {
      rows.push_back((7 * r + 11 * step + i) % kRows);
    }
    return rows;
  }

  struct Run {
    std::vector<Snapshot> states;
    std::vector<std::vector<float>> losses;  // [step][slot]
  };

  // Trains the models of `members` in these slots.
  Run Train(const std::vector<int>& members, const std::string& optimizer) {
    std::vector<ModelInstance> models;
    for (int i : members) models.push_back(Model(i));
    Population population(backend(), models, loss_, kMaxRows);
    population.WriteNoise();
    population.SetOptimizer(optimizer);
    const std::vector<Column> columns =
        population.VariedColumns(/*optional=*/false);
    Run run;
    for (int step = 0; step < kSteps; ++step) {
      std::vector<int32_t> rows;
      std::vector<int64_t> offsets = {0};
      if (HasFeature("ragged_rows")) {
        for (int i : members) {
          const std::vector<int32_t> own = RowsOf(i, step);
          rows.insert(rows.end(), own.begin(), own.end());
          offsets.push_back(static_cast<int64_t>(rows.size()));
        }
      } else {
        rows = RowsOf(0, step);
        offsets.clear();
      }
      run.losses.push_back(
          population.Step(*data_, {rows, offsets}, columns).losses);
    }
    run.states = population.SaveAll();
    return run;
  }

  void ExpectAloneEqualsTogether(const std::string& optimizer) {
    std::vector<int> forwards, backwards;
    for (int i = 0; i < kModels; ++i) forwards.push_back(i);
    backwards.assign(forwards.rbegin(), forwards.rend());
    const Run together = Train(forwards, optimizer);
    const Run reversed = Train(backwards, optimizer);
    for (int i = 0; i < kModels; ++i) {
      const Run alone = Train({i}, optimizer);
      const std::string what = optimizer + ", model " + std::to_string(i);
      ExpectSameState(together.states[i], alone.states[0], exact_,
                      what + " among others");
      ExpectSameState(reversed.states[kModels - 1 - i], alone.states[0], exact_,
                      what + " in another slot");
      for (int step = 0; step < kSteps; ++step) {
        const float expected = alone.losses[step][0];
        const float got[] = {together.losses[step][i],
                             reversed.losses[step][kModels - 1 - i]};
        for (float loss : got) {
          if (exact_) {
            EXPECT_EQ(std::memcmp(&loss, &expected, sizeof(loss)), 0)
                << what << ", step " << step;
          } else {
            EXPECT_NEAR(loss, expected, 1e-5 * std::abs(expected)) << what;
          }
        }
      }
    }
  }

  bool exact_ = false;
  std::string loss_;
  std::unique_ptr<Dataset> data_;
};

TEST_F(Independence, AloneEqualsTogetherWithEveryClaimedOptimizer) {
  for (const std::string& optimizer : KnownOptimizers()) {
    if (HasOptimizer(optimizer)) ExpectAloneEqualsTogether(optimizer);
  }
}

TEST_F(Independence, SessionsOnTwoThreadsDoNotDisturbEachOther) {
  MB_REQUIRES(HasOptimizer("sgd"));
  const std::vector<int> a = {0, 1, 2, 3}, b = {4, 5, 6};
  const Run expected_a = Train(a, "sgd"), expected_b = Train(b, "sgd");
  for (int round = 0; round < 3; ++round) {
    Run got_a, got_b;
    std::string error_a, error_b;
    // A failure throws, and must not leave its thread.
    const auto train = [this](const std::vector<int>& members, Run* run,
                              std::string* error) {
      try {
        *run = Train(members, "sgd");
      } catch (const std::exception& e) {
        *error = e.what();
      }
    };
    std::thread thread_a([&] { train(a, &got_a, &error_a); });
    std::thread thread_b([&] { train(b, &got_b, &error_b); });
    thread_a.join();
    thread_b.join();
    ASSERT_EQ(error_a, "");
    ASSERT_EQ(error_b, "");
    for (size_t m = 0; m < a.size(); ++m) {
      ExpectSameState(got_a.states[m], expected_a.states[m], exact_,
                      "thread a");
    }
    for (size_t m = 0; m < b.size(); ++m) {
      ExpectSameState(got_b.states[m], expected_b.states[m], exact_,
                      "thread b");
    }
  }
}

}  // namespace
}  // namespace modelbatch::conformance
