#include "modelbatch/io/sync_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "modelbatch/io/system_error.h"

namespace modelbatch {

std::string FolderOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<int> OpenFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError("cannot open", folder);
  return fd;
}

absl::Status SyncFolder(int fd, const std::string& folder) {
  // Some file systems have no folders to sync.
  if (fsync(fd) != 0 && errno != EINVAL) {
    return SystemError("cannot sync", folder);
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
