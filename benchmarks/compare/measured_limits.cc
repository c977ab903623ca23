#include "benchmarks/compare/measured_limits.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "benchmarks/compare/caches.h"
#include "benchmarks/compare/system_load.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::benchmarks {
namespace {

// One, and all.
std::vector<int> NumbersOfCores() {
  if (NumCpus() == 1) return {1};
  return {1, NumCpus()};
}

}  // namespace

absl::StatusOr<MeasuredLimit> MeasuredLimit::Start(const LimitWork& work,
                                                   int cores,
                                                   const std::string& scratch) {
  MeasuredLimit limit;
  limit.cores_ = cores;
  limit.per_step_ = work.per_step * cores;
  WorkerGroup::Part part;
  part.make_trainer = work.make;
  MB_ASSIGN_OR_RETURN(
      limit.group_,
      WorkerGroup::Start(std::vector<WorkerGroup::Part>(cores, part), scratch));
  limit.timed_ = std::make_unique<Timed>(limit.group_.get(), 1);
  return limit;
}

absl::Status MeasuredLimit::Calibrate(const SamplingOptions& options) {
  return timed_->Calibrate(options, /*free_steps=*/true);
}

absl::Status MeasuredLimit::Sample(const SamplingOptions& options) {
  return timed_->Sample(options, nullptr, &samples_);
}

double MeasuredLimit::Rate() const { return per_step_ / samples_.Median(); }

nlohmann::json MeasuredLimit::ToJson() const {
  std::vector<double> rates;
  for (const double seconds : samples_.seconds) {
    rates.push_back(per_step_ / seconds);
  }
  return {{"cores", cores_},
          {"per_second", Rate()},
          {"samples", rates},
          {"samples_disturbed", samples_.disturbed}};
}

absl::StatusOr<StepLimits> StepLimits::Start(const Workload& workload,
                                             const std::string& scratch) {
  StepLimits limits;
  limits.flops_ = workload.Flops();
  const int64_t parameters = workload.Parameters(0, workload.models());
  limits.parameters_ = static_cast<double>(parameters);
  for (const int cores : NumbersOfCores()) {
    Pair pair;
    auto fma = MeasuredLimit::Start(FmaWork(), cores, scratch);
    if (fma.ok()) {
      pair.fma = std::make_unique<MeasuredLimit>(*std::move(fma));
    } else if (!absl::IsUnimplemented(fma.status())) {
      return fma.status();
    }
    MB_ASSIGN_OR_RETURN(MeasuredLimit update,
                        MeasuredLimit::Start(UpdateWork(std::max<int64_t>(
                                                 1, parameters / cores)),
                                             cores, scratch));
    pair.update = std::make_unique<MeasuredLimit>(std::move(update));
    pair.level = LevelOf(CachesOfThisMachine(),
                         kStateBytesPerParameter * limits.parameters_, cores);
    limits.pairs_.push_back(std::move(pair));
  }
  return limits;
}

absl::Status StepLimits::Calibrate(const SamplingOptions& options) {
  for (const Pair& pair : pairs_) {
    if (pair.fma != nullptr) MB_RETURN_IF_ERROR(pair.fma->Calibrate(options));
    MB_RETURN_IF_ERROR(pair.update->Calibrate(options));
  }
  return absl::OkStatus();
}

absl::Status StepLimits::Sample(const SamplingOptions& options) {
  for (const Pair& pair : pairs_) {
    if (pair.fma != nullptr) MB_RETURN_IF_ERROR(pair.fma->Sample(options));
    MB_RETURN_IF_ERROR(pair.update->Sample(options));
  }
  return absl::OkStatus();
}

nlohmann::json StepLimits::ToJson() const {
  nlohmann::json json = nlohmann::json::array();
  for (const Pair& pair : pairs_) {
    const double update =
        1e3 * kUpdateBytesPerParameter * parameters_ / pair.update->Rate();
    nlohmann::json one = {{"cores", pair.update->cores()},
                          {"level", pair.level},
                          {"update", pair.update->ToJson()},
                          {"update_ms", update}};
    if (pair.fma != nullptr) {
      const double products = 1e3 * flops_ / pair.fma->Rate();
      one["fma"] = pair.fma->ToJson();
      one["products_ms"] = products;
      one["max_ms"] = std::max(products, update);
      one["sum_ms"] = products + update;
    }
    json.push_back(std::move(one));
  }
  return json;
}

absl::StatusOr<nlohmann::json> MeasureMachine(const SamplingOptions& options,
                                              int rounds,
                                              const std::string& scratch) {
  struct Line {
    std::string what, level;
    LimitWork work;
    int cores;
  };
  std::vector<Line> lines;
  const Caches caches = CachesOfThisMachine();
  for (const int cores : NumbersOfCores()) {
    lines.push_back({"FMA loop, FLOP/s", "", FmaWork(), cores});
    lines.push_back({"sgemm of OpenBLAS, FLOP/s", "", OpenBlasWork(), cores});
    lines.push_back({"sgemm of LibTorch, FLOP/s", "", LibTorchWork(), cores});
    // Working sets of each core that fill half of a level; of memory, eight
    // times the last one.
    const int64_t last =
        std::max({caches.l1, caches.l2, caches.l3 / cores, int64_t{4} << 20});
    for (const auto& [level, size] :
         std::vector<std::pair<std::string, int64_t>>{
             {"L1", caches.l1 / 2},
             {"L2", caches.l2 / 2},
             {"L3", caches.l3 / 2 / cores},
             {"memory", 8 * last}}) {
      if (size == 0) continue;
      const auto parameters = static_cast<int64_t>(static_cast<double>(size) /
                                                   kStateBytesPerParameter);
      lines.push_back(
          {"update in place, bytes/s", level, UpdateWork(parameters), cores});
      lines.push_back({"copy, bytes/s", level, CopyWork(size), cores});
    }
  }
  nlohmann::json json = nlohmann::json::array();
  for (const Line& line : lines) {
    nlohmann::json one = {{"what", line.what}, {"cores", line.cores}};
    if (!line.level.empty()) one["level"] = line.level;
    auto limit = MeasuredLimit::Start(line.work, line.cores, scratch);
    if (limit.ok()) {
      MB_RETURN_IF_ERROR(limit->Calibrate(options));
      for (int round = 0; round < rounds; ++round) {
        MB_RETURN_IF_ERROR(limit->Sample(options));
      }
      one.update(limit->ToJson());
    } else if (absl::IsUnimplemented(limit.status())) {
      one["not_run"] = std::string(limit.status().message());
    } else {
      return limit.status();
    }
    json.push_back(std::move(one));
  }
  return json;
}

}  // namespace modelbatch::benchmarks
