// Files that grow while somebody reads them: logs.
//
//   MB_RETURN_IF_ERROR(CreateFile(path, "step,loss\n"));
//   MB_RETURN_IF_ERROR(AppendToFile(path, "1,0.5\n2,0.25\n"));
//
// A piece is written with one system call where the disk takes it so, and taken
// back where it does not take the whole: only a process killed in the middle of
// it, or a machine that loses its power, leaves a part. Nothing is synced.
// Errors name the path and the reason.
#ifndef MODELBATCH_IO_APPEND_FILE_H_
#define MODELBATCH_IO_APPEND_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace modelbatch {

// A new file. AlreadyExists when there is one.
absl::Status CreateFile(const std::string& path, std::string_view bytes);

// At its end; it is made where it is not there.
absl::Status AppendToFile(const std::string& path, std::string_view bytes);

// Keeps the first `size` bytes of a file that has at least as many.
absl::Status TruncateFile(const std::string& path, int64_t size);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_APPEND_FILE_H_
