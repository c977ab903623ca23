#include "modelbatch/cli/text_table.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

namespace modelbatch {

TextTable::TextTable(std::vector<std::string> header) {
  rows_.push_back(std::move(header));
}

void TextTable::AddRow(std::vector<std::string> cells) {
  rows_.push_back(std::move(cells));
}

std::string TextTable::ToString() const {
  std::vector<size_t> widths(rows_[0].size(), 0);
  for (const std::vector<std::string>& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows_) {
    if (row.empty()) {
      absl::StrAppend(&out, "  ", std::string(widths[0] - 1, ' '), "...\n");
      continue;
    }
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&out, "  ", std::string(widths[i] - row[i].size(), ' '),
                      row[i]);
    }
    out.push_back('\n');
  }
  return out;
}

}  // namespace modelbatch
