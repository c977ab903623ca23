// Reads a safetensors file and writes what it understood to another.
//   copy_safetensors FROM TO
#include <cstdio>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/util/status_macros.h"

namespace {

absl::Status Copy(const char* from, const char* to) {
  MB_ASSIGN_OR_RETURN(const modelbatch::Safetensors file,
                      modelbatch::ReadSafetensors(from));
  std::vector<modelbatch::NamedTensor> tensors;
  for (const auto& [name, tensor] : file.tensors) {
    tensors.push_back({name, &tensor});
  }
  return modelbatch::WriteSafetensors(to, tensors, file.metadata);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: copy_safetensors FROM TO\n");
    return 2;
  }
  const absl::Status status = Copy(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
