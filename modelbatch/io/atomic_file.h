// Files that are either the old one or the whole new one, whenever the process
// or the machine stops.
//
//   MB_RETURN_IF_ERROR(WriteFileAtomically("run/summary.json", text));
//
// Written beside the target under a temporary name, synced, renamed over it,
// and the folder synced. Of many files: atomic_files.h.
#ifndef MODELBATCH_IO_ATOMIC_FILE_H_
#define MODELBATCH_IO_ATOMIC_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace modelbatch {

class AtomicFile {
 public:
  // Errors name the path and the reason.
  static absl::StatusOr<AtomicFile> Create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  // Removes the temporary file unless `Commit` succeeded.
  ~AtomicFile();

  absl::Status Append(const void* data, size_t size);
  // Once, at the end.
  absl::Status Commit();

 private:
  friend class AtomicFiles;

  AtomicFile(std::string path, std::string temporary, int fd);
  absl::Status Error(const std::string& what) const;
  absl::Status Rename();
  absl::Status Close();

  std::string path_;
  std::string temporary_;  // empty: nothing to remove
  int fd_ = -1;
};

absl::Status WriteFileAtomically(const std::string& path,
                                 const std::string& content);

// The whole of a file. NotFound when it is not there.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_ATOMIC_FILE_H_
