#include "modelbatch/io/tf_record.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/crc32c.h"

namespace modelbatch {
namespace {

constexpr size_t kHeader = 12, kFooter = 4;

// So that a checksum of data which has checksums in it stays a good one.
uint32_t MaskedCrc(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <typename T>
void AppendLittleEndian(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out->push_back(static_cast<char>(value >> (8 * i)));
  }
}

template <typename T>
T LittleEndian(std::string_view bytes) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return value;
}

}  // namespace

void AppendTfRecord(std::string_view bytes, std::string* file) {
  const size_t begin = file->size();
  AppendLittleEndian<uint64_t>(bytes.size(), file);
  const uint32_t crc = MaskedCrc(std::string_view(*file).substr(begin, 8));
  AppendLittleEndian(crc, file);
  file->append(bytes);
  AppendLittleEndian(MaskedCrc(bytes), file);
}

absl::StatusOr<bool> TfRecordReader::Next(std::string_view* record) {
  const auto damaged = [this](const char* what) {
    return absl::DataLossError(absl::StrCat("the checksum of the ", what,
                                            " at byte ", offset_, " is wrong"));
  };
  const std::string_view rest = file_.substr(offset_);
  if (rest.size() < kHeader) return false;
  if (LittleEndian<uint32_t>(rest.substr(8)) != MaskedCrc(rest.substr(0, 8))) {
    return damaged("length of the record");
  }
  const uint64_t length = LittleEndian<uint64_t>(rest);
  const uint64_t room = rest.size() - kHeader;
  if (room < kFooter || length > room - kFooter) return false;
  const std::string_view bytes = rest.substr(kHeader, length);
  if (LittleEndian<uint32_t>(rest.substr(kHeader + length)) !=
      MaskedCrc(bytes)) {
    return damaged("record");
  }
  *record = bytes;
  offset_ += kHeader + length + kFooter;
  return true;
}

}  // namespace modelbatch
