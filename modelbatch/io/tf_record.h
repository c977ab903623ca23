// TensorFlow's record files, as TensorBoard reads them: each record is
//
//   uint64 length, uint32 masked CRC-32C of the length,
//   the bytes,     uint32 masked CRC-32C of the bytes
//
// little-endian, one after another (tensorflow/core/lib/io/record_writer.h).
#ifndef MODELBATCH_IO_TF_RECORD_H_
#define MODELBATCH_IO_TF_RECORD_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace modelbatch {

void AppendTfRecord(std::string_view bytes, std::string* file);

// Reads the records of a file that is in memory, which must outlive it.
class TfRecordReader {
 public:
  explicit TfRecordReader(std::string_view file) : file_(file) {}

  // Puts the next record in `record`; false at the end, and at a record that
  // the end of the file cuts. DataLoss when a checksum is wrong.
  absl::StatusOr<bool> Next(std::string_view* record);
  // Where the next record begins: behind the last that was read.
  size_t offset() const { return offset_; }

 private:
  std::string_view file_;
  size_t offset_ = 0;
};

}  // namespace modelbatch

#endif  // MODELBATCH_IO_TF_RECORD_H_
