// How a parameter starts: the distributions of torch.nn.init, chosen by
// attributes of the parameter's operator (docs/operators.md).
//
//   { kind = "linear", out_features = 64,
//     weight_init = "kaiming_normal", weight_init_nonlinearity = "relu",
//     bias_init = "zeros" }
//
// What values come of one is `InitialValue`'s (initialize.h) to say.
#ifndef MODELBATCH_MODEL_INITIALIZER_H_
#define MODELBATCH_MODEL_INITIALIZER_H_

#include <string>

#include "absl/status/status.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct Initializer {
  enum class Kind {
    kConstant,
    kUniform,       // in [-bound, bound)
    kUniformRange,  // in [min, max]
    kNormal,
    kTruncNormal,  // normal, given that it lies in [min, max]
    kOrthogonal,
  };
  Kind kind = Kind::kConstant;
  double value = 0;  // kConstant
  double bound = 0;  // kUniform
  double mean = 0;   // kNormal, kTruncNormal
  double std = 1;    // kNormal, kTruncNormal
  double min = 0;    // kUniformRange, kTruncNormal
  double max = 0;    // kUniformRange, kTruncNormal
  double gain = 1;   // kOrthogonal
};

// Replaces `init`, the operator's default, by what the attributes
// `<parameter>_init` and `<parameter>_init_<argument>` say; without them it
// stays. `shape` is the parameter's. InvalidArgument names the attribute.
absl::Status ReadInitializer(AttributeReader* attributes,
                             const std::string& parameter, const Shape& shape,
                             Initializer* init);

// Whether `attribute` is one that ReadInitializer reads, of any parameter.
bool IsInitializerAttribute(const std::string& attribute);

// The same model without such attributes: they are the core's own, and no
// backend needs to know them.
ModelSpec WithoutInitializers(const ModelSpec& spec);

}  // namespace modelbatch

#endif  // MODELBATCH_MODEL_INITIALIZER_H_
