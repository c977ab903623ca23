// Runs this program again, in a process of its own, for what may end or hang a
// process.
//
//   MB_ASSIGN_OR_RETURN(ChildOutcome child, RunSelf({"describe", path}, 30));
//   if (child.ended_well()) Use(child.output);
//   else std::cerr << child.Describe();
//
// The child is another executable image (posix_spawn): nothing of this
// process's threads and locks is in it. It is killed with all that it started
// when its time is up, and when this process ends.
#ifndef MODELBATCH_CLI_CHILD_PROCESS_H_
#define MODELBATCH_CLI_CHILD_PROCESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace modelbatch {

struct ChildOutcome {
  std::string output;  // what it wrote to its parent
  bool timed_out = false;
  int signal = 0;  // that ended it
  int exit_code = 0;

  bool ended_well() const {
    return !timed_out && signal == 0 && exit_code == 0;
  }
  // "signal 11 (SIGSEGV, Segmentation fault)", "exit code 3".
  std::string Describe() const;
};

// Starts this program's file with `arguments` and waits, for at most
// `seconds`. The child reads nothing; what it prints goes to standard error.
// Unavailable when no process can be started.
absl::StatusOr<ChildOutcome> RunSelf(const std::vector<std::string>& arguments,
                                     int64_t seconds);

// The child's side.

// To be called first. InvalidArgument in a process that is no such child.
absl::Status BecomeChild();
void WriteToParent(const std::string& text);

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_CHILD_PROCESS_H_
