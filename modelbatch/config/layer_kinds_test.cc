#include "modelbatch/config/layer_kinds.h"

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/model/initializer.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

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

absl::Status Infer(const LayerKind& kind, const Attributes& attributes) {
  const int input = Operator::kModelInput;
  ModelSpec spec({4});
  spec.AddOperator({"", kind.kind,
                    kind.kind == "add" ? std::vector<int>{input, input}
                                       : std::vector<int>{input},
                    attributes});
  return InferLayout(spec).status();
}

// The table says what `InferLayout` takes.
TEST(LayerKindsTest, AgreesWithInferLayout) {
  for (const LayerKind& kind : LayerKinds()) {
    Attributes attributes;
    for (const LayerAttribute& attribute : kind.attributes) {
      if (!attribute.initializer) attributes[attribute.name] = Legal(attribute);
    }
    EXPECT_TRUE(Infer(kind, attributes).ok())
        << kind.kind << ": " << Infer(kind, attributes);
    // An initialiser's attribute is known, though not alone.
    for (const LayerAttribute& attribute : kind.attributes) {
      if (!attribute.initializer) continue;
      EXPECT_TRUE(IsInitializerAttribute(attribute.name)) << attribute.name;
      Attributes with = attributes;
      with[attribute.name] = Legal(attribute);
      EXPECT_THAT(std::string(Infer(kind, with).message()),
                  Not(HasSubstr("unknown attribute")))
          << kind.kind << ": " << attribute.name;
    }
  }
}

// Every function of torch.nn.init with every argument it takes.
TEST(LayerKindsTest, HasTheInitializersArguments) {
  for (const char* kind : {"linear", "layer_norm"}) {
    std::set<std::string> names;
    for (const LayerAttribute& a : FindLayerKind(kind)->attributes) {
      names.insert(a.name);
    }
    for (const char* parameter : {"weight", "bias"}) {
      for (const char* argument : {"", "_a", "_b", "_gain", "_mean", "_mode",
                                   "_nonlinearity", "_std", "_val"}) {
        EXPECT_EQ(names.count(std::string(parameter) + "_init" + argument), 1u)
            << kind << ": " << parameter << argument;
      }
    }
  }
}

}  // namespace
}  // namespace modelbatch
