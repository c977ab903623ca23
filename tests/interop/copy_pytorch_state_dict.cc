// Reads a PyTorch state dict and writes what it understood to another file.
//   copy_pytorch_state_dict FROM TO
//
// Reads every file that a state dict becomes by being cut short or by losing
// a bit, and fails where one is read as other tensors.
//   copy_pytorch_state_dict --damage FROM
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/pytorch_state_dict.h"
#include "modelbatch/util/status_macros.h"

namespace {

using modelbatch::StateDict;

absl::Status Copy(const char* from, const char* to) {
  MB_ASSIGN_OR_RETURN(const StateDict state,
                      modelbatch::ReadPyTorchStateDict(from));
  std::vector<modelbatch::NamedTensor> tensors;
  for (const modelbatch::StateDictEntry& entry : state) {
    tensors.push_back({entry.name, &entry.tensor});
  }
  return modelbatch::WritePyTorchStateDict(to, tensors);
}

bool Equal(const StateDict& a, const StateDict& b) {
  bool equal = a.size() == b.size();
  for (size_t i = 0; equal && i < a.size(); ++i) {
    equal = a[i].name == b[i].name &&
            a[i].tensor.dtype() == b[i].tensor.dtype() &&
            a[i].tensor.shape() == b[i].tensor.shape() &&
            std::memcmp(a[i].tensor.raw(), b[i].tensor.raw(),
                        a[i].tensor.byte_size()) == 0;
  }
  return equal;
}

absl::Status Damage(const char* from) {
  MB_ASSIGN_OR_RETURN(const std::string whole, modelbatch::ReadFile(from));
  MB_ASSIGN_OR_RETURN(const StateDict expected,
                      modelbatch::ParsePyTorchStateDict(whole, from));
  for (size_t size = 0; size < whole.size(); ++size) {
    if (modelbatch::ParsePyTorchStateDict(whole.substr(0, size), from).ok()) {
      return absl::InternalError(
          absl::StrCat("the first ", size, " bytes were read"));
    }
  }
  std::string damaged = whole;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      damaged[at] = static_cast<char>(whole[at] ^ (1 << bit));
      const auto read = modelbatch::ParsePyTorchStateDict(damaged, from);
      if (read.ok() && !Equal(*read, expected)) {
        return absl::InternalError(absl::StrCat(
            "other tensors were read with bit ", bit, " of byte ", at));
      }
    }
    damaged[at] = whole[at];
  }
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr,
                 "usage: copy_pytorch_state_dict FROM TO\n"
                 "       copy_pytorch_state_dict --damage FROM\n");
    return 2;
  }
  const bool damage = std::strcmp(argv[1], "--damage") == 0;
  const absl::Status status = damage ? Damage(argv[2]) : Copy(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
