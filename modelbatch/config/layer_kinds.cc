#include "modelbatch/config/layer_kinds.h"

#include <utility>

namespace modelbatch {
namespace {

using Type = LayerAttribute::Type;

// `attributes` and those that choose the initial values of `parameters`.
std::vector<LayerAttribute> WithInitializers(
    std::vector<LayerAttribute> attributes,
    const std::vector<std::string>& parameters) {
  const std::pair<const char*, Type> kEndings[] = {
      {"", Type::kString},
      {"_mode", Type::kString},
      {"_nonlinearity", Type::kString},
      {"_a", Type::kFloat},
      {"_b", Type::kFloat},
      {"_gain", Type::kFloat},
      {"_mean", Type::kFloat},
      {"_std", Type::kFloat},
      {"_val", Type::kFloat}};
  for (const std::string& parameter : parameters) {
    for (const auto& [ending, type] : kEndings) {
      attributes.push_back(
          {parameter + "_init" + ending, type, false, /*initializer=*/true});
    }
  }
  return attributes;
}

}  // namespace

const std::vector<LayerKind>& LayerKinds() {
  static const auto* const kKinds = new std::vector<LayerKind>{
      {"linear", WithInitializers({{"out_features", Type::kInt, true},
                                   {"bias", Type::kBool}},
                                  {"weight", "bias"})},
      {"relu", {}},
      {"gelu", {{"approximate", Type::kString}}},
      {"tanh", {}},
      {"sigmoid", {}},
      {"dropout", {{"p", Type::kFloat}}},
      {"flatten", {}},
      {"add", {}},
      {"layer_norm",
       WithInitializers({{"eps", Type::kFloat}}, {"weight", "bias"})},
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
