#include "backends/libtorch/optimizer.h"

#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>

namespace modelbatch::libtorch {
namespace {

using grouped::HyperColumns;
using grouped::OptimizerKind;

// Numbers of each model as [n, 1] tensors, computed in double and rounded once.
class Columns {
 public:
  // `count` columns are going to be added.
  Columns(int64_t models, int64_t count, at::Device device)
      : models_(models),
        device_(device),
        host_(at::empty({count, models, 1}, at::kFloat)) {}

  // number(i) of each row i. Returns the column's index.
  template <typename Number>
  int Add(Number number) {
    float* to = host_.mutable_data_ptr<float>() + used_ * models_;
    for (int64_t i = 0; i < models_; ++i) to[i] = static_cast<float>(number(i));
    return used_++;
  }
  void Upload() { device_columns_ = host_.to(device_); }
  at::Tensor operator[](int index) const { return device_columns_[index]; }

 private:
  int64_t models_;
  at::Device device_;
  at::Tensor host_, device_columns_;
  int used_ = 0;
};

// As torch.optim.SGD: the first update sets the buffer to the gradient, and a
// model without momentum has no buffer.
void UpdateSgd(const HyperColumns& columns, const std::vector<int>& models,
               const std::vector<int64_t>& steps, const UpdateTensors& t) {
  const int64_t n = static_cast<int64_t>(models.size());
  // In the order of OptimizerInfo::hyper_parameters.
  const auto lr = [&](int64_t i) { return columns[0][models[i]]; };
  const auto momentum = [&](int64_t i) { return columns[1][models[i]]; };
  const auto dampening = [&](int64_t i) { return columns[2][models[i]]; };
  const auto decay = [&](int64_t i) { return columns[3][models[i]]; };
  const auto nesterov = [&](int64_t i) { return columns[4][models[i]] != 0; };
  const auto first = [&](int64_t i) { return steps[i] == 0; };
  bool any_decay = false, any_momentum = false, any_without = false;
  bool any_nesterov = false, any_first = false;
  for (int64_t i = 0; i < n; ++i) {
    any_decay |= decay(i) != 0;
    (momentum(i) != 0 ? any_momentum : any_without) = true;
    any_nesterov |= nesterov(i);
    any_first |= first(i);
  }
  Columns c(n, 8, t.parameter.device());
  const int step = c.Add([&](int64_t i) { return -lr(i); });
  const int shrink = c.Add(decay);
  const int keep = c.Add(momentum);
  const int fresh = c.Add([&](int64_t i) { return 1 - dampening(i); });
  const int is_first = c.Add(first);
  const int with_momentum = c.Add([&](int64_t i) { return momentum(i) != 0; });
  const int is_nesterov = c.Add(nesterov);
  c.Upload();

  at::Tensor g = t.gradient;
  if (any_decay) g.addcmul_(t.parameter, c[shrink]);
  if (any_momentum) {
    at::Tensor buffer = at::mul(t.state0, c[keep]).addcmul_(g, c[fresh]);
    if (any_first) buffer = at::where(c[is_first].ne(0), g, buffer);
    if (any_without) {
      t.state0.copy_(at::where(c[with_momentum].ne(0), buffer, t.state0));
    } else {
      t.state0.copy_(buffer);
    }
    at::Tensor direction = buffer;
    if (any_nesterov) {
      direction = at::where(c[is_nesterov].ne(0),
                            at::addcmul(g, buffer, c[keep]), buffer);
    }
    g = any_without ? at::where(c[with_momentum].ne(0), direction, g)
                    : direction;
  }
  t.parameter.addcmul_(g, c[step]);
}

// Kingma and Ba, "Adam", 2015, and Loshchilov and Hutter, "Decoupled Weight
// Decay Regularization", 2019, operation by operation as torch.optim.Adam and
// AdamW, so that roundings are theirs too:
//   m = lerp(m, g, 1 - beta1)
//   v = v beta2 + ((1 - beta2) g) g
//   p = p + (-lr / (1 - beta1^t) m) / (sqrt(v) / sqrt(1 - beta2^t) + eps)
void UpdateAdam(bool decoupled, const HyperColumns& columns,
                const std::vector<int>& models,
                const std::vector<int64_t>& steps, const UpdateTensors& t) {
  const int64_t n = static_cast<int64_t>(models.size());
  // In the order of OptimizerInfo::hyper_parameters.
  const auto lr = [&](int64_t i) { return columns[0][models[i]]; };
  const auto beta1 = [&](int64_t i) { return columns[1][models[i]]; };
  const auto beta2 = [&](int64_t i) { return columns[2][models[i]]; };
  const auto eps = [&](int64_t i) { return columns[3][models[i]]; };
  const auto decay = [&](int64_t i) { return columns[4][models[i]]; };
  const auto power = [&](double beta, int64_t i) {
    return std::pow(beta, static_cast<double>(steps[i] + 1));
  };
  bool any_decay = false;
  for (int64_t i = 0; i < n; ++i) any_decay |= decay(i) != 0;
  Columns c(n, 7, t.parameter.device());
  const int shrink = c.Add(
      [&](int64_t i) { return decoupled ? 1 - lr(i) * decay(i) : decay(i); });
  const int fresh1 = c.Add([&](int64_t i) { return 1 - beta1(i); });
  const int keep2 = c.Add(beta2);
  const int fresh2 = c.Add([&](int64_t i) { return 1 - beta2(i); });
  const int root =
      c.Add([&](int64_t i) { return std::sqrt(1 - power(beta2(i), i)); });
  const int floor = c.Add(eps);
  const int step =
      c.Add([&](int64_t i) { return -lr(i) / (1 - power(beta1(i), i)); });
  c.Upload();

  const at::Tensor& g = t.gradient;
  if (any_decay) {
    if (decoupled) {
      t.parameter.mul_(c[shrink]);
    } else {
      g.addcmul_(t.parameter, c[shrink]);
    }
  }
  t.state0.lerp_(g, c[fresh1]);
  at::Tensor scratch = at::mul(g, c[fresh2]);
  t.state1.mul_(c[keep2]).addcmul_(scratch, g);
  at::sqrt_out(scratch, t.state1);
  scratch.div_(c[root]).add_(c[floor]);
  at::Tensor scaled = g;
  at::mul_out(scaled, t.state0, c[step]);
  t.parameter.addcdiv_(scaled, scratch);
}

}  // namespace

void Update(OptimizerKind kind, const HyperColumns& columns,
            const std::vector<int>& models, const std::vector<int64_t>& steps,
            const UpdateTensors& tensors) {
  switch (kind) {
    case OptimizerKind::kNone:
      return;
    case OptimizerKind::kSgd:
      return UpdateSgd(columns, models, steps, tensors);
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return UpdateAdam(kind == OptimizerKind::kAdamW, columns, models, steps,
                        tensors);
  }
}

}  // namespace modelbatch::libtorch
