// Reads numbers from comma-separated text.
//
//   CsvOptions options;           // the last column is the class
//   MB_ASSIGN_OR_RETURN(DataTable table, ReadCsv("digits.csv", options));
//
// One row a line (LF or CRLF, the last one may lack it); blank lines and blanks
// around a number are skipped; a field may stand in double quotes ("" is a
// quote), but does not span lines. An error names file, line and column, both
// counted from 1.
#ifndef MODELBATCH_DATA_CSV_READER_H_
#define MODELBATCH_DATA_CSV_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/data/column_ref.h"
#include "modelbatch/data/data_table.h"

namespace modelbatch {

struct CsvOptions {
  bool header = false;  // the first line has names
  std::vector<ColumnRef> label = {ColumnRef{-1, ""}};
  bool classes = true;  // labels are class indices from 0
  // This label is taken as well, whatever it is.
  std::optional<int64_t> ignored_class = {};
  double scale = 1;  // features are multiplied by it
  // How many features a row must have; the labels may then be missing, all of
  // them. 0: as many as there are beside the labels.
  int64_t features = 0;
};

// NotFound when the file can not be read; InvalidArgument for what is in it:
// a ragged row, what is no finite number, a label that is no class index, no
// rows at all.
absl::StatusOr<DataTable> ReadCsv(const std::string& path,
                                  const CsvOptions& options);

// The same for text; `file` is for messages.
absl::StatusOr<DataTable> ParseCsv(const std::string& text,
                                   const std::string& file,
                                   const CsvOptions& options);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_CSV_READER_H_
