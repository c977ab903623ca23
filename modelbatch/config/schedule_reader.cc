#include "modelbatch/config/schedule_reader.h"

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/config/sweep_reader.h"
#include "modelbatch/config/toml_document.h"
#include "modelbatch/optim/lr_schedule_info.h"

namespace modelbatch {
namespace {

using Type = LrScheduleArgument::Type;

constexpr char kPlateau[] = "reduce_lr_on_plateau";
constexpr char kOneCycle[] = "one_cycle_lr";

// The default of a kInt, kFloat or kBool.
double DefaultNumber(const LrScheduleArgument& argument) {
  if (const auto* i = std::get_if<int64_t>(&argument.default_value)) {
    return static_cast<double>(*i);
  }
  if (const auto* b = std::get_if<bool>(&argument.default_value)) {
    return *b ? 1 : 0;
  }
  return std::get<double>(argument.default_value);
}

class ScheduleReader {
 public:
  ScheduleReader(TableReader* table, bool grid) : table_(table), grid_(grid) {}

  // Kind and arguments; `mode` is that of a plateau whose table does not say.
  void Read(ScheduleConfig* schedule, const std::string& mode) {
    const LrScheduleInfo* info = ReadKind(schedule);
    if (info == nullptr) return;
    for (const LrScheduleArgument& argument : info->arguments) {
      ReadArgument(argument, mode, schedule);
    }
    if (info->has_schedulers) ReadSchedulers(schedule);
  }

 private:
  const LrScheduleInfo* ReadKind(ScheduleConfig* schedule) {
    schedule->kind = table_->String("kind");
    if (!table_->ok()) return nullptr;
    const LrScheduleInfo* info = FindLrSchedule(schedule->kind);
    if (info == nullptr) {
      std::vector<std::string> kinds;
      for (const LrScheduleInfo& i : LrSchedules()) kinds.push_back(i.kind);
      table_->Fail("kind",
                   absl::StrCat("no learning-rate schedule \"", schedule->kind,
                                "\"", SuggestName(schedule->kind, kinds)));
    }
    return info;
  }

  void ReadArgument(const LrScheduleArgument& argument, const std::string& mode,
                    ScheduleConfig* schedule) {
    const std::string& name = argument.name;
    const toml::node* node = table_->Find(name);
    if (node == nullptr && argument.required) {
      if (!argument.derived) {
        table_->Missing(name, absl::StrCat("a value: ", schedule->kind,
                                           " has no default for it"));
      }
      return;
    }
    const CheckNumber check = [&argument](double value) {
      return argument.CheckNumber(value);
    };
    switch (argument.type) {
      case Type::kInt:
      case Type::kFloat:
      case Type::kBool: {
        const bool integer = argument.type == Type::kInt;
        schedule->numbers[name] =
            node == nullptr ? Sweep::Fixed(DefaultNumber(argument), integer)
                            : ReadSweep(table_, name, integer, grid_, check,
                                        argument.type == Type::kBool);
        return;
      }
      case Type::kString: {
        std::string value = name == "mode" ? mode : std::string();
        if (!argument.choices.empty() && (node != nullptr || value.empty())) {
          value = table_->OneOf(name, argument.choices);
        } else if (node != nullptr) {
          value = table_->String(name);
          if (value.empty()) table_->Fail(name, "is empty");
        }
        schedule->names[name] = value;
        return;
      }
      case Type::kIntList: {
        const toml::array* array = node->as_array();
        if (array == nullptr) {
          table_->Fail(name, absl::StrCat("expected an array of integers, "
                                          "found ",
                                          DescribeToml(*node)));
          return;
        }
        std::vector<Sweep>& list = schedule->lists[name];
        for (size_t i = 0; i < array->size(); ++i) {
          list.push_back(ReadSweepAt(
              *array->get(i), absl::StrCat(table_->PathOf(name), "[", i, "]"),
              table_, /*integer=*/true, grid_, check));
        }
        return;
      }
    }
  }

  void ReadSchedulers(ScheduleConfig* schedule) {
    static constexpr char kKey[] = "schedulers";
    const toml::node* node = table_->Find(kKey);
    const toml::array* array = node == nullptr ? nullptr : node->as_array();
    if (array == nullptr || array->empty()) {
      table_->Fail(kKey, absl::StrCat(node == nullptr ? "missing, " : "",
                                      "expected an array of schedules such as "
                                      "{ kind = \"linear_lr\" }"));
      return;
    }
    for (size_t i = 0; i < array->size() && table_->ok(); ++i) {
      const std::string at = absl::StrCat(table_->PathOf(kKey), "[", i, "]");
      const toml::table* inner = array->get(i)->as_table();
      if (inner == nullptr) {
        table_->FailAt(at, absl::StrCat("expected a table such as { kind = "
                                        "\"linear_lr\" }, found ",
                                        DescribeToml(*array->get(i))));
        return;
      }
      TableReader table(inner, at, &table_->source(), table_->status());
      ScheduleReader reader(&table, grid_);
      ScheduleConfig config;
      if (reader.ReadKind(&config) == nullptr) return;
      if (FindLrSchedule(config.kind)->has_schedulers ||
          config.kind == kPlateau) {
        table.Fail("kind", absl::StrCat("is \"", config.kind,
                                        "\", which cannot be part of a ",
                                        schedule->kind));
        return;
      }
      reader.Read(&config, "");
      table.Finish();
      schedule->schedulers.push_back(std::move(config));
    }
    const auto milestones = schedule->lists.find("milestones");
    if (table_->ok() && milestones != schedule->lists.end() &&
        milestones->second.size() + 1 != schedule->schedulers.size()) {
      table_->Fail("milestones",
                   absl::StrCat("has ", milestones->second.size(),
                                ", expected ", schedule->schedulers.size() - 1,
                                ": one less than schedulers"));
    }
  }

  TableReader* table_;
  bool grid_;
};

ScheduleMetric ReadMetric(TableReader* table, const DataConfig& data) {
  std::vector<std::string> names;
  if (data.split.validation > 0) {
    names.push_back("validation_loss");
    if (data.classification) names.push_back("validation_accuracy");
  }
  names.push_back("train_loss");
  const std::string name = table->OneOf("metric", names);
  if (name == "validation_loss") return ScheduleMetric::kValidationLoss;
  if (name == "validation_accuracy") return ScheduleMetric::kValidationAccuracy;
  return ScheduleMetric::kTrainLoss;
}

void ReadWarmup(TableReader* table, bool grid, ScheduleSection* section) {
  const bool given = table->Find("warmup") != nullptr;
  if (given) {
    section->warmup =
        ReadSweep(table, "warmup", /*integer=*/true, grid, [](double value) {
          constexpr double kMaxCount = 1e9;
          if (value >= 0 && value <= kMaxCount) return absl::OkStatus();
          return absl::InvalidArgumentError(
              absl::StrCat("is ", value, ", expected 0 to ", kMaxCount));
        });
    if (section->kind == kPlateau || !section->schedulers.empty()) {
      table->Fail("warmup",
                  absl::StrCat("cannot come before a ", section->kind));
    }
  }
  static constexpr char kFactor[] = "warmup_start_factor";
  if (table->Find(kFactor) == nullptr) return;
  if (!given) table->Fail(kFactor, "is given, but warmup is not");
  section->warmup_start_factor =
      ReadSweep(table, kFactor, /*integer=*/false, grid, [](double value) {
        if (value > 0 && value <= 1) return absl::OkStatus();
        return absl::InvalidArgumentError(
            absl::StrCat("is ", value, ", expected a number in (0, 1]"));
      });
}

}  // namespace

std::optional<ScheduleSection> ReadSchedule(TableReader* optimizer,
                                            const DataConfig& data, bool grid) {
  if (optimizer->Find("schedule") == nullptr) return std::nullopt;
  TableReader table = optimizer->Table("schedule");
  ScheduleSection section;
  if (!table.ok()) return section;
  // Known before the arguments are, so that a misspelt one is suggested.
  for (const char* key : {"every", "metric", "warmup", "warmup_start_factor"}) {
    table.Find(key);
  }
  const toml::node* kind = table.Find("kind");
  const bool plateau =
      kind != nullptr && kind->value<std::string>() == kPlateau;
  std::string mode;
  if (plateau) {
    section.metric = ReadMetric(&table, data);
    mode =
        section.metric == ScheduleMetric::kValidationAccuracy ? "max" : "min";
  } else if (table.Find("metric") != nullptr) {
    table.Fail("metric", absl::StrCat("is for ", kPlateau, " only"));
  }
  ScheduleReader(&table, grid).Read(&section, mode);
  if (!table.ok()) return section;
  const bool cycle = section.kind == kOneCycle;
  section.every_step =
      table.OneOf("every", {cycle ? "step" : "epoch",
                            cycle ? "epoch" : "step"}) == "step";
  if (plateau && section.every_step) {
    table.Fail("every", absl::StrCat("is \"step\", but the metric of ",
                                     kPlateau, " is that of an epoch"));
  }
  ReadWarmup(&table, grid, &section);
  table.Finish();
  return section;
}

}  // namespace modelbatch
