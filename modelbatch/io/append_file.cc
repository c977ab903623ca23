#include "modelbatch/io/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "modelbatch/io/system_error.h"

namespace modelbatch {
namespace {

absl::Status WriteAll(int fd, const std::string& path, std::string_view bytes) {
  struct stat before;
  if (fstat(fd, &before) != 0) return SystemError("cannot read", path);
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const absl::Status status = SystemError("cannot write", path);
      // Best effort: the error is returned in any case.
      [[maybe_unused]] const int ignored = ftruncate(fd, before.st_size);
      return status;
    }
    bytes.remove_prefix(written);
  }
  return absl::OkStatus();
}

absl::Status Write(const std::string& path, int flags, std::string_view bytes) {
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  if (fd < 0) return SystemError("cannot write", path);
  absl::Status status = WriteAll(fd, path, bytes);
  if (close(fd) != 0 && status.ok()) status = SystemError("cannot close", path);
  return status;
}

}  // namespace

absl::Status CreateFile(const std::string& path, std::string_view bytes) {
  return Write(path, O_EXCL, bytes);
}

absl::Status AppendToFile(const std::string& path, std::string_view bytes) {
  return Write(path, O_APPEND, bytes);
}

absl::Status TruncateFile(const std::string& path, int64_t size) {
  if (truncate(path.c_str(), size) == 0) return absl::OkStatus();
  return SystemError("cannot cut", path);
}

}  // namespace modelbatch
