// Forward and backward pass of a stack of models through the operators of a
// plan.
//
//   Network network(plan, model, device);
//   const at::Tensor output = network.Forward(args);
//   for (const at::Tensor& gradient : network.Backward(output_gradient)) ...
//
// Each operator has its derivative written down, in LibTorch's own functions,
// and results go into memory that is kept from one call to the next. Operators
// without such a form are written for one model: they run under vmap, and
// autograd differentiates each by itself.
#ifndef BACKENDS_LIBTORCH_NETWORK_H_
#define BACKENDS_LIBTORCH_NETWORK_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "backends/grouped/plan.h"
#include "backends/libtorch/vmap.h"

namespace modelbatch::libtorch {

struct NetworkArgs {
  int64_t num_models = 0;
  Value input;  // [rows, input size], or stacked
  // Stacked, by parameter: [n, ...].
  std::vector<at::Tensor> parameters;
  // By operation: a factor for each element, [n, rows, cols], or undefined:
  // dropout keeps everything. Empty: evaluation.
  std::vector<at::Tensor> dropout_factors;
};

class Network {
 public:
  // `plan` and `model`, any of those stacked, must outlive this.
  // `outputs_first`: outputs that a linear operator makes lie as [n, output
  // size, rows], of which the result is a view. Losses on classes like that.
  Network(const grouped::Plan* plan, const grouped::ModelPlan* model,
          bool outputs_first, at::Device device)
      : plan_(plan),
        model_(model),
        outputs_first_(outputs_first),
        device_(device) {}

  // The output, [n, rows, output size], until the next call. Of the
  // `differentiable` Backward can be asked.
  at::Tensor Forward(NetworkArgs args, bool differentiable);

  // By parameter, [n, ...], contiguous, until the next Forward; of the last
  // one, from the derivative by its output.
  const std::vector<at::Tensor>& Backward(const at::Tensor& output_gradient);

  // Held between calls.
  int64_t bytes() const { return memory_.defined() ? memory_.nbytes() : 0; }

 private:
  using Tensors = std::vector<at::Tensor>;
  // What an operator's forward pass leaves for its backward pass.
  struct Kept {
    at::Tensor normalized, mean, rstd;  // layer_norm
    at::Tensor input, output;           // autograd's, of an operator under vmap
  };

  // Lays out the memory for a number of models and rows.
  void Prepare(int64_t models, int64_t rows);
  at::Tensor Parameter(int index) const {
    return index < 0 ? at::Tensor() : args_.parameters[index];
  }
  at::Tensor Factors(const grouped::GroupedOp& op) const {
    return args_.dropout_factors.empty() ? at::Tensor()
                                         : args_.dropout_factors[op.index];
  }
  // Where the result of `op` goes.
  at::Tensor Out(const grouped::GroupedOp& op, bool stacked) const;
  Value RunForward(const grouped::GroupedOp& op, bool differentiable);
  Value RunLayerNorm(const grouped::GroupedOp& op);
  Value RunUnderVmap(const grouped::GroupedOp& op, bool differentiable);
  void RunBackward(const grouped::GroupedOp& op);
  void RunLayerNormBackward(const grouped::GroupedOp& op, const at::Tensor& dy);
  // Calls `write` with the place of the derivative by input j, or adds what it
  // writes to what is there.
  template <typename Write>
  void PutGradient(const grouped::GroupedOp& op, int j, const Write& write);

  const grouped::Plan* const plan_;
  const grouped::ModelPlan* const model_;
  const bool outputs_first_;
  const at::Device device_;

  int64_t models_ = 0, rows_ = 0;
  at::Tensor memory_;
  Tensors value_places_, gradient_places_;  // by value; undefined: another's
  Tensors parameter_gradients_;             // by parameter

  NetworkArgs args_;
  std::vector<Value> values_;
  std::vector<Kept> kept_;  // by operation
  Tensors gradients_;       // by value
};

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_NETWORK_H_
