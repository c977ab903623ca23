// Safetensors, the format of PyTorch's ecosystem for named tensors
// (github.com/huggingface/safetensors): eight bytes of header length, little
// endian; a JSON header {"name": {"dtype", "shape", "data_offsets"}, ...,
// "__metadata__": {string: string}}; the tensors' bytes, without holes.
//
//   MB_RETURN_IF_ERROR(WriteSafetensors("model.safetensors",
//                                       {{"0.weight", &weight}}, {}));
//   MB_ASSIGN_OR_RETURN(Safetensors file, ReadSafetensors("m.safetensors"));
//
// The host must be little endian, as all of ours are.
#ifndef MODELBATCH_IO_SAFETENSORS_H_
#define MODELBATCH_IO_SAFETENSORS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/io/atomic_files.h"
#include "modelbatch/io/named_tensor.h"  // IWYU pragma: export
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct Safetensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Atomic, alone or with `files`. Names must be unique, not "__metadata__", and
// with the metadata valid UTF-8. The same input gives the same bytes; data is
// 8-byte aligned in the file.
absl::Status WriteSafetensors(
    const std::string& path, const std::vector<NamedTensor>& tensors,
    const std::map<std::string, std::string>& metadata,
    AtomicFiles* files = nullptr);

// Checks everything: a file that is truncated, has holes, overlaps, duplicate
// names, sizes that do not fit or anything else amiss is DataLoss, and names
// file and tensor. Unimplemented: a dtype that Tensor lacks (F16, BF16, BOOL,
// ...).
absl::StatusOr<Safetensors> ReadSafetensors(const std::string& path);

// The same for bytes; `name` is for messages.
absl::StatusOr<Safetensors> ParseSafetensors(const std::string& bytes,
                                             const std::string& name);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_SAFETENSORS_H_
