// A workload trained by a ModelBatch backend.
#ifndef BENCHMARKS_MODELBATCH_TRAINER_H_
#define BENCHMARKS_MODELBATCH_TRAINER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "benchmarks/trainer.h"
#include "benchmarks/workload.h"
#include "modelbatch/modelbatch.h"

namespace modelbatch::benchmarks {

struct TrainerOptions {
  std::string precision = "fp32";  // of products
  bool compile = false;            // ModelBatch::EnableCompile
};

class ModelBatchTrainer : public Trainer {
 public:
  // The workload must outlive the trainer. threads = 0: the backend's choice.
  ModelBatchTrainer(const Workload& workload, const std::string& backend,
                    int threads, const TrainerOptions& options = {});

  void Reset() override;
  // As train.steps_at_once = "auto": several in one call where the backend
  // gains by it.
  void Run(int steps) override;
  void CopyWeights(float* out) override;

  Backend& backend() { return *backend_; }
  const Dataset& dataset() { return *dataset_; }
  ModelBatch& batch() { return *batch_; }
  const Optimizer& optimizer() { return *optimizer_; }
  // Replaces the optimizer, Adam at first: the same learning rates. Its state
  // starts at zero.
  void SetOptimizer(const std::string& kind);

 private:
  void ZeroState();

  const Workload& workload_;
  const bool compiled_;
  std::unique_ptr<Backend> backend_;
  const size_t steps_at_once_;
  std::unique_ptr<Dataset> dataset_;
  std::unique_ptr<ModelBatch> batch_;
  std::unique_ptr<Optimizer> optimizer_;
};

// Unimplemented names the first operator, loss, optimizer, feature or precision
// that a backend lacks.
absl::Status CheckCanTrain(const Capabilities& capabilities,
                           const Workload& workload,
                           const TrainerOptions& options = {});

// What ModelBatch is made of.
std::unique_ptr<Backend> MakeBackend(const std::string& backend, int threads);
std::unique_ptr<Dataset> MakeDataset(Backend& backend,
                                     const Workload& workload);
std::vector<ModelInstance> Instances(const Workload& workload);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_MODELBATCH_TRAINER_H_
