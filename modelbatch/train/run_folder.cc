#include "modelbatch/train/run_folder.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/append_file.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/train/initial_weights.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr char kWaves[] = "/waves";

absl::Status CannotCreate(const std::string& path,
                          const std::error_code& error) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot create the folder ", path, ": ", error.message()));
}

// runs/<name>-1, or the first number that is free. Making a folder succeeds for
// one process only.
absl::StatusOr<std::string> FirstFree(const std::string& name) {
  std::error_code error;
  fs::create_directories("runs", error);
  if (error) return CannotCreate("runs", error);
  for (int64_t number = 1;; ++number) {
    const std::string path = absl::StrCat("runs/", name, "-", number);
    if (fs::create_directory(path, error)) return path;
    if (error) return CannotCreate(path, error);
  }
}

// A line of events.jsonl. Errors name the field.
absl::StatusOr<RunEvent> ParseRunEvent(const std::string& line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError("is not a JSON object");
  }
  RunEvent event;
  if (json.contains("model")) {
    MB_ASSIGN_OR_RETURN(event.event, EventFromJson(line));
    event.step = event.event->step;
    event.epoch = event.event->epoch;
    return event;
  }
  for (const auto& [name, out] :
       {std::pair("step", &event.step), std::pair("epoch", &event.epoch)}) {
    if (!json.contains(name) || !json[name].is_number_integer()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" is missing or no integer"));
    }
    *out = json[name].get<int64_t>();
  }
  if (!json.contains("event") || !json["event"].is_string()) {
    return absl::InvalidArgumentError("\"event\" is missing or no string");
  }
  event.what = json["event"].get<std::string>();
  return event;
}

}  // namespace

absl::StatusOr<RunFolder> RunFolder::Create(const ExperimentConfig& config,
                                            const Population* population) {
  std::string path = config.train.output;
  std::error_code error;
  bool made = path.empty();
  if (path.empty()) {
    MB_ASSIGN_OR_RETURN(path, FirstFree(config.name));
  } else {
    made = fs::create_directories(path, error);
    if (error) return CannotCreate(path, error);
  }
  RunFolder folder(path);
  folder.made_ = made;
  // A run that is there is told by its config, without a touch.
  if (!fs::exists(folder.config(), error)) {
    MB_ASSIGN_OR_RETURN(folder.lock_, folder.Lock());
  }
  if (fs::exists(folder.config(), error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, " holds a run already; continue it with --resume ",
                     path, " or choose another folder with --output"));
  }
  const absl::Status status = folder.Fill(config, population);
  if (status.ok()) return folder;
  folder.Discard();
  return status;
}

absl::Status RunFolder::Fill(const ExperimentConfig& config,
                             const Population* population) {
  std::error_code error;
  fs::create_directories(path_ + "/models", error);
  if (error) return CannotCreate(path_ + "/models", error);
  ExperimentConfig own = config;
  if (population != nullptr && !population->initial.empty()) {
    MB_RETURN_IF_ERROR(CheckNoInitialWeights(path_));
    copied_initial_ = true;
    MB_ASSIGN_OR_RETURN(const std::string initial,
                        CopyInitialWeights(*population, path_));
    own.train.init_from = path_ + "/" + initial;
  }
  // Last: a folder with a config is a run.
  return WriteConfig(own);
}

absl::StatusOr<RunFolder> RunFolder::Open(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  RunFolder folder(std::move(trimmed));
  std::error_code error;
  if (!fs::exists(folder.config(), error)) {
    return absl::NotFoundError(
        absl::StrCat(path,
                     " is not the folder of a run: it has no "
                     "config.resolved.toml"));
  }
  fs::create_directories(folder.path_ + "/models", error);
  return folder;
}

bool RunFolder::HasCheckpoint() const {
  if (HasWholeCheckpoint()) return true;
  const absl::StatusOr<std::vector<WaveFile>> waves = Waves();
  return !waves.ok() || !waves->empty();  // reading it says what is wrong
}

bool RunFolder::HasWholeCheckpoint() const {
  std::error_code error;
  return fs::exists(checkpoint(), error);
}

WaveFile RunFolder::Wave(int begin, int end) const {
  return {begin, end,
          absl::StrCat(path_, kWaves, "/models_", begin, "-", end - 1,
                       ".safetensors")};
}

absl::StatusOr<std::vector<WaveFile>> RunFolder::AllWaves() const {
  std::vector<WaveFile> waves;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ + kWaves, error)) {
    const std::string name = entry.path().filename().string();
    if (absl::StrContains(name, ".tmp-")) continue;  // half-written
    int first = 0, last = 0;
    if (std::sscanf(name.c_str(), "models_%d-%d.safetensors", &first, &last) !=
            2 ||
        first < 0 || last < first ||
        Wave(first, last + 1).path != path_ + kWaves + "/" + name) {
      return absl::InvalidArgumentError(
          absl::StrCat(entry.path().string(),
                       ": expected models_<first>-<last>.safetensors"));
    }
    waves.push_back(Wave(first, last + 1));
  }
  std::sort(waves.begin(), waves.end(),
            [](const WaveFile& a, const WaveFile& b) {
              return std::pair(a.begin, -a.end) < std::pair(b.begin, -b.end);
            });
  return waves;
}

absl::StatusOr<std::vector<WaveFile>> RunFolder::Waves() const {
  MB_ASSIGN_OR_RETURN(const std::vector<WaveFile> all, AllWaves());
  std::vector<WaveFile> waves;
  for (const WaveFile& wave : all) {
    if (waves.empty() || wave.begin >= waves.back().end) {
      waves.push_back(wave);
    } else if (wave.end > waves.back().end) {
      return absl::InvalidArgumentError(
          absl::StrCat(waves.back().path, " and ", wave.path,
                       " have the same models, expected each in one"));
    }
  }
  return waves;
}

absl::Status RunFolder::MakeWaveFolder() const {
  std::error_code error;
  fs::create_directories(path_ + kWaves, error);
  if (error) return CannotCreate(path_ + kWaves, error);
  return absl::OkStatus();
}

void RunFolder::RemoveWaves() const {
  std::error_code ignored;
  fs::remove_all(path_ + kWaves, ignored);
}

absl::StatusOr<std::shared_ptr<FileLock>> RunFolder::Lock() const {
  if (lock_ != nullptr) return lock_;
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      FileLock::Acquire(path_ + "/lock");
  if (lock.ok()) return std::shared_ptr<FileLock>(*std::move(lock));
  if (lock.status().code() != absl::StatusCode::kFailedPrecondition) {
    return lock.status();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(path_, ": another process trains in this folder: ",
                   std::string(lock.status().message())));
}

void RunFolder::Discard() const {
  std::error_code ignored;
  for (const std::string& path : {config(), events(), path_ + "/models",
                                  path_ + kWaves, path_ + "/lock"}) {
    fs::remove(path, ignored);
  }
  if (copied_initial_) RemoveInitialWeights(path_);
  if (made_) fs::remove(path_, ignored);
}

absl::Status RunFolder::WriteConfig(const ExperimentConfig& config) const {
  return WriteFileAtomically(this->config(), ExperimentToToml(config, path_));
}

absl::Status RunFolder::AddEvent(int64_t step, int64_t epoch,
                                 const std::string& event) const {
  Json json;
  json["step"] = step;
  json["epoch"] = epoch;
  json["event"] = event;
  return AddLine(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

absl::Status RunFolder::AddEvent(const Event& event) const {
  return AddLine(EventToJson(event));
}

absl::Status RunFolder::AddLine(const std::string& json) const {
  return AppendToFile(events(), json + "\n");
}

absl::StatusOr<std::vector<RunEvent>> RunFolder::ReadEvents() const {
  std::vector<RunEvent> out;
  std::error_code error;
  if (!fs::exists(events(), error)) return out;
  MB_ASSIGN_OR_RETURN(const std::string text, ReadFile(events()));
  std::istringstream lines(text);
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    absl::StatusOr<RunEvent> event = ParseRunEvent(line);
    if (event.ok()) {
      out.push_back(*std::move(event));
    } else if (!lines.eof()) {
      return absl::InvalidArgumentError(absl::StrCat(
          events(), ":", number, ": ", std::string(event.status().message())));
    }
  }
  return out;
}

void RunFolder::RemoveTemporaries() const {
  std::error_code error;
  const absl::StatusOr<std::vector<WaveFile>> all = AllWaves(), kept = Waves();
  for (const WaveFile& wave : all.value_or(std::vector<WaveFile>())) {
    // The parts of one that was being divided, which is still there.
    const auto has = [&wave](const WaveFile& other) {
      return other.path == wave.path;
    };
    if (kept.ok() && std::none_of(kept->begin(), kept->end(), has)) {
      fs::remove(wave.path, error);
    }
  }
  for (const std::string& folder : {path_, path_ + "/models", path_ + kWaves}) {
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      // As AtomicFile names them.
      if (absl::StrContains(entry.path().filename().string(), ".tmp-")) {
        fs::remove(entry.path(), error);
      }
    }
  }
}

absl::Status RunFolder::RestoreEvents(int64_t step,
                                      const std::vector<Event>& events) const {
  std::error_code error;
  std::string text;
  if (fs::exists(this->events(), error)) {
    MB_ASSIGN_OR_RETURN(text, ReadFile(this->events()));
  }
  std::istringstream lines(text);
  std::string line;
  std::string kept;
  auto next = events.begin();
  const auto add_until = [&](int64_t last) {
    for (; next != events.end() && next->step <= last; ++next) {
      absl::StrAppend(&kept, EventToJson(*next), "\n");
    }
  };
  while (std::getline(lines, line)) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    // A line cut by a crash is none.
    if (!json.is_object() || !json.contains("step") ||
        !json["step"].is_number_integer() || json.contains("model")) {
      continue;
    }
    const int64_t at = json["step"].get<int64_t>();
    if (at > step) continue;
    add_until(at);
    absl::StrAppend(&kept, line, "\n");
  }
  add_until(step);
  if (kept.empty() && text.empty()) return absl::OkStatus();
  return WriteFileAtomically(this->events(), kept);
}

}  // namespace modelbatch
