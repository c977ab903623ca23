// Rows of text in aligned columns.
//
//   TextTable table({"rank", "model"});
//   table.AddRow({"1", "17"});
//   std::cout << table.ToString();
#ifndef MODELBATCH_CLI_TEXT_TABLE_H_
#define MODELBATCH_CLI_TEXT_TABLE_H_

#include <string>
#include <vector>

namespace modelbatch {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header);

  // As many cells as the header has; a row without any is a gap ("...").
  void AddRow(std::vector<std::string> cells);

  // Cells are aligned to the right, two spaces between; each line begins with
  // two spaces and ends with a newline.
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_TEXT_TABLE_H_
