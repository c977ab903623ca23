// Safetensors with a checksum: one changed bit, as a failing disk leaves it, is
// found when the file is read. Others read them as any safetensors file.
//
//   MB_RETURN_IF_ERROR(WriteSealedSafetensors(path, tensors, metadata));
//   MB_ASSIGN_OR_RETURN(Safetensors file, ReadSealedSafetensors(path));
#ifndef MODELBATCH_IO_SEALED_SAFETENSORS_H_
#define MODELBATCH_IO_SEALED_SAFETENSORS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/io/safetensors.h"

namespace modelbatch {

// As WriteSafetensors, and metadata "checksum": of all names, metadata, dtypes,
// shapes and bytes (zlib's CRC-32, eight hexadecimal digits).
absl::Status WriteSealedSafetensors(
    const std::string& path, const std::vector<NamedTensor>& tensors,
    std::map<std::string, std::string> metadata);

// As ReadSafetensors; DataLoss also when the checksum is another one, or is not
// there.
absl::StatusOr<Safetensors> ReadSealedSafetensors(const std::string& path);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_SEALED_SAFETENSORS_H_
