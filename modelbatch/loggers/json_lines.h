// Metrics as JSON lines, an object a model and moment:
//
//   {"step":46,"epoch":1,"model":0,"train_loss":0.693,"validation_loss":0.681}
//
// Numbers that are not finite are null: JSON has none.
#ifndef MODELBATCH_LOGGERS_JSON_LINES_H_
#define MODELBATCH_LOGGERS_JSON_LINES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/loggers/metrics_logger.h"

namespace modelbatch {

// Without `resume_step` a new file: AlreadyExists when there is one. DataLoss
// names a line in the middle of a file to resume that is none.
absl::StatusOr<std::unique_ptr<MetricsLogger>> OpenJsonLinesLogger(
    const std::string& path, std::optional<int64_t> resume_step = std::nullopt);

}  // namespace modelbatch

#endif  // MODELBATCH_LOGGERS_JSON_LINES_H_
