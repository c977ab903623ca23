// Metrics as event files of TensorBoard, a run a model:
//
//   FOLDER/model_<id>/events.out.tfevents.modelbatch
//
//   tensorboard --logdir FOLDER
//
// A metric's name is its tag. With a run a model a chart shows one metric of
// all models, the runs' filter takes regular expressions ("model_(3|17)$"), and
// the HParams page compares the models by their hyper-parameters: a table of
// one line a model, parallel coordinates, scatter plots. Tags such as
// "loss/model_3" in one run would give a chart of a single line for each model
// and metric, and no HParams. Folders are written one after another and none is
// kept open, so that thousands of models need no more than one file at a time.
//
// Values are float32, TensorBoard's type for them; a number that is not finite
// stays what it is.
#ifndef MODELBATCH_LOGGERS_TENSORBOARD_H_
#define MODELBATCH_LOGGERS_TENSORBOARD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "modelbatch/loggers/metrics_logger.h"

namespace modelbatch {

// Makes the folder. Without `resume_step` AlreadyExists when it has models of
// another run. With it, models that begin later are removed. DataLoss names a
// damaged file to resume.
absl::StatusOr<std::unique_ptr<MetricsLogger>> OpenTensorBoardLogger(
    const std::string& folder,
    std::optional<int64_t> resume_step = std::nullopt);

}  // namespace modelbatch

#endif  // MODELBATCH_LOGGERS_TENSORBOARD_H_
