#include "modelbatch/model/initializer.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Names and arguments are those of torch.nn.init, without the underscore.
struct Function {
  const char* name;
  std::vector<std::string> arguments;
};

const std::vector<Function>& Functions() {
  static const auto* const kFunctions = new std::vector<Function>{
      {"default", {}},
      {"uniform", {"a", "b"}},
      {"normal", {"mean", "std"}},
      {"trunc_normal", {"mean", "std", "a", "b"}},
      {"constant", {"val"}},
      {"ones", {}},
      {"zeros", {}},
      {"xavier_uniform", {"gain"}},
      {"xavier_normal", {"gain"}},
      {"kaiming_uniform", {"a", "mode", "nonlinearity"}},
      {"kaiming_normal", {"a", "mode", "nonlinearity"}},
      {"orthogonal", {"gain"}},
  };
  return *kFunctions;
}

// Reads the arguments of one parameter's initialiser.
class Reader {
 public:
  Reader(AttributeReader* attributes, std::string key, const Shape& shape)
      : attributes_(attributes), key_(std::move(key)), shape_(shape) {}

  absl::StatusOr<Initializer> Read(const Initializer& default_init) {
    MB_ASSIGN_OR_RETURN(function_, attributes_->String(key_, "default"));
    MB_RETURN_IF_ERROR(CheckArguments());
    MB_ASSIGN_OR_RETURN(Initializer init, ReadFunction(default_init));
    const double largest =
        std::max({std::abs(init.value), std::abs(init.bound),
                  std::abs(init.min), std::abs(init.max), init.gain,
                  // A normal deviate is below 6.8 (initialize.h).
                  std::abs(init.mean) + 6.8 * init.std});
    if (!(largest <= std::numeric_limits<float>::max())) {
      return attributes_->Error(absl::StrCat(
          key_, " is \"", function_,
          "\" with numbers that are not finite or too large for float32"));
    }
    return init;
  }

 private:
  std::string Key(const std::string& argument) const {
    return absl::StrCat(key_, "_", argument);
  }

  absl::Status CheckArguments() const {
    const Function* chosen = nullptr;
    std::vector<std::string> names;
    for (const Function& function : Functions()) {
      if (function_ == function.name) chosen = &function;
      names.push_back(absl::StrCat("\"", function.name, "\""));
    }
    if (chosen == nullptr) {
      return attributes_->Error(absl::StrCat(key_, " is \"", function_,
                                             "\", expected one of ",
                                             absl::StrJoin(names, ", ")));
    }
    for (const Function& function : Functions()) {
      for (const std::string& argument : function.arguments) {
        if (!attributes_->Has(Key(argument)) ||
            std::count(chosen->arguments.begin(), chosen->arguments.end(),
                       argument) > 0) {
          continue;
        }
        std::vector<std::string> keys;
        for (const std::string& a : chosen->arguments) keys.push_back(Key(a));
        return attributes_->Error(absl::StrCat(
            Key(argument), " is given, but ", key_, " is \"", function_,
            "\", which takes ",
            keys.empty() ? "no arguments" : absl::StrJoin(keys, ", ")));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<double> Number(const std::string& argument,
                                std::optional<double> default_value) {
    MB_ASSIGN_OR_RETURN(const double value,
                        attributes_->Float(Key(argument), default_value));
    if (std::isfinite(value)) return value;
    return attributes_->Error(absl::StrCat(Key(argument), " is ", value,
                                           ", expected a finite number"));
  }

  absl::StatusOr<double> NotNegative(const std::string& argument,
                                     double default_value) {
    MB_ASSIGN_OR_RETURN(const double value, Number(argument, default_value));
    if (value >= 0) return value;
    return attributes_->Error(
        absl::StrCat(Key(argument), " is ", value, ", expected at least 0"));
  }

  absl::StatusOr<std::string> OneOf(const std::string& argument,
                                    const std::vector<std::string>& values) {
    MB_ASSIGN_OR_RETURN(std::string value,
                        attributes_->String(Key(argument), values[0]));
    if (std::count(values.begin(), values.end(), value) > 0) return value;
    return attributes_->Error(
        absl::StrCat(Key(argument), " is \"", value, "\", expected one of \"",
                     absl::StrJoin(values, "\", \""), "\""));
  }

  absl::Status CheckMatrix() const {
    if (shape_.size() >= 2) return absl::OkStatus();
    return attributes_->Error(
        absl::StrCat(key_, " is \"", function_,
                     "\", which needs two dimensions; the parameter has shape ",
                     ShapeToString(shape_)));
  }

  // As torch.nn.init counts them, [out, in, kernel...].
  double FanIn() const {
    return static_cast<double>(NumElements(shape_)) / shape_[0];
  }
  double FanOut() const {
    return static_cast<double>(NumElements(shape_)) / shape_[1];
  }

  static Initializer Constant(double value) {
    Initializer init;
    init.value = value;
    return init;
  }

  // The normal distribution of this deviation, or the uniform one.
  static Initializer Centred(bool normal, double std) {
    Initializer init;
    init.kind =
        normal ? Initializer::Kind::kNormal : Initializer::Kind::kUniform;
    if (normal) {
      init.std = std;
    } else {
      init.bound = std::sqrt(3.0) * std;
    }
    return init;
  }

  absl::StatusOr<Initializer> ReadFunction(const Initializer& default_init) {
    if (function_ == "default") return default_init;
    if (function_ == "zeros") return Constant(0);
    if (function_ == "ones") return Constant(1);
    if (function_ == "constant") {
      MB_ASSIGN_OR_RETURN(const double value, Number("val", {}));
      return Constant(value);
    }
    if (function_ == "uniform") return ReadUniform();
    if (function_ == "normal") return ReadNormal();
    if (function_ == "trunc_normal") return ReadTruncNormal();
    MB_RETURN_IF_ERROR(CheckMatrix());
    if (function_ == "orthogonal") {
      Initializer init;
      init.kind = Initializer::Kind::kOrthogonal;
      MB_ASSIGN_OR_RETURN(init.gain, NotNegative("gain", 1));
      return init;
    }
    const bool normal = absl::EndsWith(function_, "_normal");
    if (absl::StartsWith(function_, "xavier")) {
      // Glorot, Bengio 2010.
      MB_ASSIGN_OR_RETURN(const double gain, NotNegative("gain", 1));
      return Centred(normal, gain * std::sqrt(2.0 / (FanIn() + FanOut())));
    }
    // He et al. 2015.
    MB_ASSIGN_OR_RETURN(const std::string mode,
                        OneOf("mode", {"fan_in", "fan_out"}));
    MB_ASSIGN_OR_RETURN(const double gain, ReadGain());
    return Centred(normal,
                   gain / std::sqrt(mode == "fan_in" ? FanIn() : FanOut()));
  }

  absl::Status ReadRange(double min, double max, Initializer* init) {
    MB_ASSIGN_OR_RETURN(init->min, Number("a", min));
    MB_ASSIGN_OR_RETURN(init->max, Number("b", max));
    if (init->min < init->max) return absl::OkStatus();
    return attributes_->Error(absl::StrCat(Key("a"), " is ", init->min,
                                           ", expected less than ", Key("b"),
                                           ", which is ", init->max));
  }

  absl::StatusOr<Initializer> ReadUniform() {
    Initializer init;
    init.kind = Initializer::Kind::kUniformRange;
    MB_RETURN_IF_ERROR(ReadRange(0, 1, &init));
    return init;
  }

  absl::StatusOr<Initializer> ReadNormal() {
    Initializer init;
    init.kind = Initializer::Kind::kNormal;
    MB_ASSIGN_OR_RETURN(init.mean, Number("mean", 0));
    MB_ASSIGN_OR_RETURN(init.std, NotNegative("std", 1));
    return init;
  }

  absl::StatusOr<Initializer> ReadTruncNormal() {
    MB_ASSIGN_OR_RETURN(Initializer init, ReadNormal());
    init.kind = Initializer::Kind::kTruncNormal;
    MB_RETURN_IF_ERROR(ReadRange(-2, 2, &init));
    if (init.std > 0 && std::isfinite((init.min - init.mean) / init.std) &&
        std::isfinite((init.max - init.mean) / init.std)) {
      return init;
    }
    return attributes_->Error(absl::StrCat(
        Key("std"), " is ", init.std,
        ", expected a number above 0 that the range is not vast beside"));
  }

  // torch.nn.init.calculate_gain.
  absl::StatusOr<double> ReadGain() {
    MB_ASSIGN_OR_RETURN(const std::string nonlinearity,
                        OneOf("nonlinearity", {"leaky_relu", "relu", "linear",
                                               "sigmoid", "tanh", "selu"}));
    if (nonlinearity != "leaky_relu" && attributes_->Has(Key("a"))) {
      return attributes_->Error(
          absl::StrCat(Key("a"), " is given, the slope of a leaky_relu, but ",
                       Key("nonlinearity"), " is \"", nonlinearity, "\""));
    }
    MB_ASSIGN_OR_RETURN(const double slope, Number("a", 0));
    if (nonlinearity == "leaky_relu") return std::sqrt(2 / (1 + slope * slope));
    if (nonlinearity == "relu") return std::sqrt(2.0);
    if (nonlinearity == "tanh") return 5.0 / 3;
    if (nonlinearity == "selu") return 0.75;
    return 1.0;
  }

  AttributeReader* attributes_;
  std::string key_;  // "weight_init"
  const Shape& shape_;
  std::string function_;
};

}  // namespace

absl::Status ReadInitializer(AttributeReader* attributes,
                             const std::string& parameter, const Shape& shape,
                             Initializer* init) {
  MB_ASSIGN_OR_RETURN(
      *init, Reader(attributes, parameter + "_init", shape).Read(*init));
  return absl::OkStatus();
}

bool IsInitializerAttribute(const std::string& attribute) {
  if (absl::EndsWith(attribute, "_init")) return true;
  for (const Function& function : Functions()) {
    for (const std::string& argument : function.arguments) {
      if (absl::EndsWith(attribute, "_init_" + argument)) return true;
    }
  }
  return false;
}

ModelSpec WithoutInitializers(const ModelSpec& spec) {
  ModelSpec without(spec.input_shape());
  for (Operator op : spec.operators()) {
    for (auto it = op.attributes.begin(); it != op.attributes.end();) {
      it = IsInitializerAttribute(it->first) ? op.attributes.erase(it)
                                             : std::next(it);
    }
    without.AddOperator(std::move(op));
  }
  return without;
}

}  // namespace modelbatch
