// A log of lines that begin with their step: what CSV and JSON lines share.
// Private to loggers/.
#ifndef MODELBATCH_LOGGERS_LINE_FILE_H_
#define MODELBATCH_LOGGERS_LINE_FILE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace modelbatch {

class LineFile {
 public:
  // The step that a line is of; none: it is no line of such a log.
  using StepOf = std::function<std::optional<int64_t>(std::string_view line)>;

  // `header`, empty or a line with its newline, is what the file begins with.
  // Without `resume_step` a new file; AlreadyExists when there is one. With it
  // a file that is there is cut behind its last whole line of a step up to
  // resume_step. FailedPrecondition: it has another header; DataLoss names a
  // line in its middle that is none.
  static absl::StatusOr<LineFile> Open(const std::string& path,
                                       const std::string& header,
                                       std::optional<int64_t> resume_step,
                                       const StepOf& step_of);

  LineFile(LineFile&& other) noexcept
      : path_(std::move(other.path_)),
        buffer_(std::exchange(other.buffer_, {})) {}
  LineFile& operator=(LineFile&&) = delete;
  // Writes what is left; an error is logged.
  ~LineFile();

  const std::string& path() const { return path_; }
  // With its newline. Written by Flush, or when there is much.
  absl::Status Add(std::string_view lines);
  absl::Status Flush();

 private:
  explicit LineFile(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::string buffer_;
};

// The decimal number that `text` begins with, and what follows it.
std::optional<int64_t> TakeNumber(std::string_view* text);

// The shortest text that reads back as the same double; "nan", "inf", "-inf".
void AppendNumber(double value, std::string* out);

}  // namespace modelbatch

#endif  // MODELBATCH_LOGGERS_LINE_FILE_H_
