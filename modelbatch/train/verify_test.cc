#include "modelbatch/train/verify.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/plugin/plugin.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The checkpoint after `steps` steps.
Checkpoint CheckpointAfter(const Experiment& experiment, Backend* backend,
                           int steps, Callback* callback = nullptr) {
  const std::string path = TestFolder() + "/verify.safetensors";
  auto trainer = Trainer::Create(&experiment, backend);
  EXPECT_TRUE(trainer.ok()) << trainer.status();
  if (callback != nullptr) (*trainer)->AddCallback(callback);
  while (steps-- > 0 && !(*trainer)->finished()) {
    EXPECT_TRUE((*trainer)->Step().ok());
  }
  EXPECT_TRUE(WriteCheckpoint(path, trainer->get(), RunInfo()).ok());
  auto checkpoint = ReadCheckpoint(path);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return *std::move(checkpoint);
}

// Finished or in mid-epoch, next to models that explode or not, every model is
// what it is alone.
TEST(VerifyModelTest, EveryModelEqualsItselfAlone) {
  const auto backend = CpuBackendForTest();
  for (const bool explode : {false, true}) {
    const Experiment experiment = TestExperiment(
        explode ? ExplodingOverrides() : std::vector<std::string>{});
    for (int steps : {7, 1000}) {
      const Checkpoint checkpoint =
          CheckpointAfter(experiment, backend.get(), steps);
      for (int id = 0; id < 8; ++id) {
        const auto report =
            VerifyModel(experiment, checkpoint, id, backend.get());
        ASSERT_TRUE(report.ok()) << report.status();
        EXPECT_TRUE(report->passed) << id << ": " << report->text;
        EXPECT_THAT(report->text, StartsWith("equal bit for bit: "));
      }
    }
  }
}

// A run that was tuned, verified tuned and not, and the reverse.
TEST(VerifyModelTest, TuningDoesNotMatter) {
  const auto backend = CpuBackendForTest();
  const Experiment plain = TestExperiment();
  const Experiment tuned = TestExperiment({"backend={compile={time_ms=100}}"});
  for (const auto& [trained, alone] :
       {std::pair(&tuned, &tuned), {&tuned, &plain}, {&plain, &tuned}}) {
    const Checkpoint checkpoint =
        CheckpointAfter(*trained, backend.get(), 1000);
    const auto report = VerifyModel(*alone, checkpoint, 5, backend.get());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->passed) << report->text;
  }
}

// Where models wait for one another: in mid-epoch, just through, waiting, with
// the one that takes longest frozen (models 1, 3, ... of the exploding ones).
TEST(VerifyModelTest, EveryModelEqualsItselfAloneWithItsBatchSize) {
  const auto backend = CpuBackendForTest();
  for (const bool explode : {false, true}) {
    std::vector<std::string> overrides =
        explode ? ExplodingOverrides() : std::vector<std::string>{};
    overrides.push_back("train.batch_size={values=[40, 16]}");
    const Experiment experiment = TestExperiment(overrides);
    for (int steps : {6, 7, 9, 1000}) {
      const Checkpoint checkpoint =
          CheckpointAfter(experiment, backend.get(), steps);
      for (int id = 0; id < 16; id += 3) {
        const auto report =
            VerifyModel(experiment, checkpoint, id, backend.get());
        ASSERT_TRUE(report.ok()) << report.status();
        EXPECT_TRUE(report->passed)
            << steps << " steps, " << id << ": " << report->text;
      }
    }
  }
}

// A run resumed where some models wait ends as one that was never stopped.
TEST(VerifyModelTest, AResumedRunWithBatchSizesEqualsEachModelAlone) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment =
      TestExperiment({"train.batch_size={values=[40, 16]}"});
  Checkpoint stopped = CheckpointAfter(experiment, backend.get(), 8);
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  ASSERT_TRUE(
      (*trainer)->Restore(std::move(stopped.state), stopped.models).ok());
  while (!(*trainer)->finished()) ASSERT_TRUE((*trainer)->Step().ok());
  const std::string path = TestFolder() + "/resumed.safetensors";
  ASSERT_TRUE(WriteCheckpoint(path, trainer->get(), RunInfo()).ok());
  const auto checkpoint = ReadCheckpoint(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  for (int id = 0; id < 16; ++id) {
    const auto report = VerifyModel(experiment, *checkpoint, id, backend.get());
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_TRUE(report->passed) << id << ": " << report->text;
  }
}

// Removed, reset, copied from others that go on, were copies or are removed:
// every model that is there is what it is alone.
TEST(VerifyModelTest, RepeatsWhatTheProgramDid) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  ScriptedCallback script = EventfulScript();
  for (const int steps : {6, 10, 15}) {
    const Checkpoint checkpoint =
        CheckpointAfter(experiment, backend.get(), steps, &script);
    for (const int64_t id : checkpoint.ids) {
      const auto report =
          VerifyModel(experiment, checkpoint, id, backend.get());
      ASSERT_TRUE(report.ok()) << id << ": " << report.status();
      EXPECT_TRUE(report->passed) << id << ": " << report->text;
      EXPECT_EQ(checkpoint.ids[report->index], id);
    }
    if (steps < 15) continue;
    EXPECT_EQ(checkpoint.ids, (std::vector<int64_t>{0, 9, 2, 8, 4, 11, 10, 7}));
    // Of a copy of a copy: both copies and a reset.
    EXPECT_THAT(VerifyModel(experiment, checkpoint, 9, backend.get())->text,
                HasSubstr(", 1 reset, 2 replacements"));
    EXPECT_EQ(
        VerifyModel(experiment, checkpoint, 1, backend.get()).status().code(),
        absl::StatusCode::kNotFound);
  }
}

// The same where models have batch sizes of their own, which copies take over.
TEST(VerifyModelTest, RepeatsWhatTheProgramDidWithBatchSizes) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment =
      TestExperiment({"train.batch_size={values=[40, 16]}"});
  ScriptedCallback script = EventfulScript();
  for (const int steps : {6, 10, 15, 1000}) {
    const Checkpoint checkpoint =
        CheckpointAfter(experiment, backend.get(), steps, &script);
    for (const int64_t id : checkpoint.ids) {
      const auto report =
          VerifyModel(experiment, checkpoint, id, backend.get());
      ASSERT_TRUE(report.ok()) << id << ": " << report.status();
      EXPECT_TRUE(report->passed)
          << steps << " steps, " << id << ": " << report->text;
    }
  }
}

// The same with schedules, of steps where models have batch sizes of their own,
// and of epochs by a metric.
TEST(VerifyModelTest, RepeatsWhatTheProgramDidWithSchedules) {
  const auto backend = CpuBackendForTest();
  for (const char* schedule :
       {"{kind=\"cosine_annealing_lr\", every=\"step\", warmup=3}",
        "{kind=\"reduce_lr_on_plateau\", patience=0, threshold=0.1}"}) {
    const Experiment experiment =
        TestExperiment({"train.batch_size={values=[40, 16]}",
                        std::string("optimizer.schedule=") + schedule});
    ScriptedCallback script = EventfulScript();
    for (const int steps : {8, 15}) {
      const Checkpoint checkpoint =
          CheckpointAfter(experiment, backend.get(), steps, &script);
      for (const int64_t id : checkpoint.ids) {
        const auto report =
            VerifyModel(experiment, checkpoint, id, backend.get());
        ASSERT_TRUE(report.ok()) << id << ": " << report.status();
        EXPECT_TRUE(report->passed)
            << steps << " steps, " << id << ": " << report->text;
      }
    }
  }
}

// What the config does, training alone does by itself; a program's events in
// between as well.
TEST(VerifyModelTest, RepeatsWhatTheConfigDid) {
  const auto backend = CpuBackendForTest();
  for (const char* on_nan : {"freeze", "reset", "warn"}) {
    std::vector<std::string> overrides = ExplodingOverrides();
    overrides.insert(overrides.end(),
                     {std::string("train.on_nan=") + on_nan, "train.epochs=8",
                      "train.early_stopping={patience=2, min_delta=0.02}"});
    const Experiment experiment = TestExperiment(overrides);
    ScriptedCallback script;
    script.AtStep(13, [](Trainer* t) {
      // Of one that has exploded; its copy can not recover.
      return t->Replace(1, 5, 50, {{"lr", 0.01}}, "").status();
    });
    script.AtEpoch(3, [](Trainer* t) { return t->Reset(6, 60, ""); });
    const Checkpoint checkpoint =
        CheckpointAfter(experiment, backend.get(), 1000, &script);
    for (const int64_t id : checkpoint.ids) {
      const auto report =
          VerifyModel(experiment, checkpoint, id, backend.get());
      ASSERT_TRUE(report.ok()) << report.status();
      EXPECT_TRUE(report->passed)
          << on_nan << " " << id << ": " << report->text;
    }
  }
}

// An event that was changed, left out or added is named.
TEST(VerifyModelTest, NamesTheEventThatIsNotTrue) {
  const auto backend = CpuBackendForTest();
  std::vector<std::string> overrides = ExplodingOverrides();
  overrides.push_back("train.on_nan=reset");
  const Experiment experiment = TestExperiment(overrides);
  ScriptedCallback script;
  script.AtStep(3, [](Trainer* t) { return t->Reset(2, 77, "anew"); });
  script.AtStep(6, [](Trainer* t) {
    return t->Replace(3, 0, 88, {{"lr", 0.03}}, "").status();
  });
  script.AtStep(12, [](Trainer* t) { return t->Freeze(1, "paused"); });
  const Checkpoint good =
      CheckpointAfter(experiment, backend.get(), 1000, &script);
  // Model `id` after the change of the first event of model `model`.
  const auto text = [&](int64_t id, int64_t model, void (*change)(Event*)) {
    Checkpoint checkpoint =
        CheckpointAfter(experiment, backend.get(), 1000, &script);
    for (Event& event : checkpoint.state.events) {
      if (event.model != model) continue;
      change(&event);
      break;
    }
    const auto report = VerifyModel(experiment, checkpoint, id, backend.get());
    if (!report.ok()) return std::string(report.status().message());
    EXPECT_FALSE(report->passed);
    return report->text;
  };
  EXPECT_THAT(text(2, 2, [](Event* e) { e->seed = 78; }),
              StartsWith("differs: reset of model 2 at step 3: anew: "
                         "fingerprint is "));
  EXPECT_THAT(text(2, 2, [](Event* e) { e->step = 4; }),
              StartsWith("differs: reset of model 2 at step 4: anew: "
                         "fingerprint is "));
  EXPECT_THAT(text(2, 2, [](Event* e) { e->built_in = true; }),
              HasSubstr("reset of model 2 at step 3: anew: in the run only"));
  EXPECT_THAT(text(8, 3, [](Event* e) { e->changes["lr"] = 0.031; }),
              StartsWith("differs: replacement of model 3 by model 8, a copy "
                         "of model 0, at step 6: fingerprint is "));
  EXPECT_THAT(text(8, 3, [](Event* e) { e->source = 1; }),
              HasSubstr("a copy of model 1, at step 6: fingerprint is "));
  EXPECT_THAT(text(8, 3, [](Event* e) { e->source = 40; }),
              HasSubstr(", replacement of model 3 by model 8, a copy of "
                        "model 40, at step 6: there is no model 40"));
  EXPECT_THAT(text(8, 3, [](Event* e) { e->copy = 2; }),
              HasSubstr(", a copy of model 0, at step 6: there is a model 2 "
                        "already"));
  EXPECT_THAT(text(1, 1, [](Event* e) { e->step = 11; }),
              StartsWith("differs: freeze of model 1 at step 11: paused: "
                         "fingerprint is "));
  EXPECT_THAT(text(1, 1, [](Event* e) { e->kind = EventKind::kUnfreeze; }),
              StartsWith("differs: unfreeze of model 1 at step 12: paused: "
                         "cannot be repeated alone: model 1 is not frozen"));
  // What the config did is not taken from the record at all.
  EXPECT_THAT(text(4, 4, [](Event* e) { e->step += 1; }),
              StartsWith("differs: reset of model 4 at step "));
  EXPECT_THAT(text(4, 4, [](Event* e) { e->reason = "a whim"; }),
              HasSubstr("a whim: reason is \"a whim\" in the run, "));
  Checkpoint without =
      CheckpointAfter(experiment, backend.get(), 1000, &script);
  auto& events = without.state.events;
  while (events.back().model != 4) events.pop_back();
  events.pop_back();
  EXPECT_THAT(VerifyModel(experiment, without, 4, backend.get())->text,
              HasSubstr("freeze of model 4 at step "));
}

// A backend whose sums depend on the number of models is found out.
TEST(VerifyModelTest, NoticesABackendThatMixesModels) {
  auto broken = CreateBackend("tests/independence/libmodelbatch_broken.so");
  ASSERT_TRUE(broken.ok()) << broken.status();
  const Experiment experiment = TestExperiment();
  const Checkpoint checkpoint =
      CheckpointAfter(experiment, broken->get(), 1000);
  const auto report = VerifyModel(experiment, checkpoint, 2, broken->get());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->passed);
  EXPECT_THAT(report->text, StartsWith("differs: "));
  EXPECT_THAT(report->text, HasSubstr(" in the run, "));
}

// One changed bit in any part of the checkpoint is named.
TEST(VerifyModelTest, NamesTheFirstDifference) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const auto text_after = [&](void (*change)(Checkpoint*)) {
    Checkpoint checkpoint = CheckpointAfter(experiment, backend.get(), 1000);
    change(&checkpoint);
    const auto report = VerifyModel(experiment, checkpoint, 2, backend.get());
    EXPECT_TRUE(report.ok()) << report.status();
    EXPECT_FALSE(report->passed);
    return report->text;
  };
  // 32 weights of shape [8, 4]: element 13 lies at [3, 1].
  const std::string weight = text_after([](Checkpoint* c) {
    auto* bits = static_cast<uint32_t*>(
        c->models[2].slots["param"].at("0.weight").raw());
    bits[13] = 0x3f800000;
  });
  EXPECT_THAT(weight, StartsWith("differs: param 0.weight[3, 1]: 0x3f800000 "
                                 "(1) in the run, 0x"));
  EXPECT_THAT(weight, HasSubstr("; 1 of 32 elements differ, by "));
  EXPECT_THAT(text_after([](Checkpoint* c) {
                auto& moments = c->models[2].slots["exp_avg_sq"];
                static_cast<uint8_t*>(moments.at("3.bias").raw())[0] ^= 1;
              }),
              StartsWith("differs: exp_avg_sq 3.bias[0]: 0x"));
  EXPECT_EQ(text_after([](Checkpoint* c) { c->models[2].step = 14; }),
            "differs: step count: 14 in the run, 15 alone");
  EXPECT_THAT(
      text_after([](Checkpoint* c) { c->state.curves[1].train_loss[2] = 0.5; }),
      StartsWith("differs: epoch 2: training loss: 0x3fe0000000000000 "
                 "(0.5) in the run, 0x"));
  EXPECT_THAT(text_after([](Checkpoint* c) {
                c->state.models[2].best_test.correct = 0;
              }),
              StartsWith("differs: best test correct rows: 0 in the run, "));
}

// So is a rate, or a schedule, that is not what the model has alone.
TEST(VerifyModelTest, NamesADifferenceInTheSchedule) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment =
      TestExperiment({"optimizer.schedule={kind=\"reduce_lr_on_plateau\"}"});
  const auto text_after = [&](void (*change)(Checkpoint*)) {
    Checkpoint checkpoint = CheckpointAfter(experiment, backend.get(), 1000);
    change(&checkpoint);
    const auto report = VerifyModel(experiment, checkpoint, 2, backend.get());
    EXPECT_TRUE(report.ok()) << report.status();
    EXPECT_FALSE(report->passed);
    return report->text;
  };
  EXPECT_THAT(text_after([](Checkpoint* c) { c->state.curves[1].lr[2] = 0.5; }),
              StartsWith("differs: epoch 2: learning rate: 0x"));
  EXPECT_EQ(text_after([](Checkpoint* c) {
              c->state.models[2].schedule.last_epoch = 2;
            }),
            "differs: schedule's ticks: 2 in the run, 3 alone");
  EXPECT_THAT(
      text_after([](Checkpoint* c) { c->state.models[2].schedule.lr = 0.5; }),
      StartsWith("differs: schedule's learning rate: 0x"));
  EXPECT_THAT(text_after([](Checkpoint* c) {
                c->state.models[2].schedule.parts[0].num_bad_epochs += 1;
              }),
              StartsWith("differs: schedule's state, 10: 0x"));
}

TEST(VerifyModelTest, UnknownModel) {
  const auto backend = CpuBackendForTest();
  const Experiment experiment = TestExperiment();
  const Checkpoint checkpoint = CheckpointAfter(experiment, backend.get(), 1);
  const auto report = VerifyModel(experiment, checkpoint, 8, backend.get());
  EXPECT_EQ(report.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(report.status().message(),
            "the run has no model 8, expected 0 to 7");
}

}  // namespace
}  // namespace modelbatch
