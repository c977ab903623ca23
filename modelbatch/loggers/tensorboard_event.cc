#include "modelbatch/loggers/tensorboard_event.h"

#include <cstring>
#include <optional>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr std::string_view kVersion = "brain.Event:2";
constexpr std::string_view kHyperParameters = "hparams";
constexpr std::string_view kSessionStart = "_hparams_/session_start_info";

// ---- The wire format: https://protobuf.dev/programming-guides/encoding

enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kFixed32 = 5
};

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) {
    out->push_back(static_cast<char>(value | 0x80));
  }
  out->push_back(static_cast<char>(value));
}

void AppendTag(uint32_t field, WireType type, std::string* out) {
  AppendVarint(field << 3 | type, out);
}

void AppendInt(uint32_t field, int64_t value, std::string* out) {
  AppendTag(field, kVarint, out);
  AppendVarint(static_cast<uint64_t>(value), out);
}

template <typename T>
void AppendBits(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out->push_back(static_cast<char>(value >> (8 * i)));
  }
}

void AppendDouble(uint32_t field, double value, std::string* out) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  AppendTag(field, kFixed64, out);
  AppendBits(bits, out);
}

void AppendFloat(uint32_t field, float value, std::string* out) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  AppendTag(field, kFixed32, out);
  AppendBits(bits, out);
}

// A string, or a message.
void AppendBytes(uint32_t field, std::string_view bytes, std::string* out) {
  AppendTag(field, kBytes, out);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

std::optional<uint64_t> TakeVarint(std::string_view* in) {
  uint64_t value = 0;
  for (int shift = 0; shift < 70 && !in->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// ---- The messages

// Event { wall_time = 1; step = 2; ... }
std::string EventBegin(double time, int64_t step) {
  std::string event;
  AppendDouble(1, time, &event);
  if (step != 0) AppendInt(2, step, &event);
  return event;
}

// google.protobuf.Value { number_value = 2; string_value = 3; bool_value = 4 }
absl::StatusOr<std::string> ValueMessage(const std::string& name,
                                         const AttributeValue& value) {
  std::string message;
  if (const auto* i = std::get_if<int64_t>(&value)) {
    AppendDouble(2, static_cast<double>(*i), &message);
  } else if (const auto* d = std::get_if<double>(&value)) {
    AppendDouble(2, *d, &message);
  } else if (const auto* s = std::get_if<std::string>(&value)) {
    AppendBytes(3, *s, &message);
  } else if (const auto* b = std::get_if<bool>(&value)) {
    AppendInt(4, *b ? 1 : 0, &message);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("hyper-parameter \"", name,
                     "\" is a list, expected a number, a string or a boolean"));
  }
  return message;
}

}  // namespace

std::string VersionEvent(double time) {
  std::string event = EventBegin(time, 0);
  AppendBytes(3, kVersion, &event);  // file_version
  return event;
}

std::string ScalarsEvent(
    double time, int64_t step,
    const std::vector<std::pair<std::string, float>>& all) {
  std::string summary;
  for (const auto& [tag, number] : all) {
    std::string value;
    AppendBytes(1, tag, &value);
    AppendFloat(2, number, &value);   // simple_value
    AppendBytes(1, value, &summary);  // Summary.value
  }
  std::string event = EventBegin(time, step);
  AppendBytes(5, summary, &event);  // Event.summary
  return event;
}

absl::StatusOr<std::string> HyperParametersEvent(double time, int64_t step,
                                                 const Attributes& values) {
  std::string session;  // SessionStartInfo
  for (const auto& [name, value] : values) {
    MB_ASSIGN_OR_RETURN(const std::string message, ValueMessage(name, value));
    std::string entry;
    AppendBytes(1, name, &entry);
    AppendBytes(2, message, &entry);
    AppendBytes(1, entry, &session);  // hparams
  }
  AppendDouble(5, time, &session);  // start_time_secs
  std::string data;                 // HParamsPluginData, of version 0
  AppendBytes(3, session, &data);   // session_start_info
  std::string plugin;               // SummaryMetadata.PluginData
  AppendBytes(1, kHyperParameters, &plugin);
  AppendBytes(2, data, &plugin);
  std::string metadata;
  AppendBytes(1, plugin, &metadata);
  std::string tensor;  // a scalar float, as TensorBoard's own writer puts there
  AppendInt(1, 1, &tensor);     // dtype: DT_FLOAT
  AppendBytes(2, "", &tensor);  // tensor_shape: of no dimensions
  std::string four(sizeof(float), '\0');
  AppendBytes(5, four, &tensor);  // float_val
  std::string value;
  AppendBytes(1, kSessionStart, &value);
  AppendBytes(8, tensor, &value);
  AppendBytes(9, metadata, &value);
  std::string summary;
  AppendBytes(1, value, &summary);
  std::string event = EventBegin(time, step);
  AppendBytes(5, summary, &event);
  return event;
}

absl::StatusOr<EventInfo> ReadEvent(std::string_view event) {
  EventInfo info;
  std::string_view rest = event;
  while (!rest.empty()) {
    const std::optional<uint64_t> tag = TakeVarint(&rest);
    std::optional<uint64_t> size;
    if (tag.has_value()) {
      switch (*tag & 7) {
        case kVarint: {
          const std::optional<uint64_t> value = TakeVarint(&rest);
          if (value.has_value()) size = 0;
          if (value.has_value() && *tag >> 3 == 2) {
            info.step = static_cast<int64_t>(*value);
          }
          break;
        }
        case kFixed64:
          size = 8;
          break;
        case kBytes:
          size = TakeVarint(&rest);
          break;
        case kFixed32:
          size = 4;
          break;
        default:
          break;
      }
    }
    if (!size.has_value() || *size > rest.size()) {
      return absl::DataLossError("a record is no event");
    }
    rest.remove_prefix(*size);
  }
  info.hyper_parameters = event.find(kSessionStart) != std::string_view::npos;
  return info;
}

}  // namespace modelbatch
