// Folders made durable: without this a rename may be lost with the machine's
// power.
#ifndef MODELBATCH_IO_SYNC_FOLDER_H_
#define MODELBATCH_IO_SYNC_FOLDER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace modelbatch {

// Of the file at this path.
std::string FolderOf(const std::string& path);

// A descriptor, which is the caller's to close. Errors name the folder.
absl::StatusOr<int> OpenFolder(const std::string& folder);

// `fd` is from OpenFolder; `folder` is for messages.
absl::Status SyncFolder(int fd, const std::string& folder);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_SYNC_FOLDER_H_
