// Writing and reading N networks.
//
//   checkpoint_benchmark [--backend=cpu] [--models=32] ...
//
// State: weights, moments and step counts between a plugin and the host, which
// is what a run's checkpoint adds a file to. Checkpoint: the file itself.
// PyTorch: a model_<i>.pt for each network. Files go to $TEST_TMPDIR or the
// folder for temporary files; they are synced, as a run's are.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "benchmarks/check.h"
#include "benchmarks/modelbatch_trainer.h"
#include "benchmarks/plugin_benchmark.h"
#include "modelbatch/io/safetensors.h"

namespace modelbatch::benchmarks {
namespace {

// A folder that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const char* const given = std::getenv("TEST_TMPDIR");
    path_ = ((given != nullptr ? std::filesystem::path(given)
                               : std::filesystem::temp_directory_path()) /
             "checkpoint-XXXXXX")
                .string();
    if (mkdtemp(path_.data()) == nullptr) {
      Check(absl::InternalError("cannot make " + path_));
    }
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Bytes of the weights and of Adam's moments.
double StateBytes(const Workload& workload) {
  return 12.0 * static_cast<double>(workload.Parameters(0, workload.models()));
}

void Count(benchmark::State& state, const Workload& workload, double bytes) {
  using benchmark::Counter;
  const double times = static_cast<double>(state.iterations());
  state.counters["models_per_second"] =
      Counter(times * workload.models(), Counter::kIsRate);
  state.counters["bytes_per_second"] = Counter(
      times * bytes, Counter::kIsRate, benchmark::Counter::OneK::kIs1000);
  state.counters["bytes_per_model"] = bytes / workload.models();
}

void ReadState(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  for (auto _ : state) {
    benchmark::DoNotOptimize(Take(trainer.batch().GetModelStates()));
  }
  Count(state, workload, StateBytes(workload));
}

void WriteState(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const std::vector<ModelState> states = Take(trainer.batch().GetModelStates());
  for (auto _ : state) Check(trainer.batch().LoadModelStates(states));
  Count(state, workload, StateBytes(workload));
}

// The tensors of a run's checkpoint, under its names.
std::vector<NamedTensor> Tensors(const std::vector<ModelState>& states) {
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < states.size(); ++i) {
    for (const auto& [slot, parameters] : states[i].slots) {
      for (const auto& [name, value] : parameters) {
        tensors.push_back(
            {"model." + std::to_string(i) + "." + slot + "." + name, &value});
      }
    }
  }
  return tensors;
}

void WriteCheckpoint(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/checkpoint.safetensors";
  for (auto _ : state) {
    const std::vector<ModelState> states =
        Take(trainer.batch().GetModelStates());
    Check(WriteSafetensors(path, Tensors(states), {}));
  }
  Count(state, workload, StateBytes(workload));
}

void ReadCheckpoint(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/checkpoint.safetensors";
  const std::vector<ModelState> states = Take(trainer.batch().GetModelStates());
  Check(WriteSafetensors(path, Tensors(states), {}));
  for (auto _ : state) benchmark::DoNotOptimize(Take(ReadSafetensors(path)));
  Count(state, workload, StateBytes(workload));
}

void WritePyTorch(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const TemporaryFolder folder;
  for (auto _ : state) Check(trainer.batch().SaveAll(folder.path()));
  Count(state, workload, StateBytes(workload) / 3);
}

void ReadPyTorch(benchmark::State& state, const Case& c) {
  const Workload& workload = c.workload();
  ModelBatchTrainer trainer(workload, c.backend, c.threads,
                            {c.precision, false});
  const TemporaryFolder folder;
  Check(trainer.batch().SaveAll(folder.path()));
  for (auto _ : state) Check(trainer.batch().LoadAll(folder.path()));
  Count(state, workload, StateBytes(workload) / 3);
}

}  // namespace
}  // namespace modelbatch::benchmarks

int main(int argc, char** argv) {
  using namespace modelbatch::benchmarks;
  return RunBenchmarks(argc, argv,
                       {{"State/read", ReadState},
                        {"State/write", WriteState},
                        {"Checkpoint/write", WriteCheckpoint},
                        {"Checkpoint/read", ReadCheckpoint},
                        {"PyTorch/write", WritePyTorch},
                        {"PyTorch/read", ReadPyTorch}});
}
