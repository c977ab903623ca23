#include "modelbatch/cli/exit_code.h"

#include <iostream>
#include <string>

#include "modelbatch/cli/terminal.h"

namespace modelbatch {

int ReportError(const absl::Status& status) {
  std::cerr << Styled("error:", "1;31", Terminal::Of(2).colors) << " "
            << std::string(status.message()) << std::endl;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kDataLoss:
      return kExitBadInput;
    default:
      return kExitFailure;
  }
}

}  // namespace modelbatch
