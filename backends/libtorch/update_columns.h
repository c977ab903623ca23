// The numbers of an update, one a model, as [models, 1] tensors: computed on
// the host in double, rounded once, uploaded together.
//
//   UpdateColumns c(rule, models, steps);
//   const int step = c.Add([&](int64_t i) { return -c.Value(0, i); });
//   c.Upload(parameter.device());
//   parameter.addcmul_(gradient, c[step]);
#ifndef BACKENDS_LIBTORCH_UPDATE_COLUMNS_H_
#define BACKENDS_LIBTORCH_UPDATE_COLUMNS_H_

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "backends/grouped/executor.h"
#include "backends/libtorch/optimizer.h"

namespace modelbatch::libtorch {

class UpdateColumns {
 public:
  // Which rows something is true of.
  struct Flag {
    bool any = false, all = true;
    int column = 0;
  };

  UpdateColumns(const grouped::UpdateRule& rule, const std::vector<int>& models,
                const std::vector<int64_t>& steps)
      : rule_(rule), models_(models), steps_(steps) {}

  int64_t rows() const { return static_cast<int64_t>(models_.size()); }
  // Of a row, by the position in OptimizerInfo::hyper_parameters.
  double Value(int column, int64_t row) const {
    return rule_.columns[column][models_[row]];
  }
  // Of a row, from 1: the update about to be made.
  int64_t Step(int64_t row) const { return steps_[row] + 1; }
  float& MuProduct(int64_t row) const { return rule_.mu_product[models_[row]]; }

  // number(row) of each row. Returns the column's index.
  template <typename Number>
  int Add(Number number) {
    for (int64_t i = 0; i < rows(); ++i) {
      host_.push_back(static_cast<float>(number(i)));
    }
    return used_++;
  }
  int Add(int column) {
    return Add([&](int64_t i) { return Value(column, i); });
  }
  template <typename Predicate>
  Flag AddFlag(Predicate predicate) {
    Flag flag;
    for (int64_t i = 0; i < rows(); ++i) {
      (predicate(i) ? flag.any : flag.all) = predicate(i);
    }
    flag.column = Add(predicate);
    return flag;
  }
  Flag AddFlag(int column) {
    return AddFlag([&](int64_t i) { return Value(column, i) != 0; });
  }

  void Upload(at::Device device) {
    at::Tensor host = at::empty({used_, rows(), 1}, at::kFloat);
    std::copy(host_.begin(), host_.end(), host.mutable_data_ptr<float>());
    device_ = host.to(device);
  }
  at::Tensor operator[](int index) const { return device_[index]; }
  // Rows of `yes` where the flag is set, else of `no`.
  at::Tensor Choose(const Flag& flag, const at::Tensor& yes,
                    const at::Tensor& no) const {
    if (flag.all) return yes;
    return flag.any ? at::where((*this)[flag.column].ne(0), yes, no) : no;
  }

 private:
  const grouped::UpdateRule& rule_;
  const std::vector<int>& models_;
  const std::vector<int64_t>& steps_;
  std::vector<float> host_;
  int used_ = 0;
  at::Tensor device_;
};

// What comes first in every update: the gradient's sign, where a model
// maximizes, and weight decay, of the gradient or decoupled.
class Decay {
 public:
  // Columns by their positions; lr is at 0. decoupled(row): whether.
  template <typename Predicate>
  Decay(UpdateColumns* c, int weight_decay, int maximize, Predicate decoupled)
      : maximize_(c->AddFlag(maximize)) {
    sign_ = c->Add([&](int64_t i) { return c->Value(maximize, i) ? -1 : 1; });
    add_ = c->Add([&](int64_t i) {
      return decoupled(i) ? 0 : c->Value(weight_decay, i);
    });
    shrink_ = c->Add([&](int64_t i) {
      return decoupled(i) ? 1 - c->Value(0, i) * c->Value(weight_decay, i) : 1;
    });
    for (int64_t i = 0; i < c->rows(); ++i) {
      if (c->Value(weight_decay, i) == 0) continue;
      (decoupled(i) ? any_shrink_ : any_add_) = true;
    }
  }
  Decay(UpdateColumns* c, int weight_decay, int maximize)
      : Decay(c, weight_decay, maximize, [](int64_t) { return false; }) {}

  // After Upload.
  void Apply(const UpdateColumns& c, const UpdateTensors& t) const {
    if (maximize_.any) t.gradient.mul_(c[sign_]);
    if (any_add_) t.gradient.addcmul_(t.parameter, c[add_]);
    if (any_shrink_) t.parameter.mul_(c[shrink_]);
  }

 private:
  UpdateColumns::Flag maximize_;
  int sign_ = 0, add_ = 0, shrink_ = 0;
  bool any_add_ = false, any_shrink_ = false;
};

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_UPDATE_COLUMNS_H_
