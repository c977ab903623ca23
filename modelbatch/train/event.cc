#include "modelbatch/train/event.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

using Json = nlohmann::ordered_json;

struct KindNames {
  EventKind kind;
  const char* name;
  const char* one;   // of one event
  const char* many;  // of several
};

constexpr std::array<KindNames, 7> kKinds = {{
    {EventKind::kFreeze, "freeze", "freeze", "freezes"},
    {EventKind::kUnfreeze, "unfreeze", "unfreeze", "unfreezes"},
    {EventKind::kReset, "reset", "reset", "resets"},
    {EventKind::kRemove, "remove", "removal", "removals"},
    {EventKind::kReplace, "replace", "replacement", "replacements"},
    {EventKind::kEarlyStop, "early_stop", "early stop", "early stops"},
    {EventKind::kWarning, "warning", "warning", "warnings"},
}};

const KindNames& NamesOf(EventKind kind) {
  return *std::find_if(kKinds.begin(), kKinds.end(),
                       [kind](const KindNames& k) { return k.kind == kind; });
}

std::string FingerprintText(uint64_t fingerprint) {
  return absl::StrFormat("%016x", fingerprint);
}

// JSON has no infinity, which turns clipping off.
Json NumberToJson(double value) {
  if (std::isfinite(value)) return value;
  return value > 0 ? "inf" : "-inf";
}

Json ToJson(const Event& event) {
  Json json;
  json["step"] = event.step;
  json["epoch"] = event.epoch;
  if (event.epoch_end) json["epoch_end"] = true;
  json["model"] = event.model;
  json["event"] = EventKindName(event.kind);
  json["reason"] = event.reason;
  json["by"] = event.built_in ? "config" : "program";
  if (event.kind == EventKind::kReplace) {
    json["source"] = event.source;
    json["copy"] = event.copy;
    Json changes = Json::object();
    for (const auto& [name, value] : event.changes) {
      changes[name] = NumberToJson(value);
    }
    json["changes"] = std::move(changes);
  }
  if (event.kind == EventKind::kReset || event.kind == EventKind::kReplace) {
    json["seed"] = event.seed;
  }
  json["fingerprint"] = FingerprintText(event.fingerprint);
  return json;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Reads the fields of one event; the first error is kept.
class FieldReader {
 public:
  FieldReader(const Json& json, std::string prefix)
      : json_(json), prefix_(std::move(prefix)) {
    if (!json.is_object()) Fail("expected an object");
  }

  std::string Text(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) return "";
    if (value->is_string()) return value->get<std::string>();
    Fail(absl::StrCat("\"", name, "\" is ", Dump(*value),
                      ", expected a string"));
    return "";
  }

  int64_t Int(const char* name, int64_t min) {
    const Json* value = Find(name);
    if (value == nullptr) return min;
    if (value->is_number_integer()) {
      const bool fits =
          !value->is_number_unsigned() ||
          value->get<uint64_t>() <=
              static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
      if (fits && value->get<int64_t>() >= min) return value->get<int64_t>();
    }
    Fail(absl::StrCat("\"", name, "\" is ", Dump(*value),
                      ", expected an integer of at least ", min));
    return min;
  }

  uint64_t Unsigned(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) return 0;
    if (value->is_number_unsigned()) return value->get<uint64_t>();
    Fail(absl::StrCat("\"", name, "\" is ", Dump(*value),
                      ", expected an integer of at least 0"));
    return 0;
  }

  bool True(const char* name) {
    if (!json_.is_object() || !json_.contains(name)) return false;
    if (json_[name] == Json(true)) return true;
    Fail(absl::StrCat("\"", name, "\" is ", Dump(json_[name]),
                      ", expected true or nothing"));
    return false;
  }

  OptimizerConfig Numbers(const char* name) {
    OptimizerConfig numbers;
    const Json* object = Find(name);
    if (object == nullptr) return numbers;
    if (!object->is_object()) {
      Fail(absl::StrCat("\"", name, "\" is ", Dump(*object),
                        ", expected an object"));
      return numbers;
    }
    for (const auto& [key, value] : object->items()) {
      double number = 0;
      if (value.is_number()) {
        number = value.get<double>();
      } else if (!value.is_string() ||
                 !absl::SimpleAtod(value.get<std::string>(), &number)) {
        Fail(absl::StrCat("\"", name, "\" has ", key, " = ", Dump(value),
                          ", expected a number"));
      }
      numbers[key] = number;
    }
    return numbers;
  }

  void Fail(const std::string& message) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(absl::StrCat(prefix_, message));
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  const Json* Find(const char* name) {
    if (!status_.ok()) return nullptr;
    const auto it = json_.find(name);
    if (it != json_.end()) return &*it;
    Fail(absl::StrCat("\"", name, "\" is missing"));
    return nullptr;
  }

  const Json& json_;
  std::string prefix_;
  absl::Status status_;
};

EventKind ReadKind(FieldReader* reader) {
  const std::string name = reader->Text("event");
  std::vector<std::string> names;
  for (const KindNames& kind : kKinds) {
    if (name == kind.name) return kind.kind;
    names.push_back(kind.name);
  }
  reader->Fail(absl::StrCat("\"event\" is \"", name, "\", expected one of ",
                            absl::StrJoin(names, ", ")));
  return EventKind::kWarning;
}

// `prefix` is for messages: "event 3: ".
absl::StatusOr<Event> FromJson(const Json& json, const std::string& prefix) {
  FieldReader reader(json, prefix);
  Event event;
  event.kind = ReadKind(&reader);
  event.step = reader.Int("step", 0);
  event.epoch = reader.Int("epoch", 1);
  event.epoch_end = reader.True("epoch_end");
  event.model = reader.Int("model", 0);
  event.reason = reader.Text("reason");
  const std::string by = reader.Text("by");
  event.built_in = by == "config";
  if (!event.built_in && by != "program") {
    reader.Fail(absl::StrCat("\"by\" is \"", by,
                             "\", expected \"config\" or \"program\""));
  }
  if (event.kind == EventKind::kReplace) {
    event.source = reader.Int("source", 0);
    event.copy = reader.Int("copy", 0);
    event.changes = reader.Numbers("changes");
  }
  if (event.kind == EventKind::kReset || event.kind == EventKind::kReplace) {
    event.seed = reader.Unsigned("seed");
  }
  const std::string fingerprint = reader.Text("fingerprint");
  if (fingerprint.size() != 16 ||
      !absl::SimpleHexAtoi(fingerprint, &event.fingerprint)) {
    reader.Fail(absl::StrCat("\"fingerprint\" is \"", fingerprint,
                             "\", expected 16 hexadecimal digits"));
  }
  if (!reader.status().ok()) return reader.status();
  return event;
}

}  // namespace

const char* EventKindName(EventKind kind) { return NamesOf(kind).name; }

std::string DescribeEvent(const Event& event) {
  std::string text =
      absl::StrCat(NamesOf(event.kind).one, " of model ", event.model);
  if (event.kind == EventKind::kReplace) {
    absl::StrAppend(&text, " by model ", event.copy, ", a copy of model ",
                    event.source, ",");
  }
  absl::StrAppend(&text, " at step ", event.step);
  if (!event.reason.empty()) absl::StrAppend(&text, ": ", event.reason);
  return text;
}

std::string CountEvents(const std::vector<Event>& events) {
  std::vector<std::string> parts;
  for (const KindNames& kind : kKinds) {
    const int64_t count =
        std::count_if(events.begin(), events.end(),
                      [&](const Event& e) { return e.kind == kind.kind; });
    if (count > 0) {
      parts.push_back(
          absl::StrCat(count, " ", count == 1 ? kind.one : kind.many));
    }
  }
  return absl::StrJoin(parts, ", ");
}

std::string EventDifference(const Event& run, const Event& alone) {
  const Json a = ToJson(run);
  const Json b = ToJson(alone);
  const auto text = [](const Json& json, const std::string& key) {
    return json.contains(key) ? Dump(json[key]) : std::string("missing");
  };
  for (const Json* keys : {&a, &b}) {
    for (const auto& [key, unused] : keys->items()) {
      if (text(a, key) == text(b, key)) continue;
      return absl::StrCat(key, " is ", text(a, key), " in the run, ",
                          text(b, key), " alone");
    }
  }
  return "";
}

std::string EventToJson(const Event& event) { return Dump(ToJson(event)); }

absl::StatusOr<Event> EventFromJson(const std::string& text) {
  return FromJson(Json::parse(text, nullptr, /*allow_exceptions=*/false), "");
}

std::string EventsToJson(const std::vector<Event>& events) {
  Json json = Json::array();
  for (const Event& event : events) json.push_back(ToJson(event));
  return Dump(json);
}

absl::StatusOr<std::vector<Event>> EventsFromJson(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) {
    return absl::InvalidArgumentError("expected a JSON array of events");
  }
  std::vector<Event> events;
  for (const Json& element : json) {
    MB_ASSIGN_OR_RETURN(
        Event event,
        FromJson(element, absl::StrCat("event ", events.size() + 1, ": ")));
    events.push_back(std::move(event));
  }
  return events;
}

absl::StatusOr<std::vector<int64_t>> IdsBefore(const std::vector<Event>& events,
                                               std::vector<int64_t> ids) {
  for (size_t i = events.size(); i-- > 0;) {
    const Event& event = events[i];
    if (event.kind != EventKind::kReplace) continue;
    const auto at = std::find(ids.begin(), ids.end(), event.copy);
    if (at == ids.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("event ", i + 1, ", ", DescribeEvent(event),
                       ": there is no model ", event.copy));
    }
    *at = event.model;
  }
  return ids;
}

}  // namespace modelbatch
