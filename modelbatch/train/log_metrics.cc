#include "modelbatch/train/log_metrics.h"

#include <cmath>
#include <filesystem>
#include <system_error>
#include <utility>

#include "modelbatch/loggers/csv.h"
#include "modelbatch/loggers/json_lines.h"
#include "modelbatch/loggers/tensorboard.h"
#include "modelbatch/train/results.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr char kLoss[] = "loss";
constexpr char kTrainLoss[] = "train_loss";
constexpr char kValidationLoss[] = "validation_loss";
constexpr char kValidationAccuracy[] = "validation_accuracy";

// What is measured after an epoch.
std::vector<std::string> EpochMetrics(const Experiment& experiment) {
  std::vector<std::string> names = {kTrainLoss};
  if (!experiment.has_validation()) return names;
  names.push_back(kValidationLoss);
  if (experiment.has_classes()) names.push_back(kValidationAccuracy);
  return names;
}

double MetricOf(const Experiment& experiment, const EpochCurve& curve,
                int model, const std::string& name) {
  if (name == kTrainLoss) return curve.train_loss[model];
  if (name == kValidationLoss) return curve.validation[model].loss;
  return Accuracy(curve.validation[model],
                  experiment.counted_validation(model));
}

std::string PathOf(const std::string& writer, const RunFolder& folder) {
  if (writer == "jsonl") return folder.metrics_jsonl();
  if (writer == "tensorboard") return folder.tensorboard();
  return folder.metrics_csv();
}

absl::StatusOr<std::unique_ptr<MetricsLogger>> OpenWriter(
    const std::string& writer, const Experiment& experiment,
    const RunFolder& folder, std::optional<int64_t> resume_step) {
  const std::string path = PathOf(writer, folder);
  if (writer == "jsonl") return OpenJsonLinesLogger(path, resume_step);
  if (writer == "tensorboard") return OpenTensorBoardLogger(path, resume_step);
  std::vector<std::string> columns = EpochMetrics(experiment);
  if (experiment.config.train.log.every > 0) {
    columns.insert(columns.begin(), kLoss);
  }
  return OpenCsvLogger(path, std::move(columns), resume_step);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogMetrics>> LogMetrics::Open(
    const Experiment& experiment, const RunFolder& folder,
    std::optional<int64_t> resume_step) {
  const LogConfig& config = experiment.config.train.log;
  auto log = std::unique_ptr<LogMetrics>(new LogMetrics(config.every));
  for (const std::string& writer : config.writers) {
    auto logger = OpenWriter(writer, experiment, folder, resume_step);
    if (!logger.ok()) {
      log->Discard();
      return logger.status();
    }
    log->loggers_.push_back(*std::move(logger));
    // A new run's are new: a file that was there before is an error.
    if (!resume_step) log->made_.push_back(PathOf(writer, folder));
  }
  return log;
}

absl::Status LogMetrics::OnStep(Trainer* trainer) {
  if (loggers_.empty() || every_ == 0 || trainer->state().step % every_ != 0) {
    return absl::OkStatus();
  }
  const StepReport& report = trainer->last_step();
  // No model had rows that count.
  if (report.model_rows == 0 && report.non_finite.empty()) {
    return absl::OkStatus();
  }
  const StepResult& step = report.by_model;
  std::vector<int> models;
  Column loss = {kLoss, {}};
  for (int i = 0; i < trainer->num_models(); ++i) {
    const Outcome outcome = step.outcomes[i];
    if (outcome == Outcome::kInactive || outcome == Outcome::kEmpty) continue;
    models.push_back(i);
    loss.values.push_back(step.losses[i]);
  }
  return Log(*trainer, trainer->state().epoch + 1, models, {std::move(loss)});
}

absl::Status LogMetrics::OnEpoch(Trainer* trainer) {
  if (loggers_.empty()) return absl::OkStatus();
  const Experiment& experiment = trainer->experiment();
  const EpochCurve& curve = trainer->state().curves.back();
  const std::vector<std::string> names = EpochMetrics(experiment);
  std::vector<int> models;
  std::vector<Column> metrics;
  for (const std::string& name : names) metrics.push_back({name, {}});
  for (int i = 0; i < trainer->num_models(); ++i) {
    std::vector<double> values;
    // One that was frozen before the epoch ended has nothing; one that was
    // stopped after its evaluation has.
    bool any = !trainer->state().models[i].frozen();
    for (const std::string& name : names) {
      values.push_back(MetricOf(experiment, curve, i, name));
      any = any || !std::isnan(values.back());
    }
    if (!any) continue;
    models.push_back(i);
    for (size_t m = 0; m < names.size(); ++m) {
      metrics[m].values.push_back(values[m]);
    }
  }
  MB_RETURN_IF_ERROR(
      Log(*trainer, trainer->state().epoch, models, std::move(metrics)));
  return Flush();
}

absl::Status LogMetrics::Log(const Trainer& trainer, int64_t epoch,
                             const std::vector<int>& models,
                             std::vector<Column> metrics) {
  std::vector<int64_t> ids;
  for (const int model : models) {
    ids.push_back(trainer.experiment().population.models[model].id);
    if (seen_.insert(ids.back()).second) {
      MB_RETURN_IF_ERROR(LogHyperParameters(trainer, model));
    }
  }
  MetricsEntry entry;
  entry.step = trainer.state().step;
  entry.epoch = epoch;
  entry.models = ids;
  entry.metrics = std::move(metrics);
  for (const auto& logger : loggers_) MB_RETURN_IF_ERROR(logger->Log(entry));
  return absl::OkStatus();
}

absl::Status LogMetrics::LogHyperParameters(const Trainer& trainer, int model) {
  const Population& population = trainer.experiment().population;
  Attributes values;
  for (const SweptField& field : population.fields) {
    values[field.path] = field.values[model];
  }
  for (const auto& logger : loggers_) {
    MB_RETURN_IF_ERROR(
        logger->LogHyperParameters(population.models[model].id, values));
  }
  return absl::OkStatus();
}

void LogMetrics::Discard() {
  loggers_.clear();
  std::error_code ignored;
  for (const std::string& path : made_) {
    std::filesystem::remove(path, ignored);
  }
}

absl::Status LogMetrics::Flush() {
  for (const auto& logger : loggers_) MB_RETURN_IF_ERROR(logger->Flush());
  return absl::OkStatus();
}

}  // namespace modelbatch
