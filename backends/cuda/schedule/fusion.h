// Which activations the products of linear layers do on the way, and when each
// buffer of a step is in use. The same for all models of a plan.
#ifndef BACKENDS_CUDA_SCHEDULE_FUSION_H_
#define BACKENDS_CUDA_SCHEDULE_FUSION_H_

#include <vector>

#include "backends/cuda/schedule/problem.h"
#include "backends/grouped/plan.h"

namespace modelbatch::cuda {

// kNone for what is no activation.
Activation ActivationOf(grouped::OpCode code);

// By operation. For linear layers: the activation that the epilogue of the
// forward product applies to its output, and the one whose derivative the
// epilogue of the input gradient takes; -1: none. For activations: whether a
// linear layer does its forward, its backward pass.
struct Fusion {
  int forward_activation = -1;
  int backward_activation = -1;
  bool forward_done = false;
  bool backward_done = false;
};

std::vector<Fusion> Fuse(const grouped::Plan& plan);

// A step as a time line: operation i runs forward at i, the loss at n, and
// operation i backward at 2 n - i. At 2 n + 1 come the updates in epilogues.
struct Lifetime {
  int first = -1;  // -1: never in use
  int last = -1;

  bool used() const { return first >= 0; }
  void Touch(int time) {
    if (first < 0 || time < first) first = time;
    if (time > last) last = time;
  }
};

// A buffer that values, or gradients, of one or more operations share.
struct BufferLifetimes {
  // By ValueId: which buffer, -1: none (value 0 lies in the dataset).
  std::vector<int> value_buffer, gradient_buffer;
  std::vector<int> stats_buffer;  // by operation: of layer_norm
  std::vector<Lifetime> buffers;
};

// `updated_late`: by operation, linear layers whose x and dy are read once more
// at the end.
BufferLifetimes FindLifetimes(const grouped::Plan& plan,
                              const std::vector<Fusion>& fusion,
                              const std::vector<bool>& updated_late);

// Whether `value` is the dataset's rows: the input, or a flatten of it.
std::vector<bool> FindInputs(const grouped::Plan& plan);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_SCHEDULE_FUSION_H_
