#include "modelbatch/data/idx_reader.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/gzip.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr size_t kMagicBytes = 4;
constexpr size_t kSizeBytes = 4;
constexpr size_t kMaxHeader = kMagicBytes + 255 * kSizeBytes;

struct TypeCode {
  uint8_t code;
  NumberType type;
};

constexpr TypeCode kTypes[] = {
    {0x08, NumberType::kUInt8},   {0x09, NumberType::kInt8},
    {0x0B, NumberType::kInt16},   {0x0C, NumberType::kInt32},
    {0x0D, NumberType::kFloat32}, {0x0E, NumberType::kFloat64},
};

class Reader {
 public:
  Reader(const std::string& bytes, const std::string& name)
      : file_(bytes), name_(name), zipped_(IsGzip(bytes)) {}

  absl::StatusOr<NumericArray> Read() {
    MB_ASSIGN_OR_RETURN(const std::string head, Content(kMaxHeader));
    NumericArray array;
    array.name = name_;
    MB_RETURN_IF_ERROR(ReadHeader(head, &array));
    absl::StatusOr<int64_t> count = CheckedElements(array.shape);
    if (!count.ok()) return Error(std::string(count.status().message()));
    const size_t number_size = NumberSize(array.type);
    const size_t header = kMagicBytes + kSizeBytes * array.shape.size();
    // At most 2^60 numbers of at most 8 bytes: no overflow.
    const uint64_t expected = *count * number_size;
    if (zipped_ && expected / kMaxGzipRatio > file_.size()) {
      return Error(absl::StrCat("its header says ", expected,
                                " bytes of data, more than ", file_.size(),
                                " of gzip can hold"));
    }
    // One byte more than there should be shows whether there is one.
    MB_ASSIGN_OR_RETURN(std::string content, Content(header + expected + 1));
    const uint64_t found = content.size() - header;
    if (found != expected) {
      return Error(absl::StrCat("it has ", found > expected ? "more than " : "",
                                found > expected ? expected : found,
                                " bytes of data, expected ", expected,
                                " for the shape ", ShapeToString(array.shape)));
    }
    content.erase(0, header);
    SwapBytes(number_size, &content);
    array.bytes = std::move(content);
    return array;
  }

 private:
  absl::Status Error(const std::string& message) const {
    return absl::DataLossError(
        absl::StrCat(name_, ": not a valid IDX file: ", message));
  }

  // The first bytes of what the file has, at most `limit`.
  absl::StatusOr<std::string> Content(uint64_t limit) const {
    if (zipped_) return Gunzip(file_, limit, name_);
    return file_.substr(0, limit);
  }

  absl::Status ReadHeader(const std::string& head, NumericArray* array) const {
    const auto byte = [&head](size_t i) {
      return static_cast<uint8_t>(head[i]);
    };
    if (head.size() < kMagicBytes) {
      return Error(absl::StrCat("it has ", head.size(), " bytes, expected at ",
                                "least ", kMagicBytes));
    }
    const auto type =
        std::find_if(std::begin(kTypes), std::end(kTypes),
                     [&](const TypeCode& t) { return t.code == byte(2); });
    if (byte(0) != 0 || byte(1) != 0 || type == std::end(kTypes)) {
      return Error(absl::StrFormat(
          "it begins with the bytes %02x %02x %02x %02x, expected 00 00, a "
          "type (08, 09, 0b, 0c, 0d, 0e) and a rank",
          byte(0), byte(1), byte(2), byte(3)));
    }
    array->type = type->type;
    const size_t rank = byte(3);
    if (head.size() < kMagicBytes + rank * kSizeBytes) {
      return Error(absl::StrCat("it has ", head.size(), " bytes, expected ",
                                rank, " sizes"));
    }
    for (size_t d = 0; d < rank; ++d) {
      int64_t size = 0;
      for (size_t i = 0; i < kSizeBytes; ++i) {
        size = size << 8 | byte(kMagicBytes + d * kSizeBytes + i);
      }
      array->shape.push_back(size);
    }
    return absl::OkStatus();
  }

  const std::string& file_;
  const std::string& name_;
  bool zipped_;
};

}  // namespace

absl::StatusOr<NumericArray> ParseIdx(const std::string& bytes,
                                      const std::string& name) {
  return Reader(bytes, name).Read();
}

absl::StatusOr<NumericArray> ReadIdx(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, expected an IDX file"));
  }
  MB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return ParseIdx(bytes, path);
}

}  // namespace modelbatch
