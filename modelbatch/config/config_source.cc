#include "modelbatch/config/config_source.h"

#include "absl/strings/str_cat.h"

namespace modelbatch {
namespace {

bool IsAtOrBelow(const std::string& path, const std::string& root) {
  if (path.compare(0, root.size(), root) != 0) return false;
  return path.size() == root.size() || path[root.size()] == '.' ||
         path[root.size()] == '[';
}

}  // namespace

std::string ParentPath(const std::string& path) {
  const size_t end = path.find_last_of(".[");
  return end == std::string::npos ? "" : path.substr(0, end);
}

void ConfigSource::RecordPosition(const std::string& path, int line,
                                  int column) {
  where_[path] = absl::StrCat(file_, ":", line, ":", column);
}

void ConfigSource::RecordOption(const std::string& path,
                                const std::string& option) {
  where_[path] = option;
}

void ConfigSource::Forget(const std::string& path) {
  for (auto it = where_.begin(); it != where_.end();) {
    it = IsAtOrBelow(it->first, path) ? where_.erase(it) : std::next(it);
  }
}

std::string ConfigSource::Where(const std::string& path) const {
  for (std::string at = path; !at.empty(); at = ParentPath(at)) {
    const auto it = where_.find(at);
    if (it != where_.end()) return it->second;
  }
  return absl::StrCat(file_, ":1:1");
}

absl::Status ConfigSource::Error(const std::string& path,
                                 const std::string& message,
                                 absl::StatusCode code) const {
  return absl::Status(
      code, path.empty()
                ? absl::StrCat(Where(path), ": ", message)
                : absl::StrCat(Where(path), ": ", path, ": ", message));
}

}  // namespace modelbatch
