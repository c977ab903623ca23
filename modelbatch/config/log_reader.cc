#include "modelbatch/config/log_reader.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/config/toml_document.h"

namespace modelbatch {
namespace {

constexpr int64_t kMostSteps = 1'000'000'000;

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> ReadWriters(TableReader* log) {
  static const auto* const kNames =
      new std::vector<std::string>{"csv", "jsonl", "tensorboard"};
  std::vector<std::string> writers;
  const toml::node* node = log->Find("writers");
  if (node == nullptr) return writers;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    log->Fail("writers", absl::StrCat("expected an array of names, found ",
                                      DescribeToml(*node)));
    return writers;
  }
  for (size_t i = 0; i < array->size(); ++i) {
    const auto fail = [log, i](const std::string& message) {
      log->FailAt(absl::StrCat(log->PathOf("writers"), "[", i, "]"), message);
    };
    const auto* name = array->get(i)->as_string();
    if (name == nullptr) {
      fail(absl::StrCat("expected a name, found ",
                        DescribeToml(*array->get(i))));
    } else if (!Contains(*kNames, **name)) {
      fail(
          absl::StrCat("found \"", **name, "\"", SuggestName(**name, *kNames)));
    } else if (Contains(writers, **name)) {
      fail(absl::StrCat("\"", **name, "\" is there twice"));
    } else {
      writers.push_back(**name);
    }
  }
  return writers;
}

int64_t ReadEvery(TableReader* log, bool any) {
  const toml::node* node = log->Find("every");
  if (node == nullptr) return 0;
  if (!any) log->Fail("every", "is for train.log.writers, there are none");
  if (!node->is_string()) return log->Int("every", 0, 1, kMostSteps);
  log->OneOf("every", {"epoch"});
  return 0;
}

}  // namespace

LogConfig ReadLog(TableReader* train, const DataConfig& data) {
  LogConfig config;
  if (train->Find("log") == nullptr) return config;
  TableReader log = train->Table("log");
  config.writers = ReadWriters(&log);
  config.every = ReadEvery(&log, !config.writers.empty());
  config.confusion = log.Bool("confusion", config.confusion);
  if (config.confusion && !data.classification) {
    log.Fail("confusion", "needs classes, data.task is \"regression\"");
  }
  log.Finish();
  return config;
}

}  // namespace modelbatch
