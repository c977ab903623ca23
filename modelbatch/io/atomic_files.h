// Many files of one folder that appear together, made durable at once: a sync
// for each is most of the time that thousands of small files take.
//
//   MB_ASSIGN_OR_RETURN(AtomicFiles files, AtomicFiles::Create("run/models"));
//   for (...) MB_RETURN_IF_ERROR(WriteSafetensors(path, ..., &files));
//   MB_RETURN_IF_ERROR(files.Commit());
//
// Each is written under a temporary name (atomic_file.h) and closed; then all
// are synced, renamed, and the folder synced. Whenever the process or the
// machine stops, each is either the old file or the whole new one.
#ifndef MODELBATCH_IO_ATOMIC_FILES_H_
#define MODELBATCH_IO_ATOMIC_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/io/atomic_file.h"

namespace modelbatch {

class AtomicFiles {
 public:
  // `folder` must be there. Errors name it.
  static absl::StatusOr<AtomicFiles> Create(const std::string& folder);

  AtomicFiles(AtomicFiles&& other) noexcept;
  AtomicFiles& operator=(AtomicFiles&&) = delete;
  // Removes the temporary files of a batch that was not committed.
  ~AtomicFiles();

  // A file that is written to its end. InvalidArgument: of another folder.
  absl::Status Add(AtomicFile file);
  // Once, at the end. Errors name the file; those that are new are then removed
  // again, those that replace others may have done so.
  absl::Status Commit();

 private:
  struct File {
    std::string path;
    std::string temporary;
  };

  AtomicFiles(std::string folder, int fd);
  absl::Status Sync() const;
  // Those that were not there before are added to `made`.
  absl::Status Rename(std::vector<std::string>* made);

  std::string folder_;
  int fd_ = -1;              // of the folder
  std::vector<File> files_;  // with temporary files
};

// Ends the writing of `file`: with `files` it appears when they are committed,
// with null at once.
absl::Status Commit(AtomicFile file, AtomicFiles* files);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_ATOMIC_FILES_H_
