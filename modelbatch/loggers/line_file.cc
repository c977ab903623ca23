#include "modelbatch/loggers/line_file.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/io/append_file.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr size_t kMostBuffered = size_t{1} << 20;

// How much of a file is kept: whole lines up to a step. -1: not even the
// header.
absl::StatusOr<int64_t> KeptBytes(const std::string& path,
                                  const std::string& header, int64_t last_step,
                                  const LineFile::StepOf& step_of) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::InvalidArgumentError("cannot read " + path);
  std::string line;
  int64_t kept = 0, number = 1;
  // A line that the end of the file cuts is none.
  const auto next = [&] { return std::getline(in, line) && !in.eof(); };
  if (!header.empty()) {
    if (!next()) return -1;
    if (line + "\n" != header) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": begins with \"", line, "\", expected \"",
                       header.substr(0, header.size() - 1), "\""));
    }
    kept = static_cast<int64_t>(header.size());
    ++number;
  }
  for (; next(); ++number) {
    const std::optional<int64_t> step = step_of(line);
    if (!step.has_value()) {
      return absl::DataLossError(
          absl::StrCat(path, ":", number, ": is \"", line.substr(0, 80),
                       "\", expected a line of metrics"));
    }
    if (*step > last_step) break;
    kept += static_cast<int64_t>(line.size()) + 1;
  }
  return kept;
}

}  // namespace

absl::StatusOr<LineFile> LineFile::Open(const std::string& path,
                                        const std::string& header,
                                        std::optional<int64_t> resume_step,
                                        const StepOf& step_of) {
  std::error_code error;
  if (!resume_step.has_value() || !std::filesystem::exists(path, error)) {
    MB_RETURN_IF_ERROR(CreateFile(path, header));
    return LineFile(path);
  }
  MB_ASSIGN_OR_RETURN(const int64_t kept,
                      KeptBytes(path, header, *resume_step, step_of));
  MB_RETURN_IF_ERROR(TruncateFile(path, std::max<int64_t>(kept, 0)));
  if (kept < 0) MB_RETURN_IF_ERROR(AppendToFile(path, header));
  return LineFile(path);
}

LineFile::~LineFile() {
  const absl::Status status = Flush();
  if (!status.ok()) {
    Log(LogSeverity::kError,
        absl::StrCat("metrics are lost: ", status.message()));
  }
}

absl::Status LineFile::Add(std::string_view lines) {
  buffer_.append(lines);
  return buffer_.size() < kMostBuffered ? absl::OkStatus() : Flush();
}

absl::Status LineFile::Flush() {
  if (buffer_.empty()) return absl::OkStatus();
  MB_RETURN_IF_ERROR(AppendToFile(path_, buffer_));
  buffer_.clear();
  return absl::OkStatus();
}

std::optional<int64_t> TakeNumber(std::string_view* text) {
  int64_t number = 0;
  const auto [end, error] =
      std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc()) return std::nullopt;
  text->remove_prefix(end - text->data());
  return number;
}

void AppendNumber(double value, std::string* out) {
  if (value != value) {  // whatever its sign
    out->append("nan");
    return;
  }
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  out->append(buffer, end);
}

}  // namespace modelbatch
