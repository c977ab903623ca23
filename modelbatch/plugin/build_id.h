// Which build this code is.
#ifndef MODELBATCH_PLUGIN_BUILD_ID_H_
#define MODELBATCH_PLUGIN_BUILD_ID_H_

#include <string>

namespace modelbatch {

// The GNU build id, in hex, of the executable or shared library whose code or
// data `address` belongs to: a hash of its content that the linker wrote
// (-Wl,--build-id). Empty when there is none.
std::string BuildIdOf(const void* address);

// The sanitizer this translation unit's build was compiled with: "",
// "address", "thread", "memory" or "undefined" where the compiler tells.
const char* SanitizerName();

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_BUILD_ID_H_
