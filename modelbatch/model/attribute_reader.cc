#include "modelbatch/model/attribute_reader.h"

#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace modelbatch {

absl::Status AttributeReader::Error(const std::string& message) const {
  return absl::InvalidArgumentError(absl::StrCat(owner_, ": ", message));
}

template <typename T>
absl::StatusOr<T> AttributeReader::Get(const std::string& name,
                                       const char* type,
                                       std::optional<T> default_value) {
  asked_.insert(name);
  const auto it = attributes_.find(name);
  if (it == attributes_.end()) {
    if (default_value.has_value()) return *std::move(default_value);
    return Error(
        absl::StrCat("attribute ", name, " is missing, expected ", type));
  }
  if (const T* value = std::get_if<T>(&it->second)) return *value;
  if constexpr (std::is_same_v<T, double>) {
    if (const int64_t* value = std::get_if<int64_t>(&it->second)) {
      return static_cast<double>(*value);
    }
  }
  if constexpr (std::is_same_v<T, std::vector<double>>) {
    if (const auto* list = std::get_if<std::vector<int64_t>>(&it->second)) {
      return T(list->begin(), list->end());
    }
  }
  return Error(
      absl::StrCat("attribute ", name, " has the wrong type, expected ", type));
}

absl::StatusOr<int64_t> AttributeReader::Int(
    const std::string& name, std::optional<int64_t> default_value) {
  return Get<int64_t>(name, "an integer", default_value);
}

absl::StatusOr<double> AttributeReader::Float(
    const std::string& name, std::optional<double> default_value) {
  return Get<double>(name, "a number", default_value);
}

absl::StatusOr<bool> AttributeReader::Bool(const std::string& name,
                                           std::optional<bool> default_value) {
  return Get<bool>(name, "true or false", default_value);
}

absl::StatusOr<std::string> AttributeReader::String(
    const std::string& name, std::optional<std::string> default_value) {
  return Get<std::string>(name, "a string", std::move(default_value));
}

absl::StatusOr<std::vector<double>> AttributeReader::FloatList(
    const std::string& name, std::optional<std::vector<double>> default_value) {
  return Get<std::vector<double>>(name, "a list of numbers",
                                  std::move(default_value));
}

absl::Status AttributeReader::Finish() const {
  for (const auto& [name, value] : attributes_) {
    if (asked_.count(name) > 0) continue;
    if (asked_.empty()) {
      return Error(
          absl::StrCat("unknown attribute ", name, ", expected no attributes"));
    }
    return Error(absl::StrCat("unknown attribute ", name, ", expected ",
                              absl::StrJoin(asked_, ", ")));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
