// Weights of a run's models as files for others to read.
//
//   MB_RETURN_IF_ERROR(ExportWeights(run, {run.usable[0]},
//                                    WeightFormat::kPyTorch, "weights"));
#ifndef MODELBATCH_TRAIN_EXPORT_WEIGHTS_H_
#define MODELBATCH_TRAIN_EXPORT_WEIGHTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/train/trained_run.h"

namespace modelbatch {

enum class WeightFormat { kPyTorch, kSafetensors };

// model_<id>.pt (a state_dict, for torch.load(file, weights_only=True)) or
// model_<id>.safetensors in `folder`, which is made: the weights of the best
// epochs of the models at these indices, the parameters in the model's order.
// All files appear, each whole, or none with an error. Before anything is
// written: AlreadyExists names a file that is there, FailedPrecondition a model
// without a best epoch.
absl::Status ExportWeights(const TrainedRun& run,
                           const std::vector<int>& models, WeightFormat format,
                           const std::string& folder);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_EXPORT_WEIGHTS_H_
