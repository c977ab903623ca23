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

absl::StatusOr<ModelDescription> Session::Describe(int) {
  return absl::UnimplementedError(
      "this backend does not describe its sessions");
}

absl::StatusOr<TuneReport> Session::Tune(const Attributes&) {
  return absl::UnimplementedError("this backend has nothing to tune");
}

}  // namespace modelbatch
