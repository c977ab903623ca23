// Writes numbers of many models, step by step, where other tools read them.
//
//   MB_ASSIGN_OR_RETURN(auto logger, OpenCsvLogger("metrics.csv", {"loss"}));
//   MB_RETURN_IF_ERROR(logger->Log({step, epoch, ids, {{"loss", losses}}}));
//   MB_RETURN_IF_ERROR(logger->Flush());
//
// csv.h, json_lines.h and tensorboard.h have the kinds.
//
// What is logged is kept in memory, a few MiB at most, until Flush. A process
// that is killed leaves whole lines and records, and perhaps a part of the last
// one, which readers pass over. Nothing is synced: with the machine's power
// more of the end may be lost.
//
// A run that resumes from a checkpoint of step S opens its logs with
// resume_step = S: what they have of later steps is cut off, as the run does
// these again.
#ifndef MODELBATCH_LOGGERS_METRICS_LOGGER_H_
#define MODELBATCH_LOGGERS_METRICS_LOGGER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {

// Some metrics of some models at one moment.
struct MetricsEntry {
  int64_t step = 0;                  // steps done; not below the entry before
  int64_t epoch = 1;                 // the one they are of, from 1
  absl::Span<const int64_t> models;  // ids, at least 0
  // Each with a value for each of `models`. Numbers that are not finite are
  // logged too; each kind says how.
  std::vector<Column> metrics;
};

class MetricsLogger {
 public:
  virtual ~MetricsLogger() = default;

  // InvalidArgument names what does not fit: a step below the last one, a
  // metric without a name or with another number of values, a negative id.
  absl::Status Log(const MetricsEntry& entry);

  // What makes the model what it is: numbers, strings and booleans by name,
  // before its first entry. Kinds that have no place for it pass over it.
  virtual absl::Status LogHyperParameters(int64_t model,
                                          const Attributes& values);

  // Everything that was logged is in the files, for other processes to read.
  virtual absl::Status Flush() = 0;

 protected:
  // Steps logged before, by a run that is resumed, end here.
  explicit MetricsLogger(int64_t last_step) : last_step_(last_step) {}

 private:
  virtual absl::Status Write(const MetricsEntry& entry) = 0;

  int64_t last_step_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_LOGGERS_METRICS_LOGGER_H_
