#include "modelbatch/plugin/named_values.h"

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

bool HasZeroByte(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

MB_NamedValue ToNamedValue(const std::string& name,
                           const AttributeValue& value) {
  MB_NamedValue result = {};
  result.name = name.c_str();
  std::visit(
      [&result](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, int64_t>) {
          result.type = MB_VALUE_INT64;
          result.i = v;
        } else if constexpr (std::is_same_v<T, double>) {
          result.type = MB_VALUE_FLOAT64;
          result.f = v;
        } else if constexpr (std::is_same_v<T, bool>) {
          result.type = MB_VALUE_BOOL;
          result.i = v ? 1 : 0;
        } else if constexpr (std::is_same_v<T, std::string>) {
          result.type = MB_VALUE_STRING;
          result.s = v.c_str();
        } else {
          constexpr bool kIntegers = std::is_same_v<T, std::vector<int64_t>>;
          constexpr bool kBytes = std::is_same_v<T, std::vector<uint8_t>>;
          static_assert(kIntegers || kBytes ||
                        std::is_same_v<T, std::vector<double>>);
          result.type = kIntegers ? MB_VALUE_INT64_LIST
                        : kBytes  ? MB_VALUE_BYTES
                                  : MB_VALUE_FLOAT64_LIST;
          result.list = v.data();
          result.list_size = v.size();
        }
      },
      value);
  return result;
}

template <typename T>
absl::StatusOr<AttributeValue> ToList(const MB_NamedValue& value) {
  if (value.list == nullptr && value.list_size > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("is a list of NULL with size ", value.list_size));
  }
  const T* const list = static_cast<const T*>(value.list);
  return AttributeValue(std::vector<T>(list, list + value.list_size));
}

absl::StatusOr<AttributeValue> ToAttributeValue(const MB_NamedValue& value) {
  switch (value.type) {
    case MB_VALUE_INT64:
      return AttributeValue(value.i);
    case MB_VALUE_FLOAT64:
      return AttributeValue(value.f);
    case MB_VALUE_BOOL:
      if (value.i != 0 && value.i != 1) {
        return absl::InvalidArgumentError(
            absl::StrCat("is a bool of ", value.i, ", expected 0 or 1"));
      }
      return AttributeValue(value.i == 1);
    case MB_VALUE_STRING:
      if (value.s == nullptr) {
        return absl::InvalidArgumentError("is a string of NULL");
      }
      return AttributeValue(std::string(value.s));
    case MB_VALUE_INT64_LIST:
      return ToList<int64_t>(value);
    case MB_VALUE_FLOAT64_LIST:
      return ToList<double>(value);
    case MB_VALUE_BYTES:
      return ToList<uint8_t>(value);
  }
  return absl::InvalidArgumentError(absl::StrCat("has type ", value.type,
                                                 ", expected ", MB_VALUE_INT64,
                                                 " to ", MB_VALUE_BYTES));
}

}  // namespace

absl::Status CheckCStrings(const Attributes& attributes,
                           std::string_view what) {
  for (const auto& [name, value] : attributes) {
    const std::string* text = std::get_if<std::string>(&value);
    if (HasZeroByte(name) || (text != nullptr && HasZeroByte(*text))) {
      return absl::InvalidArgumentError(
          absl::StrCat(std::string(what), ": \"", name.c_str(),
                       "\" has a zero byte in its name or value"));
    }
  }
  return absl::OkStatus();
}

NamedValues::NamedValues(const Attributes& attributes) {
  values_.reserve(attributes.size());
  for (const auto& [name, value] : attributes) {
    values_.push_back(ToNamedValue(name, value));
  }
}

absl::StatusOr<Attributes> ToAttributes(const MB_NamedValue* values,
                                        size_t count, std::string_view what) {
  const std::string list(what);
  if (values == nullptr && count > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(list, " is NULL, expected ", count, " values"));
  }
  Attributes attributes;
  for (size_t i = 0; i < count; ++i) {
    const MB_NamedValue& value = values[i];
    if (value.name == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(list, "[", i, "].name is NULL"));
    }
    const std::string entry =
        absl::StrCat(list, "[", i, "] (\"", value.name, "\")");
    if (value.reserved != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(entry, ".reserved is ", value.reserved, ", expected 0"));
    }
    absl::StatusOr<AttributeValue> converted = ToAttributeValue(value);
    if (!converted.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(entry, " ", converted.status().message()));
    }
    if (!attributes.emplace(value.name, *std::move(converted)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(entry, ": the name comes twice"));
    }
  }
  return attributes;
}

}  // namespace modelbatch
