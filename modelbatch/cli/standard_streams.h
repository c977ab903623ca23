// The standard streams, which a caller may have closed or put on a full disk.
#ifndef MODELBATCH_CLI_STANDARD_STREAMS_H_
#define MODELBATCH_CLI_STANDARD_STREAMS_H_

namespace modelbatch {

// Puts the null device in the place of those that are closed. Else the next
// file that is opened has their number, and what is printed lands in it.
void OpenStandardStreams();

// The exit code of a command that ends with `code`: kExitFailure, with a
// message, where what it printed could not be written.
int FlushStandardOutput(int code);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_STANDARD_STREAMS_H_
