#include "tests/schedules/parse_schedule.h"

#include <cstdint>
#include <string>
#include <vector>

namespace modelbatch {
namespace {

using Json = nlohmann::json;

AttributeValue ParseValue(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) return json.get<std::vector<int64_t>>();
  if (json.is_number_integer()) return json.get<int64_t>();
  return json.get<double>();
}

}  // namespace

LrScheduleSpec ParseSchedule(const Json& json) {
  LrScheduleSpec spec;
  spec.kind = json.at("kind");
  for (const auto& [name, value] : json.at("arguments").items()) {
    spec.arguments[name] = ParseValue(value);
  }
  if (json.contains("schedulers")) {
    for (const Json& inner : json["schedulers"]) {
      spec.schedulers.push_back(ParseSchedule(inner));
    }
  }
  return spec;
}

}  // namespace modelbatch
