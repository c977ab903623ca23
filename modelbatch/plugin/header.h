// Headers of the ABI's structs, written and checked.
#ifndef MODELBATCH_PLUGIN_HEADER_H_
#define MODELBATCH_PLUGIN_HEADER_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/plugin/c_api.h"

namespace modelbatch {

// The header of a struct that this side makes; `size` is that up to its last
// field: MB_SIZE(MB_ProbeArgs, reason).
inline MB_Header MakeHeader(size_t size) {
  return {size, MB_ABI_MAJOR, MB_ABI_MINOR, nullptr};
}

// InvalidArgument, beginning with `name`, unless a struct from the other side
// has at least `first_version_size` and this side's major version. The other
// side may be older or newer: what a later minor added is read when MB_HAS says
// that it is there.
inline absl::Status CheckHeader(const MB_Header* header,
                                size_t first_version_size, const char* name) {
  if (header == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is NULL"));
  }
  // Sizes of another major version say nothing.
  if (header->struct_size >= sizeof(MB_Header) &&
      header->abi_major != MB_ABI_MAJOR) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ".header has ABI version ", header->abi_major, ".",
        header->abi_minor, ", expected major version ", MB_ABI_MAJOR));
  }
  if (header->struct_size < first_version_size) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ".header.struct_size is ", header->struct_size,
                     ", expected at least ", first_version_size));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_HEADER_H_
