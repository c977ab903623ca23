// Where each value of a config came from, so that an error found much later
// still points at the line that caused it.
//
//   config.source.Error("optimizer.lr.max", "is below min");
//   // digits.toml:14:20: optimizer.lr.max: is below min
#ifndef MODELBATCH_CONFIG_CONFIG_SOURCE_H_
#define MODELBATCH_CONFIG_CONFIG_SOURCE_H_

#include <map>
#include <string>

#include "absl/status/status.h"

namespace modelbatch {

// Paths are keys joined by dots, with array indices in brackets:
// "model.layers[2].p".
class ConfigSource {
 public:
  ConfigSource() = default;
  explicit ConfigSource(std::string file) : file_(std::move(file)) {}

  const std::string& file() const { return file_; }

  void RecordPosition(const std::string& path, int line, int column);
  // A value that the command line gave: `option` is "--set optimizer.lr=0.1".
  void RecordOption(const std::string& path, const std::string& option);
  // Forgets what lies at and below `path`.
  void Forget(const std::string& path);

  // "digits.toml:14:20", or "--set optimizer.lr=0.1"; of the nearest enclosing
  // path that is known.
  std::string Where(const std::string& path) const;

  // InvalidArgument, or the code given: "<where>: <path>: <message>".
  absl::Status Error(
      const std::string& path, const std::string& message,
      absl::StatusCode code = absl::StatusCode::kInvalidArgument) const;

 private:
  std::string file_;
  std::map<std::string, std::string> where_;
};

// "model.layers[2].p" -> "model.layers[2]" -> "model.layers" -> "model" -> "".
std::string ParentPath(const std::string& path);

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_CONFIG_SOURCE_H_
