// Runs learning-rate schedules: a JSON job on standard input, rates on standard
// output.
//   driver < JOB
//   driver --kinds
// A job is {"optimizer", "configs": [{hyper-parameter: number}], "schedules":
// [{"kind", "arguments", "schedulers"}], "ticks", "metrics": [tick][model] or
// null, "resume": ticks after which everything is made anew and its state
// loaded}. The answer is {"lr": [tick][model], "momentum": [tick][model]}, the
// first before any tick, or {"error"}. --kinds prints each kind's arguments.
#include <cstdint>
#include <iostream>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/optim/lr_lambda.h"
#include "modelbatch/optim/lr_schedule.h"
#include "modelbatch/optim/lr_schedule_info.h"
#include "modelbatch/optim/lr_scheduler.h"
#include "modelbatch/optim/optimizer.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"
#include "tests/schedules/parse_schedule.h"

namespace modelbatch {
namespace {

using Json = nlohmann::json;

// The arguments that have a default, and those that must be given.
Json Kinds() {
  Json kinds;
  for (const LrScheduleInfo& info : LrSchedules()) {
    Json& arguments = kinds[info.kind] = Json::object();
    for (const LrScheduleArgument& argument : info.arguments) {
      Json& value = arguments[argument.name] = nullptr;
      if (argument.required) continue;
      std::visit([&value](const auto& v) { value = v; },
                 argument.default_value);
    }
  }
  return kinds;
}

absl::StatusOr<Json> Run(const Json& job) {
  std::vector<OptimizerConfig> configs;
  for (const Json& config : job.at("configs")) {
    configs.push_back(config.get<OptimizerConfig>());
  }
  std::vector<LrScheduleSpec> specs;
  for (const Json& spec : job.at("schedules")) {
    specs.push_back(ParseSchedule(spec));
  }
  MB_ASSIGN_OR_RETURN(Optimizer optimizer,
                      Optimizer::Create(job.at("optimizer"), {}, configs));
  MB_ASSIGN_OR_RETURN(LrScheduler scheduler,
                      LrScheduler::Create(&optimizer, specs));
  Json answer;
  const auto record = [&]() -> absl::Status {
    Json rates = Json::array(), momenta = Json::array();
    for (int i = 0; i < optimizer.num_models(); ++i) {
      MB_ASSIGN_OR_RETURN(const double lr, optimizer.Get(i, "lr"));
      if (lr != scheduler.GetLastLr(i)) {
        return absl::InternalError("GetLastLr is not what the optimizer has");
      }
      rates.push_back(lr);
      absl::StatusOr<double> momentum = optimizer.Get(i, "beta1");
      if (!momentum.ok()) momentum = optimizer.Get(i, "momentum");
      momenta.push_back(momentum.ok() ? Json(*momentum) : Json());
    }
    answer["lr"].push_back(std::move(rates));
    answer["momentum"].push_back(std::move(momenta));
    return absl::OkStatus();
  };
  MB_RETURN_IF_ERROR(record());
  const int64_t ticks = job.at("ticks");
  for (int64_t tick = 0; tick < ticks; ++tick) {
    if (tick == job.value("resume", int64_t{-1})) {
      std::vector<std::vector<double>> saved;
      for (int i = 0; i < scheduler.num_models(); ++i) {
        saved.push_back(scheduler.GetState(i).ToNumbers());
      }
      MB_ASSIGN_OR_RETURN(optimizer,
                          Optimizer::Create(job.at("optimizer"), {}, configs));
      MB_ASSIGN_OR_RETURN(scheduler, LrScheduler::Create(&optimizer, specs));
      for (int i = 0; i < scheduler.num_models(); ++i) {
        MB_ASSIGN_OR_RETURN(const LrScheduleState state,
                            LrScheduleState::FromNumbers(saved[i]));
        MB_RETURN_IF_ERROR(scheduler.LoadState(i, state));
      }
    }
    if (job.at("metrics").is_null()) {
      MB_RETURN_IF_ERROR(scheduler.Step());
    } else {
      std::vector<double> metrics;
      for (const Json& metric : job["metrics"][tick]) {
        metrics.push_back(metric.is_null()
                              ? std::numeric_limits<double>::quiet_NaN()
                              : metric.get<double>());
      }
      MB_RETURN_IF_ERROR(scheduler.Step(absl::MakeConstSpan(metrics)));
    }
    MB_RETURN_IF_ERROR(record());
  }
  return answer;
}

}  // namespace
}  // namespace modelbatch

int main(int argc, char** argv) {
  using modelbatch::Json;
  if (argc == 2 && std::string(argv[1]) == "--kinds") {
    std::cout << modelbatch::Kinds();
    return 0;
  }
  for (const auto& [name, lambda] :
       {std::pair<std::string, modelbatch::LrLambda>(
            "inverse", [](int64_t e) { return 1.0 / (1.0 + e); }),
        std::pair<std::string, modelbatch::LrLambda>(
            "sawtooth", [](int64_t e) { return 0.25 + (e % 7) / 8.0; })}) {
    if (!modelbatch::RegisterLrLambda(name, lambda).ok()) return 1;
  }
  Json job;
  std::cin >> job;
  const absl::StatusOr<Json> answer = modelbatch::Run(job);
  std::cout << (answer.ok()
                    ? *answer
                    : Json{{"error", std::string(answer.status().message())}});
  return 0;
}
