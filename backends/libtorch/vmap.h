// vmap for C++: runs a function written for one model on stacked tensors.
//
//   at::Tensor y = Vmap(num_models, {{x, true}, {mask, true}},
//                       [](const std::vector<at::Tensor>& one) {
//                         return at::mul(one[0], one[1]);
//                       }).tensor;
//
// LibTorch has no public vmap; this drives at::functorch, as torch.vmap does
// in Python. Autograd works through it from outside.
#ifndef BACKENDS_LIBTORCH_VMAP_H_
#define BACKENDS_LIBTORCH_VMAP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace modelbatch::libtorch {

// A tensor that is stacked over models in dimension 0, or shared by all.
struct Value {
  at::Tensor tensor;
  bool stacked = false;
};

// One vmap level of this thread: pushed by the constructor, popped by the
// destructor, whatever is thrown in between. Tensors made by Batch must not
// outlive it.
class VmapLevel {
 public:
  explicit VmapLevel(int64_t size);
  ~VmapLevel();
  VmapLevel(const VmapLevel&) = delete;
  VmapLevel& operator=(const VmapLevel&) = delete;

  // What the function under vmap sees of a value: one model's tensor.
  at::Tensor Batch(const Value& value) const;
  // The value behind a tensor computed at this level.
  Value Unbatch(const at::Tensor& tensor) const;

  // Levels pushed on this thread.
  static int64_t Depth();

 private:
  int64_t level_;
};

// `function` of the values, run once for all of `size` models. The result is
// shared when it depends on shared values only.
Value Vmap(
    int64_t size, const std::vector<Value>& values,
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_VMAP_H_
