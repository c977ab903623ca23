// Runs a program in a process of its own: this one again, for what may end or
// hang a process, or another.
//
//   MB_ASSIGN_OR_RETURN(ChildOutcome child, RunSelf({"describe", path}, 30));
//   if (child.ended_well()) Use(child.output);
//   else std::cerr << child.Describe();
//   MB_ASSIGN_OR_RETURN(child, RunProgram("gnuplot", {"a.gp"}, folder, 60));
//
// The child is another executable image (posix_spawn): nothing of this
// process's threads and locks is in it. It is killed with all that it started
// when its time is up; when this process ends, RunSelf's is.
#ifndef MODELBATCH_UTIL_CHILD_PROCESS_H_
#define MODELBATCH_UTIL_CHILD_PROCESS_H_

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

// Starts the program `name`, looked for in PATH, with `arguments` in the folder
// `folder`, without a shell, and waits, for at most `seconds`. It reads
// nothing; `output` has what it prints on standard output and standard error.
// NotFound when PATH has no such program, Unavailable when no process can be
// started.
absl::StatusOr<ChildOutcome> RunProgram(
    const std::string& name, const std::vector<std::string>& arguments,
    const std::string& folder, int64_t seconds);

// The side of RunSelf's child.

// To be called first. InvalidArgument in a process that is no such child.
absl::Status BecomeChild();
void WriteToParent(const std::string& text);

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_CHILD_PROCESS_H_
