// A workload trained by a ModelBatch backend.
#ifndef BENCHMARKS_MODELBATCH_TRAINER_H_
#define BENCHMARKS_MODELBATCH_TRAINER_H_

#include <memory>
#include <string>
#include <vector>

#include "benchmarks/workload.h"
#include "modelbatch/modelbatch.h"

namespace modelbatch::benchmarks {

class ModelBatchTrainer : public Trainer {
 public:
  // The workload must outlive the trainer. threads = 0: the backend's choice.
  ModelBatchTrainer(const Workload& workload, const std::string& backend,
                    int threads);

  void Reset() override;
  void Run(int steps) override;
  void CopyWeights(float* out) override;
  SessionStats Stats();

 private:
  const Workload& workload_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Dataset> dataset_;
  std::unique_ptr<ModelBatch> batch_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<int32_t> rows_;  // all rows of all batches, in order
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_MODELBATCH_TRAINER_H_
