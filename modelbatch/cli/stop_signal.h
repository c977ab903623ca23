// Ctrl-C, SIGTERM and the end of the terminal (SIGHUP) as a request to stop:
// the first sets a flag, the second ends the process as it would have without
// this.
#ifndef MODELBATCH_CLI_STOP_SIGNAL_H_
#define MODELBATCH_CLI_STOP_SIGNAL_H_

#include <atomic>

namespace modelbatch {

// Installs the handlers; the flag lives as long as the process.
const std::atomic<bool>* StopOnSignal();

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_STOP_SIGNAL_H_
