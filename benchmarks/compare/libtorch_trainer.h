// A workload trained by LibTorch, one model after another.
#ifndef BENCHMARKS_LIBTORCH_TRAINER_H_
#define BENCHMARKS_LIBTORCH_TRAINER_H_

#include <memory>

#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

struct LibTorchOptions {
  int threads = 1;     // within an operator; set for the whole process
  bool fused = false;  // at::_fused_adam_ in place of torch::optim::Adam
};

// Of models [first, last). The workload must outlive the trainer.
std::unique_ptr<Trainer> MakeLibTorchTrainer(const Workload& workload,
                                             int first, int last,
                                             const LibTorchOptions& options);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_LIBTORCH_TRAINER_H_
