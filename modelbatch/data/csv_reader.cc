#include "modelbatch/data/csv_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// What a message quotes of a field.
std::string Shown(std::string_view field) {
  constexpr size_t kMost = 40;
  std::string text(field.substr(0, kMost));
  if (field.size() > kMost) text += "...";
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text), "\"");
}

bool IsNumber(std::string_view text) {
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return stop == end && error != std::errc::invalid_argument;
}

class CsvParser {
 public:
  CsvParser(const std::string& file, const CsvOptions& options)
      : file_(file), options_(options) {}

  absl::StatusOr<DataTable> Parse(std::string_view text) {
    if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // BOM
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      ++line_;
      if (Trim(line).empty()) continue;
      MB_RETURN_IF_ERROR(ParseLine(line));
    }
    return Finish();
  }

 private:
  absl::Status Error(const std::string& message) const {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", line_, ": ", message));
  }

  absl::Status ColumnError(size_t column, const std::string& message) const {
    return Error(absl::StrCat("column ", column + 1, ": ", message));
  }

  absl::Status ParseLine(std::string_view line) {
    MB_RETURN_IF_ERROR(SplitFields(line));
    if (columns_ == 0) {
      columns_ = fields_.size();
      if (options_.header) {
        names_ = fields_;
        return ResolveLabels();
      }
      MB_RETURN_IF_ERROR(ResolveLabels());
    }
    if (fields_.size() != columns_) {
      return Error(absl::StrCat("the row has ", fields_.size(),
                                " columns, expected ", columns_,
                                " as in the first one"));
    }
    if (static_cast<int64_t>(lines_.size()) == kMaxRows) {
      return Error(absl::StrCat("more than ", kMaxRows, " rows"));
    }
    return AddRow();
  }

  absl::Status SplitFields(std::string_view line) {
    fields_.clear();
    size_t i = 0;
    while (true) {
      while (i < line.size() && (line[i] == ' ' || line[i] == '\t')) ++i;
      if (i < line.size() && line[i] == '"') {
        MB_RETURN_IF_ERROR(QuotedField(line, &i));
      } else {
        const size_t end = std::min(line.find(',', i), line.size());
        fields_.emplace_back(Trim(line.substr(i, end - i)));
        i = end;
      }
      if (i >= line.size()) return absl::OkStatus();
      ++i;  // the comma
    }
  }

  // From the opening quote to the comma or the line's end.
  absl::Status QuotedField(std::string_view line, size_t* i) {
    std::string field;
    size_t at = *i + 1;
    while (true) {
      const size_t quote = line.find('"', at);
      if (quote == std::string_view::npos) {
        return ColumnError(fields_.size(), "a quote is not closed on its line");
      }
      field.append(line.substr(at, quote - at));
      at = quote + 1;
      if (at >= line.size() || line[at] != '"') break;
      field.push_back('"');
      ++at;
    }
    const size_t end = std::min(line.find(',', at), line.size());
    if (!Trim(line.substr(at, end - at)).empty()) {
      return ColumnError(fields_.size(), "text after a closing quote");
    }
    fields_.push_back(std::move(field));
    *i = end;
    return absl::OkStatus();
  }

  // Which columns hold the labels, once the width is known.
  absl::Status ResolveLabels() {
    const int64_t columns = static_cast<int64_t>(columns_);
    is_label_.assign(columns_, false);
    if (options_.features > 0) {
      MB_ASSIGN_OR_RETURN(const bool labelled, HasLabels());
      if (!labelled) return absl::OkStatus();
    }
    for (const ColumnRef& ref : options_.label) {
      int64_t column = ref.index < 0 ? ref.index + columns : ref.index;
      if (!ref.name.empty()) {
        const auto it = std::find(names_.begin(), names_.end(), ref.name);
        if (it == names_.end()) {
          return Error(absl::StrCat("no column is named \"", ref.name, "\"",
                                    SuggestName(ref.name, names_)));
        }
        column = it - names_.begin();
        const auto next = std::find(it + 1, names_.end(), ref.name);
        if (next != names_.end()) {
          return Error(absl::StrCat("columns ", column + 1, " and ",
                                    next - names_.begin() + 1, " are named \"",
                                    ref.name, "\", expected one of the name"));
        }
      }
      if (column < 0 || column >= columns) {
        return Error(absl::StrCat("there is no column with index ", ref.index,
                                  " for the label: the row has ", columns,
                                  " columns"));
      }
      if (is_label_[column]) {
        return Error(
            absl::StrCat("column ", column + 1, " is a label more than once"));
      }
      is_label_[column] = true;
      labels_.push_back(column);
    }
    if (labels_.size() >= columns_) {
      return Error(absl::StrCat(
          "the row has ", columns, columns == 1 ? " column" : " columns",
          ", expected at least one beside the label", SeparatorHint()));
    }
    return absl::OkStatus();
  }

  // Of a first line that is a single field.
  std::string SeparatorHint() const {
    const size_t at = fields_[0].find_first_of(";\t|");
    if (columns_ != 1 || at == std::string::npos) return "";
    return absl::StrCat("; columns are separated by commas, found ",
                        Shown(fields_[0].substr(at, 1)));
  }

  // Of a first line whose fields are all text.
  std::string HeaderHint() const {
    const bool names = lines_.size() == 1 && !options_.header &&
                       std::none_of(fields_.begin(), fields_.end(), IsNumber);
    if (!names) return "";
    return options_.features > 0
               ? "; is it a header? The run's own data has none"
               : "; is it a header? Then say header = true";
  }

  // Where the number of features is known: whether the labels are there too.
  // The header tells, or without names in it the number of columns.
  absl::StatusOr<bool> HasLabels() const {
    const int64_t columns = static_cast<int64_t>(columns_);
    const int64_t features = options_.features;
    const int64_t labels = static_cast<int64_t>(options_.label.size());
    std::string found;
    std::string missing;
    for (const ColumnRef& ref : options_.label) {
      if (ref.name.empty()) continue;
      const bool there =
          std::find(names_.begin(), names_.end(), ref.name) != names_.end();
      (there ? found : missing) = ref.name;
    }
    if (!found.empty() && !missing.empty()) {
      return Error(absl::StrCat("there is the label \"", found, "\" but not \"",
                                missing, "\", expected all labels or none"));
    }
    if (columns == features + labels && missing.empty()) return true;
    if (columns == features && found.empty()) return false;
    std::string expected = absl::StrCat(features + labels, " with the label");
    if (labels > 1) absl::StrAppend(&expected, "s");
    if (found.empty()) expected = absl::StrCat(features, ", or ", expected);
    std::string hint;
    if (!missing.empty()) {
      hint = absl::StrCat("; no column is named \"", missing, "\"",
                          SuggestName(missing, names_));
    }
    return Error(absl::StrCat("the row has ", columns,
                              columns == 1 ? " column" : " columns",
                              ", expected ", expected, hint, SeparatorHint()));
  }

  absl::StatusOr<double> Number(size_t column) const {
    std::string_view text = fields_[column];
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') {
      text.remove_prefix(1);
    }
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (text.empty()) return ColumnError(column, "is empty, expected a number");
    if (stop != end || error == std::errc::invalid_argument) {
      return ColumnError(
          column, absl::StrCat(Shown(fields_[column]), " is not a number",
                               HeaderHint()));
    }
    // Too large or too small for a double; strtod tells which.
    if (error == std::errc::result_out_of_range) {
      value = std::strtod(std::string(text).c_str(), nullptr);
    }
    if (!std::isfinite(value)) {
      return ColumnError(column, absl::StrCat(Shown(fields_[column]),
                                              " is not a finite number"));
    }
    return value;
  }

  absl::StatusOr<float> Float(size_t column, double scale) const {
    MB_ASSIGN_OR_RETURN(const double value, Number(column));
    const float result = static_cast<float>(value * scale);
    if (!std::isfinite(result)) {
      return ColumnError(column, absl::StrCat(Shown(fields_[column]),
                                              " is too large for a float"));
    }
    return result;
  }

  absl::Status AddClass(size_t column) {
    MB_ASSIGN_OR_RETURN(const double value, Number(column));
    if (value != std::floor(value)) {
      return ColumnError(column, absl::StrCat("label ", Shown(fields_[column]),
                                              " is not an integer"));
    }
    const std::optional<int64_t>& ignored = options_.ignored_class;
    if (ignored && value == static_cast<double>(*ignored)) {
      classes_.push_back(*ignored);
      return absl::OkStatus();
    }
    if (value < 0 || value >= kMaxClasses) {
      return ColumnError(
          column,
          absl::StrCat("label ", Shown(fields_[column]),
                       " is out of range, expected 0 to ", kMaxClasses - 1));
    }
    classes_.push_back(static_cast<int64_t>(value));
    return absl::OkStatus();
  }

  absl::Status AddRow() {
    lines_.push_back(line_);
    for (size_t column = 0; column < columns_; ++column) {
      if (is_label_[column]) continue;
      MB_ASSIGN_OR_RETURN(const float value, Float(column, options_.scale));
      features_.push_back(value);
    }
    for (size_t column : labels_) {
      if (options_.classes) {
        MB_RETURN_IF_ERROR(AddClass(column));
      } else {
        MB_ASSIGN_OR_RETURN(const float value, Float(column, 1));
        values_.push_back(value);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<DataTable> Finish() {
    if (lines_.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_, ": has no rows of data"));
    }
    const int64_t rows = static_cast<int64_t>(lines_.size());
    const int64_t labels = static_cast<int64_t>(labels_.size());
    DataTable table;
    if (!labels_.empty()) {
      table.where = [file = file_, lines = std::move(lines_),
                     column = labels_[0] + 1](int64_t row) {
        return absl::StrCat(file, ":", lines[row], ": column ", column);
      };
    }
    table.features = Tensor::FromVector(
        features_, {rows, static_cast<int64_t>(columns_) - labels});
    for (size_t column = 0; column < names_.size(); ++column) {
      if (!is_label_[column]) table.feature_names.push_back(names_[column]);
    }
    if (labels == 0) return table;
    if (options_.classes) {
      table.ignored_class = options_.ignored_class;
      table.targets = Tensor::FromVector(classes_, {rows});
      table.num_classes = CountClasses(table);
    } else {
      table.targets = Tensor::FromVector(values_, {rows, labels});
    }
    return table;
  }

  const std::string& file_;
  const CsvOptions& options_;
  int64_t line_ = 0;
  size_t columns_ = 0;
  std::vector<std::string> fields_;  // of the current line
  std::vector<std::string> names_;   // of the header
  std::vector<bool> is_label_;
  std::vector<size_t> labels_;
  std::vector<int64_t> lines_;
  std::vector<float> features_;
  std::vector<int64_t> classes_;
  std::vector<float> values_;
};

}  // namespace

absl::StatusOr<DataTable> ParseCsv(const std::string& text,
                                   const std::string& file,
                                   const CsvOptions& options) {
  return CsvParser(file, options).Parse(text);
}

absl::StatusOr<DataTable> ReadCsv(const std::string& path,
                                  const CsvOptions& options) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, expected a CSV file"));
  }
  MB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseCsv(text, path, options);
}

}  // namespace modelbatch
