// What the command's exit codes mean.
#ifndef MODELBATCH_CLI_EXIT_CODE_H_
#define MODELBATCH_CLI_EXIT_CODE_H_

#include "absl/status/status.h"

namespace modelbatch {

inline constexpr int kExitOk = 0;
// `verify` found a difference, or something outside the input went wrong.
inline constexpr int kExitFailure = 1;
// The command line, a file or the combination asked for is not right.
inline constexpr int kExitBadInput = 2;
// Ctrl-C or SIGTERM; `train` has written a checkpoint.
inline constexpr int kExitInterrupted = 130;

// Prints "error: <message>" on standard error and returns the code to exit
// with. Not for OK.
int ReportError(const absl::Status& status);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_EXIT_CODE_H_
