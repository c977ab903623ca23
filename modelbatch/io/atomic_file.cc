#include "modelbatch/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/io/sync_folder.h"
#include "modelbatch/io/system_error.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
AtomicFile::AtomicFile(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status AtomicFile::Error(const std::string& what) const {
  return SystemError(what, path_);
}

absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path) {
  std::string temporary = absl::StrCat(path, ".tmp-XXXXXX");
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return SystemError("cannot create", path);
  // mkostemp makes files for the owner only; this is a file as any other.
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(fd, 0666 & ~mask);
  return AtomicFile(path, std::move(temporary), fd);
}

absl::Status AtomicFile::Append(const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = write(fd_, at, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return Error("cannot write");
    }
    at += written;
    size -= written;
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  const std::string folder = FolderOf(path_);
  MB_ASSIGN_OR_RETURN(const int folder_fd, OpenFolder(folder));
  absl::Status status = Rename();
  if (status.ok()) status = SyncFolder(folder_fd, folder);
  close(folder_fd);
  return status;
}

absl::Status AtomicFile::Rename() {
  if (fsync(fd_) != 0) return Error("cannot sync");
  MB_RETURN_IF_ERROR(Close());
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    return Error("cannot rename a temporary file to");
  }
  temporary_.clear();
  return absl::OkStatus();
}

absl::Status AtomicFile::Close() {
  if (close(std::exchange(fd_, -1)) != 0) return Error("cannot close");
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path,
                                 const std::string& content) {
  MB_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  MB_RETURN_IF_ERROR(file.Append(content.data(), content.size()));
  return file.Commit();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SystemError("cannot read", path);
  std::string content;
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const absl::Status status = SystemError("cannot read", path);
      close(fd);
      return status;
    }
    if (count == 0) break;
    content.append(buffer, count);
  }
  close(fd);
  return content;
}

}  // namespace modelbatch
