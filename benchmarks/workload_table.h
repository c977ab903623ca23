// The workloads that the benchmarks train: the table that all programs share.
// A workload is one entry of it (workload_table.cc).
#ifndef BENCHMARKS_WORKLOAD_TABLE_H_
#define BENCHMARKS_WORKLOAD_TABLE_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "modelbatch/model/model_spec.h"

namespace modelbatch::benchmarks {

struct WorkloadEntry {
  std::string name;              // "mlp_small"
  std::string networks;          // for people: "64-128-10"
  Shape input;                   // of one row
  int64_t classes;               // targets of the cross-entropy
  int64_t max_rows;              // most rows of a model in a step
  std::vector<int> populations;  // numbers of models that are measured
  // One model; whatever differs between models is drawn from `random`.
  ModelSpec (*spec)(std::mt19937& random);
  // Rows of one model in a step, drawn once. Null: all models see the same
  // max_rows rows; else each has its own.
  int64_t (*rows)(std::mt19937& random) = nullptr;
  // For a GPU: only programs that are asked for it run it.
  bool large = false;
};

const std::vector<WorkloadEntry>& WorkloadTable();

// Another name ends the program with the names there are.
const WorkloadEntry& FindWorkload(const std::string& name);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_WORKLOAD_TABLE_H_
