// Comma-separated text as fields, as RFC 4180 has it: a field in double quotes
// may hold commas, quotes ("" is one) and ends of lines. For files that a
// program wrote; //modelbatch/data:csv_reader reads people's numbers.
//
//   MB_ASSIGN_OR_RETURN(std::vector<CsvRecord> records,
//                       ParseCsvRecords(text, "run/results.csv"));
#ifndef MODELBATCH_IO_CSV_RECORDS_H_
#define MODELBATCH_IO_CSV_RECORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace modelbatch {

struct CsvRecord {
  int64_t line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
};

// The first is the header, whose number of fields all others have. `file` is
// for messages. InvalidArgument names file and line: no header, a row of
// another width, a quote that is not closed, a last line without an end, which
// was cut off.
absl::StatusOr<std::vector<CsvRecord>> ParseCsvRecords(const std::string& text,
                                                       const std::string& file);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_CSV_RECORDS_H_
