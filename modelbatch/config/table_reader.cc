#include "modelbatch/config/table_reader.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/config/toml_document.h"

namespace modelbatch {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
constexpr double kMaxDouble = std::numeric_limits<double>::max();

std::string IntRange(int64_t min, int64_t max) {
  if (max == kMaxInt) {
    return absl::StrCat("an integer of at least ", min);
  }
  return absl::StrCat("an integer from ", min, " to ", max);
}

std::string NumberRange(double min, double max) {
  if (max == kMaxDouble) {
    if (min == -kMaxDouble) return "a finite number";
    return absl::StrCat("a finite number of at least ", min);
  }
  return absl::StrCat("a number from ", min, " to ", max);
}

std::string Expected(const std::string& what, const toml::node& found) {
  return absl::StrCat("expected ", what, ", found ", DescribeToml(found));
}

}  // namespace

std::string TableReader::PathOf(const std::string& key) const {
  return path_.empty() ? key : absl::StrCat(path_, ".", key);
}

const toml::node* TableReader::Find(const std::string& key) {
  known_.insert(key);
  return table_ == nullptr ? nullptr : table_->get(key);
}

std::string TableReader::String(
    const std::string& key, const std::optional<std::string>& default_value) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    if (!default_value) Missing(key, "a string");
    return default_value.value_or("");
  }
  if (const auto* value = node->as_string()) return **value;
  Fail(key, Expected("a string", *node));
  return default_value.value_or("");
}

std::string TableReader::OneOf(const std::string& key,
                               const std::vector<std::string>& names) {
  const std::string value = String(key, names.front());
  for (const std::string& name : names) {
    if (name == value) return value;
  }
  Fail(key, absl::StrCat("found \"", value, "\"", SuggestName(value, names)));
  return names.front();
}

bool TableReader::Bool(const std::string& key, bool default_value) {
  const toml::node* node = Find(key);
  if (node == nullptr) return default_value;
  if (const auto* value = node->as_boolean()) return **value;
  Fail(key, Expected("true or false", *node));
  return default_value;
}

int64_t TableReader::Int(const std::string& key,
                         std::optional<int64_t> default_value, int64_t min,
                         int64_t max) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    if (!default_value) Missing(key, IntRange(min, max));
    return default_value.value_or(min);
  }
  if (const auto* value = node->as_integer()) {
    if (**value >= min && **value <= max) return **value;
  }
  Fail(key, Expected(IntRange(min, max), *node));
  return default_value.value_or(min);
}

double TableReader::Number(const std::string& key,
                           std::optional<double> default_value, double min,
                           double max) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    if (!default_value) Missing(key, NumberRange(min, max));
    return default_value.value_or(min);
  }
  if (node->is_number()) {
    const double value = *node->value<double>();
    if (value >= min && value <= max) return value;  // never true for NaN
  }
  Fail(key, Expected(NumberRange(min, max), *node));
  return default_value.value_or(min);
}

std::vector<double> TableReader::Numbers(const std::string& key) {
  static constexpr char kExpected[] = "an array of finite numbers";
  std::vector<double> values;
  const toml::node* node = Find(key);
  if (node == nullptr) {
    Missing(key, kExpected);
    return values;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr || array->empty()) {
    Fail(key, array == nullptr
                  ? Expected(kExpected, *node)
                  : absl::StrCat("is empty, expected ", kExpected));
    return values;
  }
  for (size_t i = 0; i < array->size(); ++i) {
    const toml::node& element = *array->get(i);
    values.push_back(element.is_number() ? *element.value<double>() : 0);
    if (!element.is_number() || !std::isfinite(values.back())) {
      FailAt(absl::StrCat(PathOf(key), "[", i, "]"),
             Expected("a finite number", element));
    }
  }
  return values;
}

TableReader TableReader::Table(const std::string& key) {
  const toml::node* node = Find(key);
  const toml::table* table = node == nullptr ? nullptr : node->as_table();
  if (node != nullptr && table == nullptr) {
    Fail(key, Expected("a table", *node));
  }
  return TableReader(table, PathOf(key), source_, status_);
}

void TableReader::Missing(const std::string& key, const std::string& expected) {
  if (table_ != nullptr) {
    for (const auto& [other, node] : *table_) {
      const std::string name(other.str());
      if (known_.count(name) == 0 && !NearestName(name, {key}).empty()) {
        Fail(name, absl::StrCat("unknown key", SuggestName(name, {key})));
      }
    }
  }
  Fail(key, absl::StrCat("missing, expected ", expected));
}

void TableReader::Fail(const std::string& key, const std::string& message) {
  FailAt(PathOf(key), message);
}

void TableReader::FailAt(const std::string& path, const std::string& message) {
  if (status_->ok()) *status_ = source_->Error(path, message);
}

void TableReader::Finish() {
  if (table_ == nullptr) return;
  for (const auto& [key, node] : *table_) {
    const std::string name(key.str());
    if (known_.count(name) > 0) continue;
    Fail(name, absl::StrCat("unknown key",
                            SuggestName(name, {known_.begin(), known_.end()})));
  }
}

}  // namespace modelbatch
