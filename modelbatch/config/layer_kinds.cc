#include "modelbatch/config/layer_kinds.h"

namespace modelbatch {

const std::vector<LayerKind>& LayerKinds() {
  using Type = LayerAttribute::Type;
  static const auto* const kKinds = new std::vector<LayerKind>{
      {"linear", {{"out_features", Type::kInt, true}, {"bias", Type::kBool}}},
      {"relu", {}},
      {"gelu", {{"approximate", Type::kString}}},
      {"tanh", {}},
      {"sigmoid", {}},
      {"dropout", {{"p", Type::kFloat}}},
      {"flatten", {}},
      {"add", {}},
      {"layer_norm", {{"eps", Type::kFloat}}},
  };
  return *kKinds;
}

const LayerKind* FindLayerKind(const std::string& kind) {
  for (const LayerKind& k : LayerKinds()) {
    if (k.kind == kind) return &k;
  }
  return nullptr;
}

}  // namespace modelbatch
