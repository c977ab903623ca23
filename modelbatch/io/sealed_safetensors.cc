#include "modelbatch/io/sealed_safetensors.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr char kChecksum[] = "checksum";

class Crc {
 public:
  void Add(const void* data, size_t size) {
    crc_ = crc32_z(crc_, static_cast<const Bytef*>(data), size);
  }
  // With the end of the text in it: "ab", "c" is not "a", "bc".
  void Add(const std::string& text) { Add(text.c_str(), text.size() + 1); }
  std::string Text() const {
    return absl::StrCat(absl::Hex(crc_, absl::kZeroPad8));
  }

 private:
  uLong crc_ = crc32_z(0, Z_NULL, 0);
};

std::string Checksum(std::vector<NamedTensor> tensors,
                     const std::map<std::string, std::string>& metadata) {
  Crc crc;
  for (const auto& [key, text] : metadata) {
    if (key == kChecksum) continue;
    crc.Add(key);
    crc.Add(text);
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const NamedTensor& a, const NamedTensor& b) {
              return a.name < b.name;
            });
  for (const auto& [name, tensor] : tensors) {
    crc.Add(name);
    crc.Add(absl::StrCat(DTypeName(tensor->dtype()), " ",
                         ShapeToString(tensor->shape())));
    crc.Add(tensor->raw(), tensor->byte_size());
  }
  return crc.Text();
}

}  // namespace

absl::Status WriteSealedSafetensors(
    const std::string& path, const std::vector<NamedTensor>& tensors,
    std::map<std::string, std::string> metadata) {
  metadata[kChecksum] = Checksum(tensors, metadata);
  return WriteSafetensors(path, tensors, metadata);
}

absl::StatusOr<Safetensors> ReadSealedSafetensors(const std::string& path) {
  MB_ASSIGN_OR_RETURN(Safetensors file, ReadSafetensors(path));
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : file.tensors) {
    tensors.push_back({name, &tensor});
  }
  const auto found = file.metadata.find(kChecksum);
  if (found == file.metadata.end()) {
    return absl::DataLossError(
        absl::StrCat(path, ": metadata \"", kChecksum, "\" is missing"));
  }
  const std::string expected = Checksum(tensors, file.metadata);
  if (found->second != expected) {
    return absl::DataLossError(
        absl::StrCat(path, ": is damaged: its checksum is \"", found->second,
                     "\", that of what it holds is \"", expected, "\""));
  }
  return file;
}

}  // namespace modelbatch
