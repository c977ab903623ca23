// The version of ModelBatch: semantic, from the CHANGELOG.
#ifndef MODELBATCH_UTIL_VERSION_H_
#define MODELBATCH_UTIL_VERSION_H_

namespace modelbatch {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_VERSION_H_
