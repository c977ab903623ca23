// A run as it is used afterwards: its models with the weights of their best
// epochs. The data that it was trained on may be gone.
//
//   MB_ASSIGN_OR_RETURN(RunFolder folder, RunFolder::Open("runs/digits-1"));
//   MB_ASSIGN_OR_RETURN(ExperimentConfig config,
//                       LoadExperiment(folder.config()));
//   MB_ASSIGN_OR_RETURN(TrainedRun run, LoadTrainedRun(folder, config));
//   MB_ASSIGN_OR_RETURN(DataTable data, ReadNewRows(run, {{"new.csv"}}));
//   MB_ASSIGN_OR_RETURN(auto predictor, Predictor::Create(run, run.usable[0],
//                                                         data, backend));
//   MB_RETURN_IF_ERROR(predictor->Predict(0, data.rows(), &outputs));
#ifndef MODELBATCH_TRAIN_TRAINED_RUN_H_
#define MODELBATCH_TRAIN_TRAINED_RUN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/batch/model_batch.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/data/data_table.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/train_state.h"

namespace modelbatch {

struct TrainedRun {
  Experiment experiment;  // without data and rows
  TrainState state;
  // Of the data's header, where it has one.
  std::vector<std::string> feature_names;
  // Indices of the models that have a best epoch, the best first (Ranking). At
  // least one; frozen ones are among them.
  std::vector<int> usable;

  const Shape& input_shape() const {
    return experiment.population.models[0].spec.input_shape();
  }
};

// `config` is the folder's, perhaps with another backend. FailedPrecondition:
// no checkpoint, one that belongs to another config, no model with a best
// epoch.
absl::StatusOr<TrainedRun> LoadTrainedRun(const RunFolder& folder,
                                          ExperimentConfig config);

// Some models of a run on a backend, with some rows.
class Predictor {
 public:
  // `models` are indices of usable models. `backend` must outlive the
  // predictor. The data is shared. FailedPrecondition names a model without a
  // best epoch; other errors name the model whose weights do not fit.
  static absl::StatusOr<std::unique_ptr<Predictor>> Create(
      const TrainedRun& run, const std::vector<int>& models,
      const DataTable& data, Backend* backend);

  // Outputs for the rows [begin, end) of the data: outputs[i] is float32 [end -
  // begin, outputs] of models[i]. A number that is not finite is an error that
  // names model and row.
  absl::Status Predict(int64_t begin, int64_t end,
                       std::vector<Tensor>* outputs);

 private:
  Predictor() = default;

  std::unique_ptr<ModelBatch> batch_;
  std::unique_ptr<Dataset> dataset_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_TRAINED_RUN_H_
