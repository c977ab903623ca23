#include "modelbatch/io/atomic_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/io/sync_folder.h"
#include "modelbatch/io/system_error.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Up to so many are synced one by one: syncfs also waits for what others have
// written to the file system.
constexpr size_t kFewFiles = 4;

absl::Status SyncFile(const std::string& temporary, const std::string& path) {
  const int fd = open(temporary.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SystemError("cannot open the temporary file of", path);
  absl::Status status;
  if (fsync(fd) != 0) status = SystemError("cannot sync", path);
  close(fd);
  return status;
}

}  // namespace

AtomicFiles::AtomicFiles(std::string folder, int fd)
    : folder_(std::move(folder)), fd_(fd) {}

AtomicFiles::AtomicFiles(AtomicFiles&& other) noexcept
    : folder_(std::move(other.folder_)),
      fd_(std::exchange(other.fd_, -1)),
      files_(std::exchange(other.files_, {})) {}

AtomicFiles::~AtomicFiles() {
  for (const File& file : files_) unlink(file.temporary.c_str());
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<AtomicFiles> AtomicFiles::Create(const std::string& folder) {
  // Before the first file: syncfs tells of errors since its descriptor was
  // opened (since Linux 5.8).
  MB_ASSIGN_OR_RETURN(const int fd, OpenFolder(folder));
  return AtomicFiles(folder, fd);
}

absl::Status AtomicFiles::Add(AtomicFile file) {
  if (FolderOf(file.path_) != folder_) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path_, ": expected a file of ", folder_));
  }
  MB_RETURN_IF_ERROR(file.Close());
  files_.push_back({file.path_, std::exchange(file.temporary_, {})});
  return absl::OkStatus();
}

absl::Status AtomicFiles::Commit() {
  if (files_.empty()) return absl::OkStatus();
  MB_RETURN_IF_ERROR(Sync());
  std::vector<std::string> made;
  absl::Status status = Rename(&made);
  if (status.ok()) status = SyncFolder(fd_, folder_);
  if (!status.ok()) {
    for (const std::string& path : made) unlink(path.c_str());
  }
  return status;
}

absl::Status AtomicFiles::Sync() const {
  if (files_.size() > kFewFiles && syncfs(fd_) == 0) return absl::OkStatus();
  // Where that failed, be it because of another's file, this names the file.
  for (const File& file : files_) {
    MB_RETURN_IF_ERROR(SyncFile(file.temporary, file.path));
  }
  return absl::OkStatus();
}

absl::Status AtomicFiles::Rename(std::vector<std::string>* made) {
  for (; !files_.empty(); files_.pop_back()) {
    const auto& [path, temporary] = files_.back();
    const bool is_new = access(path.c_str(), F_OK) != 0;
    if (rename(temporary.c_str(), path.c_str()) != 0) {
      return SystemError("cannot rename a temporary file to", path);
    }
    if (is_new) made->push_back(path);
  }
  return absl::OkStatus();
}

absl::Status Commit(AtomicFile file, AtomicFiles* files) {
  return files == nullptr ? file.Commit() : files->Add(std::move(file));
}

}  // namespace modelbatch
