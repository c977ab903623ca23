#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "modelbatch/cli/choose_models.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/describe.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/cli/open_backend.h"
#include "modelbatch/cli/output_file.h"
#include "modelbatch/cli/predicted_rows.h"
#include "modelbatch/cli/prediction_csv.h"
#include "modelbatch/cli/prediction_summary.h"
#include "modelbatch/cli/stop_signal.h"
#include "modelbatch/cli/terminal.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/data/data_table.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/new_rows.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/trained_run.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;

// Numbers that are in memory at once, for all models together: what a large
// file takes does not grow with its rows, beyond the rows themselves.
constexpr int64_t kNumbersAtOnce = int64_t{1} << 21;

int64_t RowsAtOnce(int64_t models, int64_t outputs) {
  return std::clamp<int64_t>(kNumbersAtOnce / (models * outputs), 1, 65536);
}

// Before anything is computed.
absl::Status CheckOutput(const std::string& output,
                         const std::vector<std::string>& files) {
  std::error_code error;
  if (output.empty()) return absl::OkStatus();
  for (const std::string& file : files) {
    if (fs::equivalent(output, file, error)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--output ", output, " is the file to predict, expected another"));
    }
  }
  return CheckOutputFile(output, "row,", "file of predictions");
}

// Logits to the probabilities that the targets are.
void ApplySigmoid(Tensor* outputs) {
  float* x = outputs->data<float>();
  for (int64_t i = 0; i < outputs->size(); ++i) {
    x[i] = static_cast<float>(1 / (1 + std::exp(-static_cast<double>(x[i]))));
  }
}

// The part that is done, on standard error, once that takes a while.
class RowProgress {
 public:
  RowProgress(int64_t rows, bool quiet)
      : rows_(rows), quiet_(quiet), start_(Now()), shown_(start_) {}
  ~RowProgress() {
    if (line_open_) std::fputs("\r\x1b[K", stderr);
  }

  void Show(int64_t done) {
    const double now = Now();
    if (quiet_ || done == 0 || done == rows_) return;
    if (now - shown_ < (terminal_.is_terminal ? 0.5 : 10)) return;
    shown_ = now;
    const double rate = static_cast<double>(done) / (now - start_);
    const std::string line = absl::StrFormat(
        "row %d/%d  %.0f %%  %s rows/s  ETA %s", done, rows_,
        100.0 * static_cast<double>(done) / static_cast<double>(rows_),
        FormatCount(rate),
        FormatDuration(static_cast<double>(rows_ - done) / rate));
    line_open_ = terminal_.is_terminal;
    std::fputs(line_open_ ? absl::StrCat("\r", line, "\x1b[K").c_str()
                          : absl::StrCat(line, "\n").c_str(),
               stderr);
    std::fflush(stderr);
  }

 private:
  static double Now() {
    return std::chrono::duration<double>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  const Terminal terminal_ = Terminal::Of(2);
  const int64_t rows_;
  const bool quiet_;
  const double start_;
  double shown_;
  bool line_open_ = false;
};

class PredictRun {
 public:
  explicit PredictRun(const PredictCommand& command) : command_(command) {}

  absl::StatusOr<int> Run() {
    MB_RETURN_IF_ERROR(Load());
    MB_ASSIGN_OR_RETURN(models_, ChooseModels(command_.choice, run_.experiment,
                                              run_.state, run_.usable));
    MB_ASSIGN_OR_RETURN(
        data_, ReadNewRows(
                   run_, {command_.data, command_.features, command_.targets}));
    const Population& population = run_.experiment.population;
    const int64_t outputs = population.layouts[models_[0]].output()[0];
    for (int model : models_) {
      const int64_t found = population.layouts[model].output()[0];
      if (found == outputs) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "model ", population.models[model].id, " has ", found,
          " outputs, expected ", outputs, " as model ",
          population.models[models_[0]].id, " has, to be combined with it"));
    }
    if (data_.has_classes()) MB_RETURN_IF_ERROR(CheckClasses(data_, outputs));
    MB_ASSIGN_OR_RETURN(const OpenedBackend opened,
                        OpenBackend(run_.experiment));
    MB_ASSIGN_OR_RETURN(
        const std::unique_ptr<Predictor> predictor,
        Predictor::Create(run_, models_, data_, opened.backend.get()));
    for (int model : models_) ids_.push_back(population.models[model].id);
    PredictionSummary summary(&data_, ids_);
    MB_ASSIGN_OR_RETURN(
        const bool stopped,
        PredictAll(predictor.get(),
                   RowsAtOnce(static_cast<int64_t>(ids_.size()), outputs),
                   &summary));
    if (stopped) {
      std::cerr << "Interrupted; nothing was written" << std::endl;
      return kExitInterrupted;
    }
    if (!command_.quiet) Report(summary);
    return kExitOk;
  }

 private:
  // Whether a file of DATA is one that the run has its training rows from.
  bool IsTrainingData() const {
    const DataConfig& data = run_.experiment.config.data;
    for (const auto& [key, path] : FilePaths("data", data.format, data.main)) {
      for (const std::string& file : command_.data) {
        std::error_code error;
        if (fs::equivalent(path, file, error)) return true;
      }
    }
    return false;
  }

  absl::Status Load() {
    if (command_.per_model && command_.output.empty()) {
      return absl::InvalidArgumentError(
          "--per-model adds columns to a file: expected --output FILE");
    }
    std::vector<std::string> files = command_.data;
    files.push_back(command_.targets);
    MB_RETURN_IF_ERROR(CheckOutput(command_.output, files));
    MB_ASSIGN_OR_RETURN(const RunFolder folder, RunFolder::Open(command_.run));
    MB_ASSIGN_OR_RETURN(ExperimentConfig config,
                        LoadExperiment(folder.config()));
    if (!command_.backend.empty()) {
      config.backend.name = command_.backend;
      config.source.RecordOption("backend", "--backend " + command_.backend);
    }
    if (command_.threads >= 0) config.backend.threads = command_.threads;
    MB_ASSIGN_OR_RETURN(run_, LoadTrainedRun(folder, std::move(config)));
    // Afterwards: the run is the one that was trained as its config says.
    if (!command_.precision.empty()) {
      ExperimentConfig& loaded = run_.experiment.config;
      loaded.backend.precision = command_.precision;
      loaded.source.RecordOption("backend.precision",
                                 "--precision " + command_.precision);
    }
    return absl::OkStatus();
  }

  // True: stopped by a signal. Only a whole file appears under its name.
  absl::StatusOr<bool> PredictAll(Predictor* predictor, int64_t rows_at_once,
                                  PredictionSummary* summary) {
    std::optional<AtomicFile> file;
    if (!command_.output.empty()) {
      MB_ASSIGN_OR_RETURN(AtomicFile created,
                          AtomicFile::Create(command_.output));
      file.emplace(std::move(created));
    }
    const PredictionCsv csv(&data_.targets, ids_, command_.per_model);
    const std::atomic<bool>* const stop = StopOnSignal();
    RowProgress progress(data_.rows(), command_.quiet);
    for (int64_t begin = 0; begin < data_.rows(); begin += rows_at_once) {
      if (stop->load(std::memory_order_relaxed)) return true;
      progress.Show(begin);
      std::vector<Tensor> outputs;
      MB_RETURN_IF_ERROR(predictor->Predict(
          begin, std::min(begin + rows_at_once, data_.rows()), &outputs));
      if (run_.experiment.config.loss.kind == "bce_with_logits") {
        for (Tensor& tensor : outputs) ApplySigmoid(&tensor);
      }
      MB_ASSIGN_OR_RETURN(
          const PredictedRows rows,
          CombineOutputs(begin, run_.experiment.has_classes(),
                         command_.per_model, std::move(outputs)));
      summary->Add(rows);
      if (file.has_value()) {
        const std::string lines = csv.Lines(rows);
        MB_RETURN_IF_ERROR(file->Append(lines.data(), lines.size()));
      }
    }
    if (file.has_value()) MB_RETURN_IF_ERROR(file->Commit());
    return false;
  }

  void Report(const PredictionSummary& summary) const {
    const bool colors = Terminal::Of(1).colors;
    std::string title =
        absl::StrCat(data_.rows(), data_.rows() == 1 ? " row of " : " rows of ",
                     absl::StrJoin(command_.data, ", "), ", ");
    if (models_.size() == 1) {
      absl::StrAppend(&title, DescribeModel(run_.experiment, models_[0]));
    } else {
      absl::StrAppend(&title, "the mean of ", models_.size(), " models");
    }
    std::cout << summary.Table() << "\n"
              << Styled(title, "1", colors) << "\n"
              << summary.Scores();
    if (data_.has_targets() && IsTrainingData()) {
      std::cout << "The run was trained on rows of this file: that is no test "
                   "score\n";
    }
    if (!command_.output.empty()) {
      std::cout << "Predictions in " << command_.output << "\n";
    }
    const size_t left_out =
        run_.experiment.population.models.size() - run_.usable.size();
    if (command_.choice.all && left_out > 0) {
      std::cout << "Without " << left_out
                << (left_out == 1 ? " model that has" : " models that have")
                << " no finished epoch\n";
    }
    std::cout << std::flush;
  }

  const PredictCommand& command_;
  TrainedRun run_;
  DataTable data_;
  std::vector<int> models_;
  std::vector<int64_t> ids_;
};

}  // namespace

int RunPredict(const PredictCommand& command) {
  const absl::StatusOr<int> code = PredictRun(command).Run();
  return code.ok() ? *code : ReportError(code.status());
}

}  // namespace modelbatch
