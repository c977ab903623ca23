// A workload as files, for peers in other languages: peers/workload.py reads
// them.
//
//   workload.json  everything but the numbers below
//   features       float32 [rows, input]
//   labels         int64 [rows]
//   initial        float32, the parameters of all models, one by one
//   rows           int32, the rows of all batches; of one batch all models'
#ifndef BENCHMARKS_COMPARE_WORKLOAD_FOLDER_H_
#define BENCHMARKS_COMPARE_WORKLOAD_FOLDER_H_

#include <string>

#include "absl/status/status.h"
#include "benchmarks/workload.h"

namespace modelbatch::benchmarks {

// Makes the folder.
absl::Status WriteWorkload(const std::string& folder, const Workload& workload);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_WORKLOAD_FOLDER_H_
