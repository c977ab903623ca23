#include "modelbatch/cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

#include "absl/status/status.h"
#include "modelbatch/cli/exit_code.h"

namespace modelbatch {

void OpenStandardStreams() {
  // In ascending order: open takes the lowest number that is free.
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
      if (open("/dev/null", O_RDWR) != fd) return;
    }
  }
}

int FlushStandardOutput(int code) {
  std::cout.flush();
  if (std::cout || code != kExitOk) return code;
  return ReportError(absl::UnavailableError(
      "cannot write to the standard output: not all of it is there"));
}

}  // namespace modelbatch
