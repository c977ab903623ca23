// A lock that one process holds, and that is gone with it, however it ends.
//
//   MB_ASSIGN_OR_RETURN(std::unique_ptr<FileLock> lock,
//                       FileLock::Acquire("runs/digits-1/lock"));
//
// flock(2) of a file, which stays when the lock is let go. It keeps out other
// holders of the lock, nobody else.
#ifndef MODELBATCH_IO_FILE_LOCK_H_
#define MODELBATCH_IO_FILE_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace modelbatch {

class FileLock {
 public:
  // Makes the file where there is none; does not wait. FailedPrecondition:
  // another holds it, also in this process; says which process and host.
  // Others: the file cannot be made. Where the file system has no locks a
  // warning is logged, and nobody is kept out.
  static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(
      const std::string& path);

  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_IO_FILE_LOCK_H_
