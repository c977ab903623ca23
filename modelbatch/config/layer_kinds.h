// Which attributes the layers of a config have, and of which type: for
// suggestions and for reading `p = 0` as a float. What values are allowed is
// `InferLayout`'s to say.
#ifndef MODELBATCH_CONFIG_LAYER_KINDS_H_
#define MODELBATCH_CONFIG_LAYER_KINDS_H_

#include <string>
#include <vector>

namespace modelbatch {

struct LayerAttribute {
  enum class Type { kInt, kFloat, kBool, kString };
  std::string name;
  Type type;
  bool required = false;
  // Chooses initial values (modelbatch/model/initializer.h). Such attributes
  // make sense together only, so none is checked by itself.
  bool initializer = false;
};

struct LayerKind {
  std::string kind;
  std::vector<LayerAttribute> attributes;
};

const std::vector<LayerKind>& LayerKinds();

// Null when there is none.
const LayerKind* FindLayerKind(const std::string& kind);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_LAYER_KINDS_H_
