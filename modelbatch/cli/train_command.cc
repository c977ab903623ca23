#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/cli/commands.h"
#include "modelbatch/cli/describe.h"
#include "modelbatch/cli/exit_code.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/cli/open_backend.h"
#include "modelbatch/cli/progress.h"
#include "modelbatch/cli/stop_signal.h"
#include "modelbatch/cli/terminal.h"
#include "modelbatch/config/experiment_config.h"
#include "modelbatch/plugin/choose_backend.h"
#include "modelbatch/train/experiment.h"
#include "modelbatch/train/results.h"
#include "modelbatch/train/run_folder.h"
#include "modelbatch/train/run_training.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// A path as one word of a shell.
std::string Quoted(const std::string& path) {
  for (char c : path) {
    if (!absl::StrContains("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY"
                           "Z0123456789_-./+=:,@",
                           std::string(1, c))) {
      std::string quoted = "'";
      for (char q : path) quoted += q == '\'' ? "'\\''" : std::string(1, q);
      return quoted + "'";
    }
  }
  return path;
}

// A key that is set twice is a slip: the first value would be lost in silence.
absl::Status CheckSetOnce(const std::vector<std::string>& set) {
  std::map<std::string, std::string> by_key;
  for (const std::string& text : set) {
    const std::string key = text.substr(0, text.find('='));
    const auto [other, is_first] = by_key.emplace(key, text);
    if (is_first) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--set ", text, ": ", key, " is set twice, also by --set ",
                     other->second));
  }
  return absl::OkStatus();
}

// The lead of a run that continues: what may change without changing a bit.
absl::Status CheckResumeOverrides(const TrainCommand& command) {
  if (!command.config.empty() || !command.output.empty() ||
      !command.init_from.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--resume ", command.resume,
                     " takes everything from the run: expected no CONFIG, no "
                     "--output and no --init-from"));
  }
  for (const std::string& text : command.set) {
    if (!absl::StartsWith(text, "train.epochs=") &&
        !absl::StartsWith(text, "train.checkpoint_every=") &&
        !absl::StartsWith(text, "train.models_at_once=") &&
        !absl::StartsWith(text, "train.steps_at_once=")) {
      return absl::InvalidArgumentError(
          absl::StrCat("--set ", text,
                       ": a run can only be resumed with other train.epochs, "
                       "train.checkpoint_every, train.models_at_once or "
                       "train.steps_at_once"));
    }
  }
  return absl::OkStatus();
}

class TrainRun {
 public:
  explicit TrainRun(const TrainCommand& command) : command_(command) {}

  absl::StatusOr<int> Run() {
    MB_RETURN_IF_ERROR(Prepare());
    MB_ASSIGN_OR_RETURN(OpenedBackend opened, OpenBackend(experiment_));
    // What the run's folder says, so that the run continues with it.
    if (!opened.choice.empty()) {
      experiment_.config.backend.name = opened.info.backend;
    }
    MB_RETURN_IF_ERROR(CheckCapabilities(experiment_,
                                         opened.backend->capabilities(),
                                         experiment_.config.backend.name));
    // From here on Ctrl-C waits for the step's end.
    RunOptions options;
    options.stop = StopOnSignal();
    options.info = opened.info;
    options.resume = resuming();
    options.force = command_.force;
    MB_RETURN_IF_ERROR(OpenFolder());
    if (!opened.choice.empty()) {
      const std::string chosen =
          absl::StrCat("backend chosen: ", opened.choice);
      MB_RETURN_IF_ERROR(folder_->AddEvent(0, 1, chosen));
      if (!command_.quiet) std::cerr << chosen << "\n";
    }
    if (!command_.quiet) {
      std::cerr << DescribeExperiment(experiment_, opened.info) << std::flush;
    }
    Progress progress = Progress::OnStandardError();
    absl::StatusOr<RunResult> result =
        RunTraining(experiment_, opened.backend.get(), *folder_, options,
                    command_.quiet ? nullptr : &progress);
    progress.Finish();
    if (!result.ok()) return result.status();
    experiment_.population = result->population;
    return Report(*result);
  }

 private:
  bool resuming() const { return !command_.resume.empty(); }

  absl::Status Prepare() {
    MB_RETURN_IF_ERROR(CheckSetOnce(command_.set));
    std::string config_path = command_.config;
    if (resuming()) {
      MB_RETURN_IF_ERROR(CheckResumeOverrides(command_));
      MB_ASSIGN_OR_RETURN(RunFolder folder, RunFolder::Open(command_.resume));
      folder_ = std::make_unique<RunFolder>(std::move(folder));
      config_path = folder_->config();
    }
    MB_ASSIGN_OR_RETURN(ExperimentConfig config,
                        LoadExperiment(config_path, command_.set));
    // A run that continues has been chosen for.
    if (!command_.backend.empty() &&
        !(resuming() && command_.backend == kAutoBackend)) {
      config.backend.name = command_.backend;
      config.source.RecordOption("backend", "--backend " + command_.backend);
    }
    if (command_.threads >= 0) {
      config.backend.threads = command_.threads;
      config.source.RecordOption("backend.threads",
                                 absl::StrCat("--threads ", command_.threads));
    }
    if (!command_.init_from.empty()) {
      config.train.init_from = command_.init_from;
      config.source.RecordOption("train.init_from",
                                 "--init-from " + command_.init_from);
    }
    if (!command_.output.empty()) config.train.output = command_.output;
    MB_ASSIGN_OR_RETURN(experiment_, PrepareExperiment(std::move(config)));
    return absl::OkStatus();
  }

  absl::Status OpenFolder() {
    if (resuming()) return absl::OkStatus();
    MB_ASSIGN_OR_RETURN(
        RunFolder folder,
        RunFolder::Create(experiment_.config, &experiment_.population));
    folder_ = std::make_unique<RunFolder>(std::move(folder));
    return absl::OkStatus();
  }

  int Report(const RunResult& result) const {
    const std::string run = Quoted(folder_->path());
    if (result.interrupted) {
      const bool waves = experiment_.config.train.models_at_once != kAllModels;
      std::cerr << "Interrupted "
                << (waves ? absl::StrCat("with ", result.models_ended, " of ",
                                         result.state.models.size(),
                                         " models trained")
                          : absl::StrCat("in epoch ", result.state.epoch + 1))
                << "; the checkpoint has every step. Continue with\n  "
                << ProgramName() << " train --resume " << run << std::endl;
      return kExitInterrupted;
    }
    if (command_.quiet) return kExitOk;
    const bool colors = Terminal::Of(1).colors;
    std::cout << "\n" << Leaderboard(experiment_, result.state) << "\n";
    const std::string folds = FoldsTable(experiment_, result.state);
    if (!folds.empty()) {
      std::cout << "Over the folds, mean +- standard deviation:\n"
                << folds << "\n";
      const std::string setting = BestSetting(experiment_, result.state);
      if (!setting.empty()) std::cout << Styled(setting, "1", colors) << "\n";
    }
    const int best = Ranking(experiment_, result.state)[0];
    const ModelRecord& record = result.state.models[best];
    const int64_t id = experiment_.population.models[best].id;
    if (record.best_epoch > 0) {
      std::cout << Styled(BestLine(best, record), "1", colors) << "\n";
    } else {
      std::cout << "No model finished an epoch.\n";
    }
    std::cout << "Results in " << folder_->path()
              << ": results.csv, curves.csv, "
              << (folds.empty() ? "" : "folds.csv, ")
              << "summary.json, models/\n"
              << "Is model " << id << " what it would be alone? See with\n  "
              << ProgramName() << " verify " << run << " --model " << id
              << std::endl;
    return kExitOk;
  }

  std::string BestLine(int model, const ModelRecord& record) const {
    const size_t test_rows = experiment_.counted_test;
    std::string line =
        absl::StrCat("Best: ", DescribeModel(experiment_, model));
    if (test_rows > 0 && experiment_.has_classes()) {
      absl::StrAppend(&line, ": test accuracy ",
                      FormatPercent(Accuracy(record.best_test, test_rows)));
    } else if (test_rows > 0) {
      absl::StrAppend(&line, ": test loss ",
                      FormatNumber(record.best_test.loss));
    }
    return line;
  }

  const TrainCommand& command_;
  Experiment experiment_;
  std::unique_ptr<RunFolder> folder_;
};

}  // namespace

int RunTrain(const TrainCommand& command) {
  const absl::StatusOr<int> code = TrainRun(command).Run();
  return code.ok() ? *code : ReportError(code.status());
}

}  // namespace modelbatch
