#include "backends/libtorch/vmap.h"

#include <ATen/functorch/BatchedTensorImpl.h>
#include <ATen/functorch/DynamicLayer.h>

namespace modelbatch::libtorch {

namespace functorch = at::functorch;

VmapLevel::VmapLevel(int64_t size)
    : level_(functorch::initAndPushDynamicLayer(
          functorch::TransformType::Vmap, c10::SymInt(size),
          functorch::RandomnessType::Error)) {}

VmapLevel::~VmapLevel() { functorch::popDynamicLayerAndDeleteMetadata(); }

at::Tensor VmapLevel::Batch(const Value& value) const {
  return value.stacked ? functorch::makeBatched(value.tensor, 0, level_)
                       : value.tensor;
}

Value VmapLevel::Unbatch(const at::Tensor& tensor) const {
  const auto* batched = functorch::maybeGetBatchedImpl(tensor);
  if (batched == nullptr || batched->level() != level_) return {tensor, false};
  const int64_t dim = batched->bdim();
  const at::Tensor& stacked = batched->value();
  return {dim == 0 ? stacked : stacked.movedim(dim, 0), true};
}

int64_t VmapLevel::Depth() {
  return static_cast<int64_t>(functorch::getDynamicLayerStack().size());
}

Value Vmap(
    int64_t size, const std::vector<Value>& values,
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function) {
  bool any = false;
  for (const Value& value : values) any = any || value.stacked;
  std::vector<at::Tensor> tensors;
  if (!any) {  // nothing to batch
    for (const Value& value : values) tensors.push_back(value.tensor);
    return {function(tensors), false};
  }
  const VmapLevel level(size);
  for (const Value& value : values) tensors.push_back(level.Batch(value));
  const at::Tensor result = function(tensors);
  tensors.clear();  // before the level goes
  return level.Unbatch(result);
}

}  // namespace modelbatch::libtorch
