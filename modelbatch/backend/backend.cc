#include "modelbatch/backend/backend.h"

namespace modelbatch {

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kStepped:
      return "stepped";
    case Outcome::kInactive:
      return "inactive";
    case Outcome::kEmpty:
      return "empty";
    case Outcome::kNonFiniteLoss:
      return "non-finite loss";
    case Outcome::kNonFiniteGradient:
      return "non-finite gradient";
  }
  return "unknown";
}

}  // namespace modelbatch
