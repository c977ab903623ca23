// What is wrong with a command line, in one sentence: what was found, what was
// expected, and whose --help says more.
#ifndef MODELBATCH_CLI_USAGE_ERROR_H_
#define MODELBATCH_CLI_USAGE_ERROR_H_

#include "CLI/CLI.hpp"
#include "absl/status/status.h"

namespace modelbatch {

// Of a parse by `app` that ended with `error`.
absl::Status UsageError(const CLI::App& app, int argc, const char* const* argv,
                        const CLI::ParseError& error);

// An option that is there has a value: "" is what an unset variable of a script
// leaves, and would be taken for a missing option.
void RefuseEmptyValues(CLI::App* app);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_USAGE_ERROR_H_
