// Damaged checkpoints are refused, whatever the damage. So are those that were
// made to look whole, or else they are resumed from.
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/sealed_safetensors.h"
#include "modelbatch/train/checkpoint.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_info.h"
#include "modelbatch/train/scripted_callback.h"
#include "modelbatch/train/test_experiment.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/util/fuzz.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

TEST(CheckpointFuzzTest, DamagedFilesAreRefused) {
  const Experiment experiment = TestExperiment();
  const auto backend = CpuBackendForTest();
  auto trainer = Trainer::Create(&experiment, backend.get());
  ASSERT_TRUE(trainer.ok()) << trainer.status();
  ScriptedCallback script = EventfulScript();
  (*trainer)->AddCallback(&script);
  for (int i = 0; i < 12; ++i) ASSERT_TRUE((*trainer)->Step().ok());
  const std::string path = TestFolder() + "/valid.safetensors";
  ASSERT_TRUE(WriteCheckpoint(path, trainer->get(), RunInfo()).ok());
  const std::string valid = *ReadFile(path);
  const MemoryLimit limit(512 << 20);
  int restored = 0, whole = 0;
  Fuzz(valid, 1500, [&](const std::string& bytes) {
    const std::string damaged = TestFolder() + "/damaged.safetensors";
    std::ofstream(damaged, std::ios::binary) << bytes;
    auto checkpoint = ReadCheckpoint(damaged);
    // What still is, is a file where JSON has another space.
    if (!checkpoint.ok()) {
      const absl::StatusOr<Safetensors> file = ReadSafetensors(damaged);
      if (!file.ok()) return file.status();
      std::vector<NamedTensor> tensors;
      for (const auto& [name, tensor] : file->tensors) {
        tensors.push_back({name, &tensor});
      }
      const absl::Status sealed =
          WriteSealedSafetensors(damaged, tensors, file->metadata);
      if (!sealed.ok()) return sealed;
      checkpoint = ReadCheckpoint(damaged);
    } else {
      ++whole;
    }
    if (!checkpoint.ok()) return checkpoint.status();
    const absl::Status belongs = CheckBelongs(*checkpoint, experiment);
    if (!belongs.ok()) return belongs;
    auto again = Trainer::Create(&experiment, backend.get());
    EXPECT_TRUE(again.ok()) << again.status();
    const absl::Status status =
        (*again)->Restore(std::move(checkpoint->state), checkpoint->models);
    if (!status.ok()) return status;
    ++restored;
    ResultsCsv((*again)->experiment(), (*again)->state());
    CurvesCsv((*again)->experiment(), (*again)->state());
    if (!(*again)->finished()) (*again)->Step().IgnoreError();
    return absl::OkStatus();
  });
  EXPECT_LT(whole, 15);
  // Most of the bytes are weights, any of which is one.
  EXPECT_GT(restored, 0);
}

}  // namespace
}  // namespace modelbatch
