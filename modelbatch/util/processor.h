// The processor's name: "AMD EPYC 7B13".
#ifndef MODELBATCH_UTIL_PROCESSOR_H_
#define MODELBATCH_UTIL_PROCESSOR_H_

#include <string>

namespace modelbatch {

// "unknown processor" where the system does not tell. Never empty.
std::string ProcessorName();

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_PROCESSOR_H_
