#include "modelbatch/config/layer_kinds.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {
namespace {

AttributeValue Legal(const LayerAttribute& attribute) {
  switch (attribute.type) {
    case LayerAttribute::Type::kInt:
      return int64_t{1};
    case LayerAttribute::Type::kFloat:
      return 0.5;
    case LayerAttribute::Type::kBool:
      return true;
    case LayerAttribute::Type::kString:
      return std::string("tanh");
  }
  return int64_t{0};
}

// The table says what `InferLayout` takes.
TEST(LayerKindsTest, AgreesWithInferLayout) {
  for (const LayerKind& kind : LayerKinds()) {
    Attributes attributes;
    for (const LayerAttribute& attribute : kind.attributes) {
      attributes[attribute.name] = Legal(attribute);
    }
    const int input = Operator::kModelInput;
    ModelSpec spec({4});
    spec.AddOperator({"", kind.kind,
                      kind.kind == "add" ? std::vector<int>{input, input}
                                         : std::vector<int>{input},
                      attributes});
    EXPECT_TRUE(InferLayout(spec).ok())
        << kind.kind << ": " << InferLayout(spec).status();
  }
}

}  // namespace
}  // namespace modelbatch
