#include "modelbatch/io/csv_records.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

class Parser {
 public:
  Parser(const std::string& text, const std::string& file)
      : text_(text), file_(file) {}

  absl::StatusOr<std::vector<CsvRecord>> Parse() {
    std::vector<CsvRecord> records;
    while (at_ < text_.size()) {
      CsvRecord record;
      record.line = line_;
      MB_RETURN_IF_ERROR(ReadRecord(&record.fields));
      if (!records.empty() &&
          record.fields.size() != records[0].fields.size()) {
        return Error(record.line,
                     absl::StrCat("the row has ", record.fields.size(),
                                  " fields, expected ",
                                  records[0].fields.size(), " as the header"));
      }
      records.push_back(std::move(record));
    }
    if (records.empty()) return Error(1, "is empty, expected a header");
    return records;
  }

 private:
  absl::Status Error(int64_t line, const std::string& message) const {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", line, ": ", message));
  }

  // Up to and with the end of the line.
  absl::Status ReadRecord(std::vector<std::string>* fields) {
    const int64_t first_line = line_;
    for (;;) {
      fields->emplace_back();
      if (at_ < text_.size() && text_[at_] == '"') {
        MB_RETURN_IF_ERROR(ReadQuoted(first_line, &fields->back()));
      } else {
        const size_t end =
            std::min(text_.find_first_of(",\r\n", at_), text_.size());
        fields->back() = text_.substr(at_, end - at_);
        at_ = end;
      }
      if (at_ < text_.size() && text_[at_] == ',') {
        ++at_;
        continue;
      }
      if (text_.compare(at_, 2, "\r\n") == 0) ++at_;
      if (at_ == text_.size()) return Error(first_line, "the line is cut off");
      if (text_[at_] != '\n') {
        return Error(line_, "text after a closing quote, or a bare CR");
      }
      ++at_;
      ++line_;
      return absl::OkStatus();
    }
  }

  absl::Status ReadQuoted(int64_t first_line, std::string* field) {
    for (++at_;; ++at_) {
      const size_t quote = text_.find('"', at_);
      if (quote == std::string::npos) {
        return Error(first_line, "a quote is not closed");
      }
      field->append(text_, at_, quote - at_);
      at_ = quote + 1;
      if (at_ == text_.size() || text_[at_] != '"') break;
      field->push_back('"');
    }
    line_ += std::count(field->begin(), field->end(), '\n');
    return absl::OkStatus();
  }

  const std::string& text_;
  const std::string& file_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<CsvRecord>> ParseCsvRecords(
    const std::string& text, const std::string& file) {
  return Parser(text, file).Parse();
}

}  // namespace modelbatch
