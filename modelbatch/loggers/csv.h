// Metrics as CSV, a line a model and moment:
//
//   step,epoch,model,train_loss,validation_loss
//   46,1,0,0.693,0.681
//
// A metric that an entry lacks is left empty; numbers that are not finite are
// nan, inf and -inf, as pandas and Python read them.
#ifndef MODELBATCH_LOGGERS_CSV_H_
#define MODELBATCH_LOGGERS_CSV_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/loggers/metrics_logger.h"

namespace modelbatch {

// `metrics`: the columns after step, epoch and model; others cannot be logged.
// Without `resume_step` a new file: AlreadyExists when there is one.
// InvalidArgument names a column with a comma or a quote; FailedPrecondition a
// file to resume that has other columns; DataLoss a line in its middle that is
// none.
absl::StatusOr<std::unique_ptr<MetricsLogger>> OpenCsvLogger(
    const std::string& path, std::vector<std::string> metrics,
    std::optional<int64_t> resume_step = std::nullopt);

}  // namespace modelbatch

#endif  // MODELBATCH_LOGGERS_CSV_H_
