// Reads IDX, the format of MNIST (yann.lecun.com/exdb/mnist), plain or gzipped:
// two zero bytes, a byte of type, one of rank, the sizes and then the numbers,
// all big endian.
//
//   MB_ASSIGN_OR_RETURN(NumericArray images,
//                       ReadIdx("train-images-idx3-ubyte.gz"));
#ifndef MODELBATCH_DATA_IDX_READER_H_
#define MODELBATCH_DATA_IDX_READER_H_

#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/data/numeric_array.h"

namespace modelbatch {

// NotFound: no file. DataLoss: no IDX file, truncated, bytes too many.
absl::StatusOr<NumericArray> ReadIdx(const std::string& path);

// The same for bytes; `name` is for messages.
absl::StatusOr<NumericArray> ParseIdx(const std::string& bytes,
                                      const std::string& name);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_IDX_READER_H_
