#include "modelbatch/train/callback.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/model/initialize.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/philox.h"

namespace modelbatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Trainer> Start(const Experiment& experiment, Backend* backend) {
  auto trainer = Trainer::Create(&experiment, backend);
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  return *std::move(trainer);
}

void Finish(Trainer* trainer) {
  while (!trainer->finished()) {
    const absl::Status status = trainer->Step();
    ASSERT_TRUE(status.ok()) << status;
  }
}

// Weights, moments, step count, and the curves of all epochs.
void ExpectSameModel(Trainer* a, int i, Trainer* b, int j) {
  const auto x = a->batch().GetModelState(i);
  const auto y = b->batch().GetModelState(j);
  ASSERT_TRUE(x.ok() && y.ok()) << x.status() << y.status();
  EXPECT_EQ(x->step, y->step);
  ASSERT_EQ(x->slots.size(), y->slots.size());
  for (const auto& [slot, tensors] : x->slots) {
    for (const auto& [name, tensor] : tensors) {
      const Tensor& other = y->slots.at(slot).at(name);
      ASSERT_EQ(tensor.shape(), other.shape());
      EXPECT_EQ(std::memcmp(tensor.raw(), other.raw(), tensor.byte_size()), 0)
          << slot << " " << name;
    }
  }
  ASSERT_EQ(a->state().curves.size(), b->state().curves.size());
  for (size_t e = 0; e < a->state().curves.size(); ++e) {
    EXPECT_EQ(a->state().curves[e].train_loss[i],
              b->state().curves[e].train_loss[j]);
    EXPECT_EQ(a->state().curves[e].validation[i].loss,
              b->state().curves[e].validation[j].loss);
  }
}

std::vector<Event> EventsOf(const Trainer& trainer, int64_t id) {
  std::vector<Event> events;
  for (const Event& event : trainer.state().events) {
    if (event.model == id) events.push_back(event);
  }
  return events;
}

// ---- on_nan

class OnNanTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, OnNanTest,
                         ::testing::Values("freeze", "reset", "warn"));

// Models 4 to 7 explode; the others end as in a run that never had them.
TEST_P(OnNanTest, TheOtherModelsEndWithTheSameBits) {
  std::vector<std::string> overrides = ExplodingOverrides();
  overrides.push_back(std::string("train.on_nan=") + GetParam());
  const Experiment experiment = TestExperiment(overrides);
  const Experiment calm = SomeModels(experiment, {0, 1, 2, 3});
  const auto backend = CpuBackendForTest();
  const auto mixed = Start(experiment, backend.get());
  const auto without = Start(calm, backend.get());
  Finish(mixed.get());
  Finish(without.get());
  EXPECT_TRUE(without->state().events.empty());
  for (int i = 0; i < 4; ++i) {
    ExpectSameModel(mixed.get(), i, without.get(), i);
    EXPECT_TRUE(EventsOf(*mixed, i).empty());
  }
  for (int i = 4; i < 8; ++i) EXPECT_FALSE(EventsOf(*mixed, i).empty());
}

TEST(NaNCallbackTest, Freezes) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment(ExplodingOverrides());
  const auto trainer = Start(experiment, backend.get());
  Finish(trainer.get());
  for (int i = 4; i < 8; ++i) {
    const std::vector<Event> events = EventsOf(*trainer, i);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].kind, EventKind::kFreeze);
    EXPECT_TRUE(events[0].built_in);
    const ModelRecord& record = trainer->state().models[i];
    EXPECT_EQ(record.frozen_step, events[0].step);
    EXPECT_THAT(record.frozen_reason, HasSubstr("non-finite "));
    EXPECT_EQ(record.skipped_updates, 1);
  }
}

// Each reset begins with the initial values of another seed and no moments.
TEST(NaNCallbackTest, ResetsWithAnotherSeedThenFreezes) {
  const auto backend = CpuBackendForTest();
  std::vector<std::string> overrides = ExplodingOverrides();
  overrides.insert(overrides.end(),
                   {"train.on_nan=reset", "train.max_resets=2"});
  const Experiment experiment = TestExperiment(overrides);
  const auto trainer = Start(experiment, backend.get());
  uint64_t seed = experiment.population.models[4].seed;
  int resets = 0;
  while (!trainer->finished()) {
    ASSERT_TRUE(trainer->Step().ok());
    const ModelRecord& record = trainer->state().models[4];
    if (record.resets == resets) continue;
    ++resets;
    seed = DeriveSeed(seed, resets);
    EXPECT_EQ(trainer->experiment().population.models[4].seed, seed);
    const auto state = trainer->batch().GetModelState(4);
    ASSERT_TRUE(state.ok());
    EXPECT_EQ(state->step, 0);
    const Layout& layout = experiment.population.layouts[4];
    for (size_t p = 0; p < layout.parameters.size(); ++p) {
      const Tensor initial = InitialValue(layout, static_cast<int>(p), seed);
      const Tensor& value =
          state->slots.at("param").at(layout.parameters[p].name);
      EXPECT_EQ(std::memcmp(value.raw(), initial.raw(), value.byte_size()), 0);
    }
  }
  EXPECT_EQ(resets, 2);
  const std::vector<Event> events = EventsOf(*trainer, 4);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].kind, EventKind::kReset);
  EXPECT_EQ(events[1].kind, EventKind::kReset);
  EXPECT_EQ(events[1].seed, seed);
  EXPECT_EQ(events[2].kind, EventKind::kFreeze);
  EXPECT_THAT(events[2].reason, HasSubstr(" after 2 resets"));
  EXPECT_EQ(trainer->num_active(), 4);
}

// The model goes on; warnings become rarer, and so do messages.
TEST(NaNCallbackTest, WarnsAfterOneTwoFourUpdates) {
  std::vector<std::string> messages;
  SetLogSink(LogSeverity::kWarning, [&](LogSeverity, std::string_view text) {
    messages.emplace_back(text);
  });
  const auto backend = CpuBackendForTest();
  std::vector<std::string> overrides = ExplodingOverrides();
  overrides.insert(overrides.end(), {"train.on_nan=warn", "train.epochs=30"});
  const Experiment experiment = TestExperiment(overrides);
  const auto trainer = Start(experiment, backend.get());
  Finish(trainer.get());
  SetLogSink(LogSeverity::kWarning, nullptr);
  EXPECT_EQ(trainer->num_active(), 8);
  const int64_t skipped = trainer->state().models[5].skipped_updates;
  EXPECT_GT(skipped, 128);
  const std::vector<Event> events = EventsOf(*trainer, 5);
  ASSERT_EQ(events.size(), 8u);  // 1, 2, 4, ..., 128
  const int64_t first = events[0].step;
  EXPECT_EQ(skipped, 150 - first + 1);  // it never recovers
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].kind, EventKind::kWarning);
    EXPECT_EQ(events[i].step, first + (int64_t{1} << i) - 1);
  }
  EXPECT_THAT(events[1].reason, HasSubstr(", 2 updates skipped"));
  EXPECT_EQ(messages.size(), static_cast<size_t>(kMaxNanMessages) + 1);
  EXPECT_THAT(messages[0], HasSubstr("model 4: non-finite "));
}

// ---- EarlyStopping

// With min_delta 0 a model stops in the first epoch that lies `patience` epochs
// after the first best one so far: read off the curves of a run that does not
// stop.
TEST(EarlyStoppingTest, StopsPatienceEpochsAfterTheBest) {
  const auto backend = CpuBackendForTest();
  const std::vector<std::string> base = {"train.epochs=14",
                                         "optimizer.lr.values=[0.1, 0.3]"};
  const Experiment endless = TestExperiment(base);
  const auto whole = Start(endless, backend.get());
  Finish(whole.get());
  int stopped = 0;
  for (const std::string metric : {"validation_loss", "validation_accuracy"}) {
    for (const int patience : {1, 2, 4}) {
      std::vector<std::string> overrides = base;
      overrides.push_back("train.early_stopping={metric=\"" + metric +
                          "\", patience=" + std::to_string(patience) + "}");
      const Experiment experiment = TestExperiment(overrides);
      const auto trainer = Start(experiment, backend.get());
      Finish(trainer.get());
      for (int i = 0; i < 8; ++i) {
        int64_t expected = 0;  // epoch, from 1; 0: never
        size_t best = 0;
        for (size_t e = 0; e < 14 && expected == 0; ++e) {
          const Score& now = whole->state().curves[e].validation[i];
          const Score& then = whole->state().curves[best].validation[i];
          if (metric == "validation_loss" ? now.loss < then.loss
                                          : now.correct > then.correct) {
            best = e;
          }
          if (e - best == static_cast<size_t>(patience)) expected = e + 1;
        }
        const ModelRecord& record = trainer->state().models[i];
        if (expected == 0) {
          EXPECT_FALSE(record.frozen()) << record.frozen_reason;
          continue;
        }
        ++stopped;
        EXPECT_EQ(record.frozen_step, 5 * expected) << metric << patience << i;
        EXPECT_EQ(record.frozen_by, EventKind::kEarlyStop);
        EXPECT_THAT(record.frozen_reason,
                    HasSubstr(metric + " has not improved for " +
                              std::to_string(patience)));
        const std::vector<Event> events = EventsOf(*trainer, i);
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].epoch, expected);
        EXPECT_TRUE(events[0].epoch_end);
        // Until then, and of the best epoch, the same.
        for (int64_t e = 0; e < expected; ++e) {
          EXPECT_EQ(trainer->state().curves[e].validation[i].loss,
                    whole->state().curves[e].validation[i].loss);
        }
      }
    }
  }
  EXPECT_GT(stopped, 10);  // else this test says little
}

TEST(EarlyStoppingTest, AnImprovementWithinMinDeltaIsNone) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment(
      {"train.epochs=9", "train.early_stopping={patience=2, min_delta=1e9}"});
  const auto trainer = Start(experiment, backend.get());
  Finish(trainer.get());
  // The first epoch is the best; two without improvement follow.
  EXPECT_EQ(trainer->state().epoch, 3);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(trainer->state().models[i].frozen_step, 15);
  }
}

// A reset has its patience anew: here it stops patience + 1 epochs later.
TEST(EarlyStoppingTest, AResetBeginsAnew) {
  class ResetOnce : public Callback {
    absl::Status OnStep(Trainer* trainer) override {
      if (trainer->state().step != 12) return absl::OkStatus();
      return trainer->Reset(2, 1, "");
    }
  } reset;
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment(
      {"train.epochs=9", "train.early_stopping={patience=3, min_delta=1e9}"});
  const auto trainer = Start(experiment, backend.get());
  trainer->AddCallback(&reset);
  Finish(trainer.get());
  EXPECT_EQ(trainer->state().models[1].frozen_step, 20);
  // Step 12 lies in epoch 3, which is its first; it is stopped after epoch 6.
  EXPECT_EQ(trainer->state().models[2].frozen_step, 30);
}

TEST(EarlyStoppingTest, RefusesWhatItCannotMeasure) {
  const auto backend = CpuBackendForTest();
  const auto error = [&](const std::vector<std::string>& overrides,
                         const EarlyStoppingConfig& config) {
    const Experiment experiment = TestExperiment(overrides);
    const auto trainer = Start(experiment, backend.get());
    EarlyStopping callback(config);
    trainer->AddCallback(&callback);
    return trainer->Step();
  };
  EarlyStoppingConfig config;
  EXPECT_EQ(error({"data.split={train=0.8, validation=0.0, test=0.2}",
                   "train.select=last"},
                  config)
                .message(),
            "early stopping needs validation rows, the split has none");
  config.metric = StoppingMetric::kValidationAccuracy;
  EXPECT_THAT(std::string(error({"data.task=regression", "data.label=[3, 4]",
                                 "model.layers[3].out_features=2"},
                                config)
                              .message()),
              HasSubstr("the task is regression"));
  config.patience = 0;
  EXPECT_THAT(std::string(error({}, config).message()),
              HasSubstr("patience is 0, expected at least 1"));
  config = EarlyStoppingConfig();
  config.min_delta = std::nan("");
  EXPECT_THAT(std::string(error({}, config).message()),
              HasSubstr("min_delta is nan, expected a number"));
}

// ---- Callbacks

class Recorder : public Callback {
 public:
  Recorder(std::string name, std::vector<std::string>* log)
      : name_(std::move(name)), log_(log) {}
  absl::Status OnTrainStart(Trainer*) override { return Add("start"); }
  absl::Status OnStep(Trainer* t) override {
    return Add("step" + std::to_string(t->state().step));
  }
  absl::Status OnEpoch(Trainer* t) override {
    EXPECT_EQ(t->state().curves.size(), static_cast<size_t>(t->state().epoch));
    return Add("epoch" + std::to_string(t->state().epoch));
  }
  absl::Status OnTrainEnd(Trainer*) override { return Add("end"); }

 private:
  absl::Status Add(const std::string& what) {
    log_->push_back(name_ + what);
    return absl::OkStatus();
  }
  std::string name_;
  std::vector<std::string>* log_;
};

TEST(CallbackTest, AreCalledInOrder) {
  std::vector<std::string> log;
  Recorder a("a ", &log);
  Recorder b("b ", &log);
  CallbackPack pack;
  pack.Add(&a);
  pack.Add(&b);
  const auto backend = CpuBackendForTest();
  // 72 rows: two steps.
  const Experiment experiment =
      TestExperiment({"train.epochs=1", "train.batch_size=40"});
  const auto trainer = Start(experiment, backend.get());
  trainer->AddCallback(&pack);
  Finish(trainer.get());
  EXPECT_THAT(log,
              ElementsAre("a start", "b start", "a step1", "b step1", "a step2",
                          "b step2", "a epoch1", "b epoch1", "a end", "b end"));
}

TEST(CallbackTest, AnErrorEndsTheStep) {
  class Failing : public Callback {
    absl::Status OnStep(Trainer* trainer) override {
      return trainer->Freeze(8, "");
    }
  } failing;
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto trainer = Start(experiment, backend.get());
  trainer->AddCallback(&failing);
  EXPECT_EQ(trainer->Step().message(), "no model at index 8, expected 0 to 7");
}

}  // namespace
}  // namespace modelbatch
