#include "modelbatch/optim/lr_schedule_info.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace modelbatch {
namespace {

using Type = LrScheduleArgument::Type;

constexpr double kMaxDouble = std::numeric_limits<double>::max();
// Of counts: what a double holds, with room for sums and products.
constexpr double kMaxCount = 1e9;

LrScheduleArgument Required(LrScheduleArgument argument) {
  argument.required = true;
  return argument;
}

LrScheduleArgument Derived(LrScheduleArgument argument) {
  argument.required = true;
  argument.derived = true;
  return argument;
}

LrScheduleArgument Count(const char* name, int64_t value, double min) {
  LrScheduleArgument a{name, Type::kInt, value};
  a.min = min;
  a.max = kMaxCount;
  return a;
}

LrScheduleArgument Counts(const char* name, double min) {
  LrScheduleArgument a{name, Type::kIntList, std::vector<int64_t>()};
  a.min = min;
  a.max = kMaxCount;
  return a;
}

// In [0, max].
LrScheduleArgument Number(const char* name, double value,
                          double max = kMaxDouble) {
  LrScheduleArgument a{name, Type::kFloat, value};
  a.max = max;
  return a;
}

// In (0, max].
LrScheduleArgument Positive(const char* name, double value,
                            double max = kMaxDouble) {
  LrScheduleArgument a = Number(name, value, max);
  a.min_open = true;
  return a;
}

LrScheduleArgument Below(LrScheduleArgument argument) {
  argument.max_open = true;
  return argument;
}

LrScheduleArgument Flag(const char* name, bool value) {
  LrScheduleArgument a{name, Type::kBool, value};
  a.max = 1;
  return a;
}

// One of `choices`, the first by default.
LrScheduleArgument Choice(const char* name, std::vector<std::string> choices) {
  LrScheduleArgument a{name, Type::kString, choices[0]};
  a.choices = std::move(choices);
  return a;
}

const char* TypeName(Type type) {
  switch (type) {
    case Type::kInt:
      return "an integer";
    case Type::kFloat:
      return "a number";
    case Type::kBool:
      return "true or false";
    case Type::kString:
      return "a string";
    case Type::kIntList:
      return "a list of integers";
  }
  return "";
}

}  // namespace

const std::vector<LrScheduleInfo>& LrSchedules() {
  static const auto* const kTable = new std::vector<LrScheduleInfo>{
      {"step_lr", {Required(Count("step_size", 0, 1)), Number("gamma", 0.1)}},
      {"multi_step_lr",
       {Required(Counts("milestones", 0)), Number("gamma", 0.1)}},
      {"constant_lr",
       // torch lets a factor of 0 pass and divides by it at total_iters.
       {Positive("factor", 1.0 / 3, 1), Count("total_iters", 5, 1)}},
      {"linear_lr",
       {Positive("start_factor", 1.0 / 3, 1), Number("end_factor", 1, 1),
        Count("total_iters", 5, 1)}},
      {"exponential_lr", {Required(Number("gamma", 0))}},
      {"polynomial_lr", {Count("total_iters", 5, 1), Number("power", 1)}},
      {"cosine_annealing_lr",
       {Derived(Count("T_max", 0, 1)), Number("eta_min", 0)}},
      {"cosine_annealing_warm_restarts",
       {Required(Count("T_0", 0, 1)), Count("T_mult", 1, 1),
        Number("eta_min", 0)}},
      {"one_cycle_lr",
       {Required(Number("max_lr", 0)), Derived(Count("total_steps", 0, 1)),
        Number("pct_start", 0.3, 1),
        Choice("anneal_strategy", {"cos", "linear"}),
        Flag("cycle_momentum", true), Number("base_momentum", 0.85),
        Number("max_momentum", 0.95), Positive("div_factor", 25),
        Positive("final_div_factor", 1e4), Flag("three_phase", false)}},
      {"reduce_lr_on_plateau",
       {Choice("mode", {"min", "max"}), Below(Number("factor", 0.1, 1)),
        Count("patience", 10, 0), Number("threshold", 1e-4),
        Choice("threshold_mode", {"rel", "abs"}), Count("cooldown", 0, 0),
        Number("min_lr", 0), Number("eps", 1e-8)}},
      {"lambda_lr", {Required({"lr_lambda", Type::kString, std::string()})}},
      {"sequential_lr", {Required(Counts("milestones", 1))}, true},
      {"chained_scheduler", {}, true},
  };
  return *kTable;
}

const LrScheduleInfo* FindLrSchedule(const std::string& kind) {
  for (const LrScheduleInfo& info : LrSchedules()) {
    if (info.kind == kind) return &info;
  }
  return nullptr;
}

const LrScheduleArgument* LrScheduleInfo::Find(const std::string& name) const {
  for (const LrScheduleArgument& argument : arguments) {
    if (argument.name == name) return &argument;
  }
  return nullptr;
}

absl::Status LrScheduleArgument::CheckNumber(double value) const {
  const bool whole = type == Type::kInt || type == Type::kIntList;
  const bool inside =
      (min_open ? value > min : value >= min) &&
      (max_open ? value < max : value <= max) &&  // NaN: false
      (!(whole || type == Type::kBool) || value == std::floor(value));
  if (inside) return absl::OkStatus();
  std::string range;
  if (type == Type::kBool) {
    range = "0 or 1";
  } else if (whole) {
    range = absl::StrCat("an integer from ", min, " to ",
                         static_cast<int64_t>(max));
  } else if (max == kMaxDouble) {
    range = absl::StrCat("a finite number ",
                         min_open ? "above " : "of at least ", min);
  } else {
    range = absl::StrCat("a number in ", min_open ? "(" : "[", min, ", ", max,
                         max_open ? ")" : "]");
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", expected ", range));
}

absl::Status LrScheduleArgument::Check(const AttributeValue& value) const {
  const auto* i = std::get_if<int64_t>(&value);
  const auto* d = std::get_if<double>(&value);
  const auto* s = std::get_if<std::string>(&value);
  switch (type) {
    case Type::kInt:
      if (i != nullptr) return CheckNumber(static_cast<double>(*i));
      break;
    case Type::kFloat:
      if (i != nullptr) return CheckNumber(static_cast<double>(*i));
      if (d != nullptr) return CheckNumber(*d);
      break;
    case Type::kBool:
      if (std::holds_alternative<bool>(value)) return absl::OkStatus();
      break;
    case Type::kString:
      if (s == nullptr) break;
      if (choices.empty() && !s->empty()) return absl::OkStatus();
      for (const std::string& choice : choices) {
        if (*s == choice) return absl::OkStatus();
      }
      return absl::InvalidArgumentError(absl::StrCat(
          name, " is \"", *s, "\", expected ",
          choices.empty()
              ? "a name"
              : absl::StrCat("one of: ", absl::StrJoin(choices, ", "))));
    case Type::kIntList:
      if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) {
        for (int64_t element : *list) {
          absl::Status status = CheckNumber(static_cast<double>(element));
          if (!status.ok()) return status;
        }
        return absl::OkStatus();
      }
      break;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " has another type, expected ", TypeName(type)));
}

}  // namespace modelbatch
