// PyTorch's own checkpoints: what torch.save(module.state_dict(), path) writes
// and torch.load(path, weights_only=True) reads.
//
//   MB_RETURN_IF_ERROR(WritePyTorchStateDict("model.pt",
//                                            {{"0.weight", &weight}}));
//   MB_ASSIGN_OR_RETURN(StateDict state, ReadPyTorchStateDict("model.pt"));
//
// The file is a zip archive: `data.pkl`, a pickled dict of tensors that name
// their storages; `data/<key>`, the bytes of a storage; `byteorder`; `version`.
// The pickle is never executed, neither Python nor anything of it runs.
#ifndef MODELBATCH_IO_PYTORCH_STATE_DICT_H_
#define MODELBATCH_IO_PYTORCH_STATE_DICT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/io/atomic_files.h"
#include "modelbatch/io/named_tensor.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

struct StateDictEntry {
  std::string name;
  Tensor tensor;
};

// In the order of the dict.
using StateDict = std::vector<StateDictEntry>;

// Atomic, alone or with `files`. An OrderedDict of contiguous tensors on the
// CPU, in the order given, which module.load_state_dict takes. Names must be
// unique and UTF-8. Storages are aligned to 64 bytes in the file, as
// torch.load(mmap=True) wants them. The same input gives the same bytes.
absl::Status WritePyTorchStateDict(const std::string& path,
                                   const std::vector<NamedTensor>& tensors,
                                   AtomicFiles* files = nullptr);

// Reads a dict (or OrderedDict) of tensors and parameters from a file of
// PyTorch 1.6 or later. Views of one storage become tensors of their own,
// contiguous, with the same elements; where a tensor lay (cuda:0) and whether
// it wanted a gradient are dropped.
//
// NotFound: no file. DataLoss: truncated or damaged; names file and tensor.
// Unimplemented: a dtype that Tensor lacks (float16, bfloat16, bool, ...) or a
// big-endian file. InvalidArgument: what is no state dict; an opcode or global
// that a state dict has no use for, by name; a legacy file or a TorchScript
// archive, with what to do; tensors that take more memory than the file could
// mean (more than a gigabyte and sixteen times the file).
absl::StatusOr<StateDict> ReadPyTorchStateDict(const std::string& path);

// The same for bytes; `name` is for messages.
absl::StatusOr<StateDict> ParsePyTorchStateDict(const std::string& bytes,
                                                const std::string& name);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_PYTORCH_STATE_DICT_H_
