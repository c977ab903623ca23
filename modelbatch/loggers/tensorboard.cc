#include "modelbatch/loggers/tensorboard.h"

#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "modelbatch/io/append_file.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/tf_record.h"
#include "modelbatch/loggers/tensorboard_event.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostBuffered = size_t{4} << 20;
constexpr std::string_view kPrefix = "model_";
// TensorBoard takes what has "tfevents" in its name.
constexpr char kFile[] = "events.out.tfevents.modelbatch";

double Now() { return absl::ToUnixMicros(absl::Now()) * 1e-6; }

absl::Status CannotUse(const std::string& path, const std::error_code& error) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use ", path, ": ", error.message()));
}

// The models that have a folder.
absl::StatusOr<std::vector<int64_t>> ModelsIn(const std::string& folder) {
  std::vector<int64_t> models;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    int64_t id;
    if (name.compare(0, kPrefix.size(), kPrefix) == 0 &&
        absl::SimpleAtoi(name.substr(kPrefix.size()), &id)) {
      models.push_back(id);
    }
  }
  if (error) return CannotUse(folder, error);
  return models;
}

class TensorBoardLogger : public MetricsLogger {
 public:
  TensorBoardLogger(std::string folder, int64_t last_step)
      : MetricsLogger(last_step), folder_(std::move(folder)) {}

  ~TensorBoardLogger() override {
    const absl::Status status = Flush();
    if (!status.ok()) {
      modelbatch::Log(LogSeverity::kError,
                      absl::StrCat("metrics are lost: ", status.message()));
    }
  }

  // Keeps what a model's file has of steps up to `last_step`.
  absl::Status Resume(int64_t model, int64_t last_step) {
    const std::string path = FileOf(model);
    std::error_code error;
    if (!fs::exists(path, error)) return absl::OkStatus();
    MB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
    TfRecordReader reader(bytes);
    Known known;
    size_t kept = 0;
    int records = 0;
    while (true) {
      std::string_view record;
      absl::StatusOr<bool> more = reader.Next(&record);
      absl::StatusOr<EventInfo> event =
          more.ok() && *more ? ReadEvent(record) : EventInfo();
      const absl::Status& status = more.ok() ? event.status() : more.status();
      if (!status.ok()) {
        return absl::Status(status.code(),
                            absl::StrCat(path, ": ", status.message()));
      }
      if (!*more || event->step > last_step) break;
      known.hyper_parameters |= event->hyper_parameters;
      kept = reader.offset();
      ++records;
    }
    if (records > 1) {  // more than the version
      known_[model] = known;
      return TruncateFile(path, static_cast<int64_t>(kept));
    }
    fs::remove(path, error);
    if (error) return CannotUse(path, error);
    fs::remove(ModelFolder(model), error);  // unless somebody's files are there
    return absl::OkStatus();
  }

  absl::Status LogHyperParameters(int64_t model,
                                  const Attributes& values) override {
    MB_RETURN_IF_ERROR(HyperParametersEvent(0, 0, values).status());
    const auto known = known_.find(model);
    if (known == known_.end() || !known->second.hyper_parameters) {
      hyper_parameters_[model] = values;
    }
    return absl::OkStatus();
  }

  absl::Status Flush() override {
    while (!buffers_.empty()) {
      const auto& [model, bytes] = *buffers_.begin();
      std::error_code error;
      fs::create_directories(ModelFolder(model), error);
      if (error) return CannotUse(ModelFolder(model), error);
      MB_RETURN_IF_ERROR(AppendToFile(FileOf(model), bytes));
      buffered_ -= bytes.size();
      buffers_.erase(buffers_.begin());
    }
    return absl::OkStatus();
  }

 private:
  struct Known {
    bool hyper_parameters = false;  // are in the file
  };

  std::string ModelFolder(int64_t model) const {
    return absl::StrCat(folder_, "/", kPrefix.data(), model);
  }
  std::string FileOf(int64_t model) const {
    return absl::StrCat(ModelFolder(model), "/", kFile);
  }

  absl::Status Write(const MetricsEntry& entry) override {
    const double now = Now();
    for (size_t i = 0; i < entry.models.size(); ++i) {
      const int64_t model = entry.models[i];
      std::string& buffer = buffers_[model];
      const size_t before = buffer.size();
      const auto [known, is_new] = known_.try_emplace(model);
      if (is_new) AppendTfRecord(VersionEvent(now), &buffer);
      // With the first metrics: cut off together with them.
      if (const auto it = hyper_parameters_.find(model);
          it != hyper_parameters_.end()) {
        MB_ASSIGN_OR_RETURN(const std::string event,
                            HyperParametersEvent(now, entry.step, it->second));
        AppendTfRecord(event, &buffer);
        known->second.hyper_parameters = true;
        hyper_parameters_.erase(it);
      }
      std::vector<std::pair<std::string, float>> scalars;
      for (const Column& metric : entry.metrics) {
        scalars.emplace_back(metric.name, static_cast<float>(metric.values[i]));
      }
      AppendTfRecord(ScalarsEvent(now, entry.step, scalars), &buffer);
      buffered_ += buffer.size() - before;
    }
    return buffered_ < kMostBuffered ? absl::OkStatus() : Flush();
  }

  std::string folder_;
  std::map<int64_t, Known> known_;  // models with a file, or with a buffer
  std::map<int64_t, Attributes> hyper_parameters_;  // not yet written
  std::map<int64_t, std::string> buffers_;          // by model
  size_t buffered_ = 0;                             // bytes of all
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsLogger>> OpenTensorBoardLogger(
    const std::string& folder, std::optional<int64_t> resume_step) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return CannotUse(folder, error);
  MB_ASSIGN_OR_RETURN(const std::vector<int64_t> models, ModelsIn(folder));
  auto logger =
      std::make_unique<TensorBoardLogger>(folder, resume_step.value_or(0));
  if (!resume_step.has_value() && !models.empty()) {
    return absl::AlreadyExistsError(
        absl::StrCat(folder, " has metrics already, of model ", models[0]));
  }
  for (const int64_t model : models) {
    MB_RETURN_IF_ERROR(logger->Resume(model, *resume_step));
  }
  return logger;
}

}  // namespace modelbatch
