// TrainOneEpoch and Evaluate: what they return is what the steps and the
// outputs say, and a model's part of it is its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "modelbatch/modelbatch.h"

namespace modelbatch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsNan;

constexpr int kRows = 90, kIn = 5, kClasses = 3;

std::string BackendName() { return std::getenv("MODELBATCH_TEST_BACKEND"); }
bool EqualBits() { return BackendName() == "cpu"; }

using Rows = std::vector<int32_t>;

Rows Numbers(int begin, int end) {
  Rows rows(end - begin);
  std::iota(rows.begin(), rows.end(), begin);
  return rows;
}

// What one member of a population is, by its id alone.
struct Member {
  int64_t id;
  Rows rows;
  int64_t batch_size;
  double lr;
};

Member MemberOf(int64_t id) {
  return {id, Numbers(static_cast<int>(id) * 7, 60 + static_cast<int>(id) * 3),
          8 + id, 0.01 * static_cast<double>(id + 1)};
}

class EpochTest : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = CreateBackend(BackendName());
    ASSERT_TRUE(backend.ok()) << backend.status();
    backend_ = *std::move(backend);
    std::mt19937_64 random(4);
    std::normal_distribution<float> normal;
    features_ = Tensor::Zeros(DType::kFloat32, {kRows, kIn});
    for (int i = 0; i < kRows * kIn; ++i) {
      features_.data<float>()[i] = normal(random);
    }
    labels_ = Tensor::Zeros(DType::kInt64, {kRows});
    values_ = Tensor::Zeros(DType::kFloat32, {kRows, kClasses});
    for (int row = 0; row < kRows; ++row) {
      const float* x = features_.data<float>() + row * kIn;
      labels_.data<int64_t>()[row] = x[0] > 0.3f ? 2 : x[1] > x[2] ? 1 : 0;
      for (int c = 0; c < kClasses; ++c) {
        values_.data<float>()[row * kClasses + c] = x[c] > 0 ? 1 : 0;
      }
    }
  }

  // A population that trains.
  struct Training {
    std::unique_ptr<ModelBatch> batch;
    std::unique_ptr<Dataset> data;
    std::unique_ptr<Optimizer> optimizer;
    std::unique_ptr<PerModelBatches> batches;
  };

  Training Make(const std::vector<Member>& members,
                const LossSpec& loss = {"cross_entropy", {}}) {
    Training t;
    std::vector<ModelInstance> models;
    std::vector<OptimizerConfig> configs;
    std::vector<ModelRows> rows;
    for (const Member& m : members) {
      const ModelSpec spec = ModelSpec({kIn})
                                 .Linear(6 + 2 * m.id)
                                 .Relu()
                                 .Dropout(0.1 * static_cast<double>(m.id))
                                 .Linear(kClasses);
      models.push_back({m.id, DeriveSeed(9, m.id), spec});
      configs.push_back({{"lr", m.lr}});
      rows.push_back({std::make_shared<const Rows>(m.rows), m.batch_size,
                      DeriveSeed(10, m.id)});
    }
    auto batches = PerModelBatches::Create(std::move(rows));
    EXPECT_TRUE(batches.ok()) << batches.status();
    t.batches = std::make_unique<PerModelBatches>(*std::move(batches));
    auto batch = ModelBatch::Create(backend_.get(), std::move(models), loss,
                                    t.batches->max_rows());
    EXPECT_TRUE(batch.ok()) << batch.status();
    t.batch = *std::move(batch);
    auto optimizer =
        OptimizerFactory("adam").CreateOptimizer(t.batch.get(), configs);
    EXPECT_TRUE(optimizer.ok()) << optimizer.status();
    t.optimizer = std::make_unique<Optimizer>(*std::move(optimizer));
    auto data =
        backend_->CreateDataset(features_.Borrow(), TargetsFor(loss).Borrow());
    EXPECT_TRUE(data.ok()) << data.status();
    t.data = *std::move(data);
    return t;
  }
  Training Make(int members) {
    std::vector<Member> all;
    for (int i = 0; i < members; ++i) all.push_back(MemberOf(i));
    return Make(all);
  }

  const Tensor& TargetsFor(const LossSpec& loss) const {
    return FindLoss(loss.kind)->classes ? labels_ : values_;
  }

  absl::StatusOr<EpochResult> Epoch(Training* t, int64_t epoch = 0,
                                    const EpochHooks& hooks = {}) {
    return TrainOneEpoch(t->batch.get(), *t->data, t->batches.get(), epoch,
                         *t->optimizer, hooks);
  }

  std::unique_ptr<Backend> backend_;
  Tensor features_, labels_, values_;
};

std::vector<float> Weights(ModelBatch* batch, int model) {
  std::vector<float> all;
  for (const Parameter& parameter : batch->layout(model).parameters) {
    const auto value = batch->GetParameter(model, parameter.name);
    EXPECT_TRUE(value.ok()) << value.status();
    all.insert(all.end(), value->data<float>(),
               value->data<float>() + value->size());
  }
  return all;
}

void ExpectSame(const ClassificationMetrics& a,
                const ClassificationMetrics& b) {
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.accuracy, b.accuracy);
  EXPECT_EQ(a.top_k_accuracy, b.top_k_accuracy);
  EXPECT_EQ(a.macro_f1, b.macro_f1);
  ASSERT_EQ(a.confusion.shape(), b.confusion.shape());
  for (int64_t i = 0; i < a.confusion.size(); ++i) {
    EXPECT_EQ(a.confusion.data<int64_t>()[i], b.confusion.data<int64_t>()[i]);
  }
}

// ---- TrainOneEpoch

// It makes the steps that a loop over the batches makes, and its loss is the
// mean over the rows: the last batches are smaller.
TEST_F(EpochTest, IsTheLoopOverTheBatches) {
  Training loop = Make(4), epoch = Make(4);
  for (int64_t e = 0; e < 3; ++e) {
    std::vector<double> sums(4, 0);
    std::vector<int64_t> rows(4, 0), updates(4, 0);
    loop.batches->StartEpoch(e);
    for (int64_t s = 0; s < loop.batches->steps_per_epoch(); ++s) {
      ASSERT_TRUE(
          loop.batch
              ->TrainStep(*loop.data, loop.batches->Batch(s), *loop.optimizer)
              .ok());
      for (int i = 0; i < 4; ++i) {
        const auto own =
            static_cast<int64_t>(loop.batches->BatchOf(i, s).size());
        if (own == 0) continue;
        sums[i] += loop.batch->last_step().losses[i] * static_cast<double>(own);
        rows[i] += own;
        ++updates[i];
      }
    }
    const auto result = Epoch(&epoch, e);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->rows, rows);
    EXPECT_EQ(result->updates, updates);
    EXPECT_TRUE(result->skipped.empty());
    for (int i = 0; i < 4; ++i) {
      EXPECT_NEAR(result->losses[i], sums[i] / static_cast<double>(rows[i]),
                  1e-12);
      EXPECT_EQ(Weights(epoch.batch.get(), i), Weights(loop.batch.get(), i));
    }
  }
  // Not all the same: 60 - 4 i rows by 8 + i a step.
  EXPECT_EQ(epoch.batches->steps_per_epoch(0), 8);
  EXPECT_EQ(epoch.batches->steps_per_epoch(3), 5);
}

TEST_F(EpochTest, AModelsResultIsItsOwn) {
  Training together = Make(5);
  const Rows test = Numbers(60, kRows);
  std::vector<EpochResult> epochs;
  for (int64_t e = 0; e < 2; ++e) {
    auto result = Epoch(&together, e);
    ASSERT_TRUE(result.ok()) << result.status();
    epochs.push_back(*std::move(result));
  }
  const auto evaluation =
      Evaluate(together.batch.get(), *together.data, labels_, {test, {}});
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  for (int i = 0; i < 5; ++i) {
    Training alone = Make({MemberOf(i)});
    for (int64_t e = 0; e < 2; ++e) {
      const auto own = Epoch(&alone, e);
      ASSERT_TRUE(own.ok()) << own.status();
      EXPECT_EQ(own->updates[0], epochs[e].updates[i]);
      EXPECT_EQ(own->rows[0], epochs[e].rows[i]);
      EXPECT_NEAR(own->losses[0], epochs[e].losses[i], 1e-4);
      if (EqualBits()) {
        EXPECT_EQ(own->losses[0], epochs[e].losses[i]);
      }
    }
    const auto own =
        Evaluate(alone.batch.get(), *alone.data, labels_, {test, {}});
    ASSERT_TRUE(own.ok()) << own.status();
    EXPECT_NEAR(own->losses[0], evaluation->losses[i], 1e-4);
    if (!EqualBits()) continue;
    EXPECT_EQ(own->losses[0], evaluation->losses[i]);
    ExpectSame(own->classification[0], evaluation->classification[i]);
    EXPECT_EQ(Weights(alone.batch.get(), 0), Weights(together.batch.get(), i));
  }
}

// A model that explodes is named, with the first step and how often; the others
// train as without it.
TEST_F(EpochTest, NamesNonFiniteModels) {
  Member wild = MemberOf(1);
  wild.lr = 1e30;
  Training with = Make({MemberOf(0), wild, MemberOf(2)});
  Training without = Make({MemberOf(0), MemberOf(2)});
  const auto result = Epoch(&with);
  const auto calm = Epoch(&without);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_TRUE(calm.ok()) << calm.status();
  ASSERT_EQ(result->skipped.size(), 1u);
  const SkippedUpdates& skipped = result->skipped[0];
  EXPECT_EQ(skipped.model, 1);
  EXPECT_EQ(skipped.first_step, 1);  // the first update was made
  EXPECT_EQ(skipped.count + result->updates[1],
            with.batches->steps_per_epoch(1));
  EXPECT_GT(skipped.count, 0);
  EXPECT_TRUE(skipped.outcome == Outcome::kNonFiniteLoss ||
              skipped.outcome == Outcome::kNonFiniteGradient);
  EXPECT_TRUE(std::isfinite(result->losses[1]));
  EXPECT_EQ(result->rows[1], 9 * result->updates[1]);
  EXPECT_NEAR(result->losses[0], calm->losses[0], 1e-4);
  EXPECT_NEAR(result->losses[2], calm->losses[1], 1e-4);
  if (EqualBits()) {
    EXPECT_EQ(Weights(with.batch.get(), 2), Weights(without.batch.get(), 1));
  }
}

TEST_F(EpochTest, SharedOrder) {
  Training t = Make(3);
  auto shared = PerModelBatches::Shared(3, Numbers(0, 20), 8, 5);
  ASSERT_TRUE(shared.ok()) << shared.status();
  EXPECT_TRUE(shared->Batch(0).offsets.empty());
  const auto result =
      TrainOneEpoch(t.batch.get(), *t.data, &*shared, 2, *t.optimizer);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->rows, ElementsAre(20, 20, 20));
  EXPECT_THAT(result->updates, ElementsAre(3, 3, 3));
  EXPECT_FALSE(PerModelBatches::Shared(0, {1}, 8, 5).ok());
  EXPECT_FALSE(PerModelBatches::Shared(2, {}, 8, 5).ok());
  EXPECT_FALSE(PerModelBatches::Shared(2, {1}, 0, 5).ok());
}

// A rate of 0 from the third step on, set before it: what the first two steps
// made stays.
TEST_F(EpochTest, HooksActBetweenSteps) {
  Training t = Make(2);
  std::vector<int64_t> before, after;
  std::vector<float> after_two;
  EpochHooks hooks;
  hooks.before_step = [&](int64_t step) {
    before.push_back(step);
    if (step == 2) {
      after_two = Weights(t.batch.get(), 1);
      return t.optimizer->Set(1, "lr", 0);
    }
    return absl::OkStatus();
  };
  hooks.after_step = [&](int64_t step) {
    after.push_back(step);
    EXPECT_EQ(t.batch->last_step().outcomes[0], Outcome::kStepped);
    return absl::OkStatus();
  };
  ASSERT_TRUE(Epoch(&t, 0, hooks).ok());
  EXPECT_THAT(before, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(after, before);
  EXPECT_EQ(Weights(t.batch.get(), 1), after_two);

  hooks.after_step = [](int64_t step) {
    return step == 1 ? absl::CancelledError("enough") : absl::OkStatus();
  };
  before.clear();
  const auto stopped = Epoch(&t, 1, hooks);
  EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(before, ElementsAre(0, 1));
}

TEST_F(EpochTest, InactiveModelsMakeNoSteps) {
  Training t = Make(3);
  const std::vector<float> kept = Weights(t.batch.get(), 1);
  ASSERT_TRUE(t.batch->SetActive(1, false).ok());
  auto result = Epoch(&t);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->updates[1], 0);
  EXPECT_THAT(result->losses[1], IsNan());
  EXPECT_EQ(Weights(t.batch.get(), 1), kept);
  EXPECT_GT(result->updates[2], 0);

  // With the models of most rows away, the epoch's last steps are empty.
  ASSERT_TRUE(t.batch->Remove(0).ok());
  ASSERT_TRUE(t.batch->Compact().ok());
  int64_t steps = 0;
  EpochHooks hooks;
  hooks.after_step = [&steps](int64_t) {
    ++steps;
    return absl::OkStatus();
  };
  result = Epoch(&t, 1, hooks);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->losses[0], IsNan());
  EXPECT_EQ(result->updates[2], t.batches->steps_per_epoch(2));
  EXPECT_EQ(steps, t.batches->steps_per_epoch(2));
  EXPECT_LT(steps, t.batches->steps_per_epoch());
}

TEST_F(EpochTest, ErrorsOfAnEpoch) {
  Training two = Make(2), three = Make(3);
  const auto other = TrainOneEpoch(two.batch.get(), *two.data,
                                   three.batches.get(), 0, *two.optimizer);
  EXPECT_EQ(other.status().message(),
            "batches of 3 models, expected those of the 2 models");
  EXPECT_EQ(Epoch(&two, -1).status().message(),
            "epoch is -1, expected at least 0");
  // What TrainStep says: more rows than the batch was compiled for.
  auto large = PerModelBatches::Shared(2, Numbers(0, 60), 50, 1);
  EXPECT_FALSE(
      TrainOneEpoch(two.batch.get(), *two.data, &*large, 0, *two.optimizer)
          .ok());
}

// ---- Evaluate

// Its numbers are those of the outputs, with the loss in double.
TEST_F(EpochTest, EvaluatesTheOutputs) {
  Training t = Make(4);
  ASSERT_TRUE(Epoch(&t).ok());
  const Rows rows = Numbers(10, kRows);
  std::vector<Tensor> outputs;
  ASSERT_TRUE(t.batch->Predict(*t.data, {rows, {}}, &outputs).ok());
  const Tensor labels =
      Tensor::FromVector(std::vector<int64_t>(labels_.data<int64_t>() + 10,
                                              labels_.data<int64_t>() + kRows),
                         {kRows - 10});
  EvaluateOptions options;
  options.top_k = 2;
  const auto expected = ComputeClassificationMetrics(
      outputs, {&labels, 1}, ClassificationOptions{-100, 2});
  ASSERT_TRUE(expected.ok()) << expected.status();
  const auto result =
      Evaluate(t.batch.get(), *t.data, labels_, {rows, {}}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EvaluateResult backends;
  ASSERT_TRUE(t.batch->Evaluate(*t.data, {rows, {}}, &backends).ok());
  for (int i = 0; i < 4; ++i) {
    ExpectSame(result->classification[i], (*expected)[i]);
    EXPECT_LT((*expected)[i].accuracy, (*expected)[i].top_k_accuracy);
    EXPECT_EQ(result->losses[i], backends.losses[i]);
    const auto loss =
        ComputeLoss(*ReadLoss(t.batch->loss()), outputs[i], labels);
    EXPECT_NEAR(result->losses[i], loss->loss, 1e-5);
    EXPECT_EQ(result->classification[i].accuracy,
              static_cast<double>(backends.correct[i]) / (kRows - 10));
  }
  EXPECT_TRUE(result->regression.empty());
}

// However many outputs are on the host at once: one row of each model, some, or
// all.
TEST_F(EpochTest, PiecesChangeNothing) {
  if (!EqualBits()) GTEST_SKIP() << "bits are promised on cpu";
  Training t = Make(3);
  ASSERT_TRUE(Epoch(&t).ok());
  RoutedRows own;
  own.offsets = {0, 40, 40, 57};
  own.rows = Numbers(0, 57);
  const Rows all = Numbers(0, kRows);
  for (const RowSet& rows : {RowSet{all, {}}, own.view()}) {
    const auto whole = Evaluate(t.batch.get(), *t.data, labels_, rows);
    ASSERT_TRUE(whole.ok()) << whole.status();
    for (const int64_t at_once : {0, 1, 10, 71, 300, 5000}) {
      EvaluateOptions options;
      options.outputs_at_once = at_once;
      const auto pieces =
          Evaluate(t.batch.get(), *t.data, labels_, rows, options);
      ASSERT_TRUE(pieces.ok()) << pieces.status();
      for (int i = 0; i < 3; ++i) {
        if (whole->classification[i].rows == 0) {
          EXPECT_EQ(pieces->classification[i].rows, 0);
          continue;
        }
        ExpectSame(pieces->classification[i], whole->classification[i]);
      }
    }
  }
}

TEST_F(EpochTest, RaggedEmptyInactiveAndRemoved) {
  Training t = Make(5);
  ASSERT_TRUE(t.batch->SetActive(1, false).ok());
  ASSERT_TRUE(t.batch->Remove(2).ok());
  RoutedRows rows;
  rows.rows = Numbers(3, 53);
  rows.offsets = {0, 10, 20, 30, 30, 50};  // model 3 has none
  for (const bool compact : {false, true}) {
    if (compact) {
      ASSERT_TRUE(t.batch->Compact().ok());
    }
    const auto result = Evaluate(t.batch.get(), *t.data, labels_, rows.view());
    ASSERT_TRUE(result.ok()) << result.status();
    for (const int none : {1, 2, 3}) {
      EXPECT_THAT(result->losses[none], IsNan());
      EXPECT_EQ(result->classification[none].rows, 0);
      EXPECT_THAT(result->classification[none].accuracy, IsNan());
    }
    EXPECT_EQ(result->classification[0].rows, 10);
    EXPECT_EQ(result->classification[4].rows, 20);
    // The rows are the model's own.
    std::vector<int64_t> counts(kClasses, 0);
    for (int row = 33; row < 53; ++row) ++counts[labels_.data<int64_t>()[row]];
    const int64_t* confusion =
        result->classification[4].confusion.data<int64_t>();
    for (int c = 0; c < kClasses; ++c) {
      EXPECT_EQ(std::accumulate(confusion + c * kClasses,
                                confusion + (c + 1) * kClasses, int64_t{0}),
                counts[c]);
    }
    // Shared rows, though not all take part.
    const Rows all = Numbers(0, kRows);
    const auto shared = Evaluate(t.batch.get(), *t.data, labels_, {all, {}});
    ASSERT_TRUE(shared.ok()) << shared.status();
    EXPECT_EQ(shared->classification[3].rows, kRows);
    EXPECT_EQ(shared->classification[1].rows, 0);
  }
}

TEST_F(EpochTest, IgnoredRowsDoNotCount) {
  for (int row = 0; row < kRows; row += 3) labels_.data<int64_t>()[row] = 77;
  Training t = Make({MemberOf(0), MemberOf(1)},
                    {"cross_entropy", {{"ignore_index", int64_t{77}}}});
  const Rows all = Numbers(0, kRows), ignored = {0, 3, 6};
  const auto result = Evaluate(t.batch.get(), *t.data, labels_, {all, {}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->classification[1].rows, 60);
  EvaluateResult backends;
  ASSERT_TRUE(t.batch->Evaluate(*t.data, {all, {}}, &backends).ok());
  EXPECT_EQ(result->classification[1].accuracy,
            static_cast<double>(backends.correct[1]) / 60);
  const auto none = Evaluate(t.batch.get(), *t.data, labels_, {ignored, {}});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_THAT(none->losses[0], IsNan());
}

TEST_F(EpochTest, Values) {
  for (const char* kind : {"mse", "bce_with_logits"}) {
    const LossSpec loss = {kind, {}};
    Training t = Make({MemberOf(0), MemberOf(1)}, loss);
    ASSERT_TRUE(Epoch(&t).ok());
    const Rows rows = Numbers(20, 70);
    const auto result = Evaluate(t.batch.get(), *t.data, values_, {rows, {}});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(result->classification.empty());
    std::vector<Tensor> outputs;
    ASSERT_TRUE(t.batch->Predict(*t.data, {rows, {}}, &outputs).ok());
    for (int i = 0; i < 2; ++i) {
      double squared = 0;
      for (int e = 0; e < 50 * kClasses; ++e) {
        double x = outputs[i].data<float>()[e];
        if (loss.kind == "bce_with_logits") x = 1 / (1 + std::exp(-x));
        const double error = x - values_.data<float>()[20 * kClasses + e];
        squared += error * error;
      }
      EXPECT_EQ(result->regression[i].rows, 50);
      EXPECT_NEAR(result->regression[i].mse, squared / (50 * kClasses), 1e-12);
      if (loss.kind == "mse") {
        EXPECT_NEAR(result->losses[i], result->regression[i].mse, 1e-6);
      }
    }
  }
}

TEST_F(EpochTest, ErrorsOfAnEvaluation) {
  Training t = Make(2);
  const Rows rows = Numbers(0, kRows), beyond = {4, kRows};
  const auto message = [&](const Tensor& targets, const Rows& r,
                           const EvaluateOptions& options = {}) {
    const auto result =
        Evaluate(t.batch.get(), *t.data, targets, {r, {}}, options);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(result.status().message());
  };
  EXPECT_EQ(message(values_, rows),
            "targets are float32 [90, 3], expected class indices, int64 "
            "[rows]");
  EXPECT_EQ(message(labels_, beyond),
            "row 90 has no target: targets are int64 [90]");
  Tensor wrong = labels_.Clone();
  wrong.data<int64_t>()[71] = kClasses;
  EXPECT_EQ(message(wrong, rows),
            "model 0: target of row 71 is class 3, expected 0 to 2 or "
            "ignore_index, -100");
  EvaluateOptions options;
  options.top_k = 4;
  EXPECT_EQ(message(labels_, rows, options),
            "model 0: top_k is 4, expected 1 to the number of classes, 3");
}

}  // namespace
}  // namespace modelbatch
