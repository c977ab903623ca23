#include "modelbatch/cli/output_file.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace modelbatch {

namespace fs = std::filesystem;

absl::Status CheckOutputFile(const std::string& path, std::string_view begins,
                             std::string_view kind) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--output ", path, " is a folder, expected a file"));
  }
  if (!fs::is_regular_file(path, error)) return absl::OkStatus();
  std::string found(begins.size(), '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(found.data(), static_cast<std::streamsize>(found.size()));
  if (file.gcount() == 0 || found == begins) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat("--output ", path, " is there already, and is no ",
                   std::string(kind), ": expected another name"));
}

}  // namespace modelbatch
