// A workload trained by LibTorch, one model after another.
#ifndef BENCHMARKS_COMPARE_LIBTORCH_TRAINER_H_
#define BENCHMARKS_COMPARE_LIBTORCH_TRAINER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "benchmarks/trainer.h"
#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

struct LibTorchOptions {
  int threads = 1;     // within an operator; set for the whole process
  bool fused = false;  // at::_fused_adam_ in place of torch::optim::Adam
};

// Of models [first, last). The workload must outlive the trainer.
// Unimplemented names an operator that is not in the trainer's table.
absl::StatusOr<std::unique_ptr<Trainer>> MakeLibTorchTrainer(
    const Workload& workload, int first, int last,
    const LibTorchOptions& options);

// A step is one product of two matrices of size x size, on one thread.
std::unique_ptr<Trainer> MakeLibTorchSgemm(int64_t size);

std::string LibTorchVersion();

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_LIBTORCH_TRAINER_H_
