// What each loss is called, reads and wants as targets: the table that the
// config, the backends and the host's own losses share. Names, formulas and
// defaults are those of torch.nn.functional; docs/operators.md has them.
//
//   MB_ASSIGN_OR_RETURN(LossSettings loss,
//                       ReadLoss({"huber", {{"delta", 2.0}}}));
#ifndef MODELBATCH_LOSS_LOSS_H_
#define MODELBATCH_LOSS_LOSS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"

namespace modelbatch {

enum class LossKind {
  kCrossEntropy,
  kNll,
  kBceWithLogits,
  kMse,
  kL1,
  kHuber,
  kSmoothL1,
};

struct LossAttribute {
  enum class Type { kInt, kFloat, kFloatList };
  std::string name;
  Type type;
};

struct LossInfo {
  std::string kind;  // "cross_entropy"
  LossKind code;
  // Targets are class indices, int64 [rows]; else values, float32 of the
  // outputs' shape.
  bool classes;
  std::vector<LossAttribute> attributes;  // none is required
};

const std::vector<LossInfo>& Losses();
// "cross_entropy, nll, ..."
std::string LossKinds();
// Null when there is none.
const LossInfo* FindLoss(const std::string& kind);
const LossInfo& InfoOf(LossKind kind);

// A loss with its numbers checked. What its kind lacks keeps the default.
struct LossSettings {
  LossKind kind = LossKind::kCrossEntropy;
  double label_smoothing = 0;      // in [0, 1]
  int64_t ignore_index = -100;     // rows of this class do not count
  std::vector<double> weight;      // by class; empty: all 1
  std::vector<double> pos_weight;  // by output; empty: all 1
  double delta = 1;                // above 0
  double beta = 1;                 // at least 0; 0 is l1

  const std::string& name() const { return InfoOf(kind).kind; }
  bool has_classes() const { return InfoOf(kind).classes; }
};

// InvalidArgument lists the losses there are, or names the attribute, what it
// is and what was expected.
absl::StatusOr<LossSettings> ReadLoss(const LossSpec& spec);

// InvalidArgument names the list that has not one number for each of `outputs`,
// the classes or values of a row.
absl::Status CheckLossOutputs(const LossSettings& loss, int64_t outputs);

// Whether `value` may be a target of bce_with_logits.
inline bool IsProbability(float value) { return value >= 0 && value <= 1; }

}  // namespace modelbatch

#endif  // MODELBATCH_LOSS_LOSS_H_
