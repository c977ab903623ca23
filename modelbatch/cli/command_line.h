// The `modelbatch` command: reads the command line and runs what it says.
#ifndef MODELBATCH_CLI_COMMAND_LINE_H_
#define MODELBATCH_CLI_COMMAND_LINE_H_

namespace modelbatch {

// Returns the exit code: see exit_code.h.
int RunCommandLine(int argc, const char* const* argv);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_COMMAND_LINE_H_
