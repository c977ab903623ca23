// What a failed system call says, as a Status.
#ifndef MODELBATCH_IO_SYSTEM_ERROR_H_
#define MODELBATCH_IO_SYSTEM_ERROR_H_

#include <string>

#include "absl/status/status.h"

namespace modelbatch {

// "<what> <path>: <errno's text>". NotFound where there is no such file,
// AlreadyExists where there is one, ResourceExhausted for a full disk, else
// InvalidArgument.
absl::Status SystemError(const std::string& what, const std::string& path);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_SYSTEM_ERROR_H_
