#include "modelbatch/io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/logging.h"

namespace modelbatch {
namespace {

// What the holder has written, for messages.
std::string Holder(int fd) {
  char text[256];
  const ssize_t size = pread(fd, text, sizeof(text), 0);
  return size > 0 ? std::string(text, static_cast<size_t>(size))
                  : "another process";
}

void WriteHolder(int fd) {
  char host[128] = "this host";
  gethostname(host, sizeof(host) - 1);
  const std::string text = absl::StrCat("process ", getpid(), " on ", host);
  // For people only: the lock holds without it.
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) !=
                                   static_cast<ssize_t>(text.size())) {
    Log(LogSeverity::kWarning, "cannot write who holds a lock");
  }
}

// False when the file was removed, or replaced, after it was opened.
bool StillThere(int fd, const std::string& path) {
  struct stat open_file, named;
  return fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(
    const std::string& path) {
  while (true) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot open ", path, ": ", std::strerror(errno)));
    }
    std::unique_ptr<FileLock> lock(new FileLock(fd));
    int result;
    do {
      result = flock(fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " is held by ", Holder(fd)));
    }
    if (result != 0) {
      Log(LogSeverity::kWarning,
          absl::StrCat("cannot lock ", path, ": ", std::strerror(errno),
                       "; nothing keeps other processes out"));
      return lock;
    }
    if (!StillThere(fd, path)) continue;
    WriteHolder(fd);
    return lock;
  }
}

FileLock::~FileLock() { close(fd_); }

}  // namespace modelbatch
