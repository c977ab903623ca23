#include "modelbatch/loss/loss.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Above it the sum over a step's rows would leave fp32, in which backends
// compute.
constexpr double kMaxWeight = 1e30;

absl::Status CheckRange(const AttributeReader& reader, const std::string& name,
                        double value, bool allowed,
                        const std::string& expected) {
  if (allowed) return absl::OkStatus();
  return reader.Error(
      absl::StrCat("attribute ", name, " is ", value, ", expected ", expected));
}

absl::Status ReadNumber(AttributeReader& reader, const std::string& name,
                        LossSettings* loss) {
  if (name == "label_smoothing") {
    double& value = loss->label_smoothing;
    MB_ASSIGN_OR_RETURN(value, reader.Float(name, value));
    return CheckRange(reader, name, value, value >= 0 && value <= 1,
                      "a number from 0 to 1");
  }
  // Backends compute with floats, for which they must not be 0 or Inf either.
  constexpr double kMax = std::numeric_limits<float>::max();
  constexpr double kMin = std::numeric_limits<float>::min();
  if (name == "delta") {
    MB_ASSIGN_OR_RETURN(loss->delta, reader.Float(name, loss->delta));
    return CheckRange(reader, name, loss->delta,
                      loss->delta >= kMin && loss->delta <= kMax,
                      absl::StrCat("a number from ", kMin, " to ", kMax));
  }
  MB_ASSIGN_OR_RETURN(loss->beta, reader.Float(name, loss->beta));
  return CheckRange(
      reader, name, loss->beta,
      loss->beta == 0 || (loss->beta >= kMin && loss->beta <= kMax),
      absl::StrCat("0 or a number from ", kMin, " to ", kMax));
}

absl::Status ReadList(AttributeReader& reader, const std::string& name,
                      LossSettings* loss) {
  std::vector<double>& list =
      name == "weight" ? loss->weight : loss->pos_weight;
  MB_ASSIGN_OR_RETURN(list, reader.FloatList(name, list));
  for (size_t i = 0; i < list.size(); ++i) {
    MB_RETURN_IF_ERROR(
        CheckRange(reader, absl::StrCat(name, "[", i, "]"), list[i],
                   list[i] >= 0 && list[i] <= kMaxWeight,
                   absl::StrCat("a number from 0 to ", kMaxWeight)));
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<LossInfo>& Losses() {
  using Type = LossAttribute::Type;
  static const auto* const losses = new std::vector<LossInfo>{
      {"cross_entropy",
       LossKind::kCrossEntropy,
       true,
       {{"label_smoothing", Type::kFloat},
        {"ignore_index", Type::kInt},
        {"weight", Type::kFloatList}}},
      {"nll",
       LossKind::kNll,
       true,
       {{"ignore_index", Type::kInt}, {"weight", Type::kFloatList}}},
      {"bce_with_logits",
       LossKind::kBceWithLogits,
       false,
       {{"pos_weight", Type::kFloatList}}},
      {"mse", LossKind::kMse, false, {}},
      {"l1", LossKind::kL1, false, {}},
      {"huber", LossKind::kHuber, false, {{"delta", Type::kFloat}}},
      {"smooth_l1", LossKind::kSmoothL1, false, {{"beta", Type::kFloat}}},
  };
  return *losses;
}

std::string LossKinds() {
  return absl::StrJoin(
      Losses(), ", ",
      [](std::string* out, const LossInfo& info) { out->append(info.kind); });
}

const LossInfo* FindLoss(const std::string& kind) {
  for (const LossInfo& info : Losses()) {
    if (info.kind == kind) return &info;
  }
  return nullptr;
}

const LossInfo& InfoOf(LossKind kind) {
  return Losses()[static_cast<size_t>(kind)];
}

absl::StatusOr<LossSettings> ReadLoss(const LossSpec& spec) {
  const LossInfo* const info = FindLoss(spec.kind);
  if (info == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there is no loss \"", spec.kind, "\"; there are: ", LossKinds()));
  }
  AttributeReader reader(absl::StrCat("loss ", spec.kind), spec.attributes);
  LossSettings loss;
  loss.kind = info->code;
  for (const LossAttribute& attribute : info->attributes) {
    switch (attribute.type) {
      case LossAttribute::Type::kInt: {
        MB_ASSIGN_OR_RETURN(loss.ignore_index,
                            reader.Int(attribute.name, loss.ignore_index));
        break;
      }
      case LossAttribute::Type::kFloat:
        MB_RETURN_IF_ERROR(ReadNumber(reader, attribute.name, &loss));
        break;
      case LossAttribute::Type::kFloatList:
        MB_RETURN_IF_ERROR(ReadList(reader, attribute.name, &loss));
        break;
    }
  }
  MB_RETURN_IF_ERROR(reader.Finish());
  return loss;
}

absl::Status CheckLossOutputs(const LossSettings& loss, int64_t outputs) {
  const auto check = [&](const char* name, const std::vector<double>& list) {
    if (list.empty() || static_cast<int64_t>(list.size()) == outputs) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat("loss ", loss.name(), ": ", name, " has ", list.size(),
                     " numbers, expected one for each of ", outputs,
                     loss.has_classes() ? " classes" : " outputs"));
  };
  MB_RETURN_IF_ERROR(check("weight", loss.weight));
  return check("pos_weight", loss.pos_weight);
}

}  // namespace modelbatch
