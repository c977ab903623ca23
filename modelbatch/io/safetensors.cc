#include "modelbatch/io/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/status_macros.h"
#include "nlohmann/json.hpp"

namespace modelbatch {
namespace {

using Json = nlohmann::json;

constexpr char kMetadata[] = "__metadata__";
constexpr uint64_t kLengthBytes = 8;
// The reference implementation's limit.
constexpr uint64_t kMaxHeader = 100'000'000;

const char* FileType(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "F32";
    case DType::kFloat64:
      return "F64";
    case DType::kInt32:
      return "I32";
    case DType::kInt64:
      return "I64";
    case DType::kUInt8:
      return "U8";
  }
  return "";
}

std::optional<DType> ParseFileType(const std::string& text) {
  for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32,
                      DType::kInt64, DType::kUInt8}) {
    if (text == FileType(dtype)) return dtype;
  }
  return std::nullopt;
}

bool IsKnownFileType(const std::string& text) {
  static const auto* const kOthers = new std::set<std::string>{
      "BOOL", "F4",  "F6_E2M3", "F6_E3M2", "U16",     "I8",      "I16", "U32",
      "U64",  "F16", "BF16",    "F8_E5M2", "F8_E4M3", "F8_E8M0", "C64"};
  return kOthers->count(text) > 0;
}

// Finds a name that appears twice in one object, which a parser lets pass. The
// parser's own callbacks would do, but look through all tensors after each.
class DuplicateFinder : public nlohmann::json_sax<Json> {
 public:
  bool start_object(size_t) override {
    names_.emplace_back();
    return true;
  }
  bool end_object() override {
    names_.pop_back();
    return true;
  }
  bool key(std::string& name) override {
    if (!names_.back().insert(name).second && duplicate_.empty()) {
      duplicate_ = absl::StrCat("\"", name, "\"");
    }
    return true;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t, const std::string&,
                   const nlohmann::detail::exception&) override {
    return false;
  }

  const std::string& duplicate() const { return duplicate_; }

 private:
  std::vector<std::set<std::string>> names_;
  std::string duplicate_;
};

// One tensor's entry of the header.
struct Entry {
  std::string name;
  DType dtype = DType::kFloat32;
  Shape shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

class Reader {
 public:
  Reader(const std::string& bytes, const std::string& file)
      : bytes_(bytes), file_(file) {}

  absl::StatusOr<Safetensors> Read() {
    MB_ASSIGN_OR_RETURN(const Json header, ReadHeader());
    Safetensors result;
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
      if (name == kMetadata) {
        MB_RETURN_IF_ERROR(ReadMetadata(value, &result));
        continue;
      }
      MB_ASSIGN_OR_RETURN(Entry entry, ReadEntry(name, value));
      entries.push_back(std::move(entry));
    }
    MB_RETURN_IF_ERROR(CheckCoverage(&entries));
    for (Entry& entry : entries) {
      Tensor tensor = Tensor::Zeros(entry.dtype, std::move(entry.shape));
      if (entry.end > entry.begin) {
        std::memcpy(tensor.raw(), Data() + entry.begin,
                    entry.end - entry.begin);
      }
      result.tensors.emplace(std::move(entry.name), std::move(tensor));
    }
    return result;
  }

 private:
  absl::Status Error(const std::string& message) const {
    return absl::DataLossError(
        absl::StrCat(file_, ": not a valid safetensors file: ", message));
  }

  absl::Status TensorError(const std::string& name,
                           const std::string& message) const {
    return Error(absl::StrCat("tensor \"", name, "\": ", message));
  }

  const char* Data() const { return bytes_.data() + kLengthBytes + length_; }
  uint64_t DataSize() const { return bytes_.size() - kLengthBytes - length_; }

  absl::StatusOr<Json> ReadHeader() {
    if (bytes_.size() < kLengthBytes) {
      return Error(absl::StrCat("it has ", bytes_.size(),
                                " bytes, too few for the header's length"));
    }
    std::memcpy(&length_, bytes_.data(), kLengthBytes);
    if (length_ > kMaxHeader) {
      return Error(absl::StrCat("a header of ", length_,
                                " bytes, expected at most ", kMaxHeader));
    }
    if (length_ > bytes_.size() - kLengthBytes) {
      return Error(absl::StrCat("a header of ", length_, " bytes, but only ",
                                bytes_.size() - kLengthBytes, " are there"));
    }
    const char* begin = bytes_.data() + kLengthBytes;
    if (length_ == 0 || *begin != '{') {
      return Error("the header does not begin with \"{\"");
    }
    Json header = Json::parse(begin, begin + length_, /*cb=*/nullptr,
                              /*allow_exceptions=*/false);
    if (!header.is_object()) return Error("the header is not JSON");
    DuplicateFinder finder;
    Json::sax_parse(begin, begin + length_, &finder);
    if (!finder.duplicate().empty()) {
      return Error(absl::StrCat("the name ", finder.duplicate(),
                                " appears more than once"));
    }
    return header;
  }

  absl::Status ReadMetadata(const Json& value, Safetensors* result) const {
    if (!value.is_object()) return Error("__metadata__ is not an object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) {
        return Error(
            absl::StrCat("__metadata__: \"", key, "\" is not a string"));
      }
      result->metadata[key] = text.get<std::string>();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Entry> ReadEntry(const std::string& name,
                                  const Json& value) const {
    Entry entry;
    entry.name = name;
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
        !value.contains("shape") || !value.contains("data_offsets")) {
      return TensorError(name, "expected dtype, shape and data_offsets");
    }
    const Json& dtype = value["dtype"];
    if (!dtype.is_string()) return TensorError(name, "dtype is not a string");
    const std::string type = dtype.get<std::string>();
    const std::optional<DType> known = ParseFileType(type);
    if (!known && IsKnownFileType(type)) {
      return absl::UnimplementedError(
          absl::StrCat(file_, ": tensor \"", name, "\": dtype ", type,
                       " is not supported, expected F32, F64, I32, I64 or U8"));
    }
    if (!known) return TensorError(name, absl::StrCat("no dtype ", type));
    entry.dtype = *known;
    MB_ASSIGN_OR_RETURN(const uint64_t size,
                        ReadShape(name, value["shape"], &entry));
    MB_RETURN_IF_ERROR(ReadOffsets(name, value["data_offsets"], &entry));
    if (entry.end - entry.begin != size) {
      return TensorError(
          name, absl::StrCat("shape ", ShapeToString(entry.shape), " of ",
                             FileType(entry.dtype), " takes ", size,
                             " bytes, its offsets ", entry.end - entry.begin));
    }
    return entry;
  }

  // Returns the size in bytes.
  absl::StatusOr<uint64_t> ReadShape(const std::string& name, const Json& value,
                                     Entry* entry) const {
    // More dimensions than any tensor has.
    constexpr size_t kMaxRank = 64;
    if (!value.is_array() || value.size() > kMaxRank) {
      return TensorError(name, "shape is not an array of sizes");
    }
    // With a size 0 the others may be anything whose product a tensor can
    // still count.
    uint64_t count = 1;
    bool empty = false;
    for (const Json& dimension : value) {
      constexpr uint64_t kMaxCount = uint64_t{1} << 60;
      if (!dimension.is_number_unsigned() ||
          dimension.get<uint64_t>() > kMaxCount) {
        return TensorError(name, "shape has an entry that is no size");
      }
      const uint64_t dimension_size = dimension.get<uint64_t>();
      entry->shape.push_back(static_cast<int64_t>(dimension_size));
      empty = empty || dimension_size == 0;
      if (__builtin_mul_overflow(count, std::max<uint64_t>(dimension_size, 1),
                                 &count) ||
          count > kMaxCount) {
        return TensorError(name, "shape overflows");
      }
    }
    // At most 2^60 elements of at most 8 bytes: no overflow.
    return empty ? 0 : count * DTypeSize(entry->dtype);
  }

  absl::Status ReadOffsets(const std::string& name, const Json& value,
                           Entry* entry) const {
    if (!value.is_array() || value.size() != 2 ||
        !value[0].is_number_unsigned() || !value[1].is_number_unsigned()) {
      return TensorError(name, "data_offsets are not two offsets");
    }
    entry->begin = value[0].get<uint64_t>();
    entry->end = value[1].get<uint64_t>();
    if (entry->begin > entry->end) {
      return TensorError(name, "data_offsets decrease");
    }
    if (entry->end > DataSize()) {
      return TensorError(name,
                         absl::StrCat("ends at byte ", entry->end,
                                      " of the data, which has ", DataSize()));
    }
    return absl::OkStatus();
  }

  // Every byte of the data belongs to exactly one tensor.
  absl::Status CheckCoverage(std::vector<Entry>* entries) const {
    std::sort(entries->begin(), entries->end(),
              [](const Entry& a, const Entry& b) {
                return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
              });
    uint64_t at = 0;
    for (const Entry& entry : *entries) {
      if (entry.begin < at) {
        return TensorError(entry.name, "overlaps another tensor");
      }
      if (entry.begin > at) {
        return TensorError(entry.name, "follows a hole in the data");
      }
      at = entry.end;
    }
    if (at != DataSize()) {
      return Error(absl::StrCat("the tensors take ", at, " bytes, the data ",
                                DataSize()));
    }
    return absl::OkStatus();
  }

  const std::string& bytes_;
  const std::string& file_;
  uint64_t length_ = 0;
};

// The header's text, padded with spaces so that the data begins aligned.
absl::StatusOr<std::string> BuildHeader(
    const std::string& path, const std::vector<NamedTensor>& ordered,
    const std::map<std::string, std::string>& metadata) {
  // Written piece by piece, in the order of the data.
  const auto quote = [](const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  std::vector<std::string> fields;
  if (!metadata.empty()) {
    fields.push_back(absl::StrCat("\"", kMetadata, "\":", quote(metadata)));
  }
  uint64_t offset = 0;
  std::set<std::string> names;
  for (const NamedTensor& entry : ordered) {
    if (entry.name == kMetadata || !names.insert(entry.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot write ", path, ": the name \"", entry.name,
                       "\" is reserved or appears more than once"));
    }
    const uint64_t end = offset + entry.tensor->byte_size();
    fields.push_back(absl::StrCat(
        quote(entry.name), ":{\"dtype\":\"", FileType(entry.tensor->dtype()),
        "\",\"shape\":[", absl::StrJoin(entry.tensor->shape(), ","),
        "],\"data_offsets\":[", offset, ",", end, "]}"));
    offset = end;
  }
  std::string text = absl::StrCat("{", absl::StrJoin(fields, ","), "}");
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes,
              ' ');
  if (text.size() > kMaxHeader) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write ", path, ": the header would have ",
                     text.size(), " bytes, the format allows ", kMaxHeader));
  }
  return text;
}

}  // namespace

absl::Status WriteSafetensors(
    const std::string& path, const std::vector<NamedTensor>& tensors,
    const std::map<std::string, std::string>& metadata, AtomicFiles* files) {
  // Wide elements first: then every tensor is aligned to its element.
  std::vector<NamedTensor> ordered = tensors;
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const NamedTensor& a, const NamedTensor& b) {
                     const size_t size_a = DTypeSize(a.tensor->dtype());
                     const size_t size_b = DTypeSize(b.tensor->dtype());
                     return size_a != size_b ? size_a > size_b
                                             : a.name < b.name;
                   });
  MB_ASSIGN_OR_RETURN(const std::string header,
                      BuildHeader(path, ordered, metadata));
  MB_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  const uint64_t length = header.size();
  MB_RETURN_IF_ERROR(file.Append(&length, sizeof(length)));
  MB_RETURN_IF_ERROR(file.Append(header.data(), header.size()));
  for (const NamedTensor& entry : ordered) {
    MB_RETURN_IF_ERROR(
        file.Append(entry.tensor->raw(), entry.tensor->byte_size()));
  }
  return Commit(std::move(file), files);
}

absl::StatusOr<Safetensors> ParseSafetensors(const std::string& bytes,
                                             const std::string& name) {
  return Reader(bytes, name).Read();
}

absl::StatusOr<Safetensors> ReadSafetensors(const std::string& path) {
  MB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return ParseSafetensors(bytes, path);
}

}  // namespace modelbatch
