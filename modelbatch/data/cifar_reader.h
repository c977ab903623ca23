// Reads the binary version of CIFAR-10 and CIFAR-100
// (www.cs.toronto.edu/~kriz/cifar.html): records of one label (CIFAR-100: a
// coarse and a fine one) and 3 x 32 x 32 bytes, the planes red, green and blue.
//
//   MB_ASSIGN_OR_RETURN(
//       DataTable table,
//       ReadCifar({"data_batch_1.bin", "data_batch_2.bin"}, {}));
#ifndef MODELBATCH_DATA_CIFAR_READER_H_
#define MODELBATCH_DATA_CIFAR_READER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/data/data_table.h"

namespace modelbatch {

enum class CifarLabels { kCifar10, kCifar100Coarse, kCifar100Fine };

struct CifarOptions {
  CifarLabels labels = CifarLabels::kCifar10;
  double scale = 1;  // features are multiplied by it
};

// Features [rows, 3, 32, 32] in the order of the files, targets int64.
// NotFound: no file. DataLoss: a file whose size is no number of records.
// InvalidArgument names file, record (from 0) and byte of a label that is out
// of range.
absl::StatusOr<DataTable> ReadCifar(const std::vector<std::string>& paths,
                                    const CifarOptions& options);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_CIFAR_READER_H_
