// What a plugin says about this machine.
#ifndef MODELBATCH_PLUGIN_PROBE_H_
#define MODELBATCH_PLUGIN_PROBE_H_

#include <cstdint>
#include <string>

namespace modelbatch {

struct ProbeResult {
  int32_t score = 0;   // 0: cannot run here; among others, the highest wins
  std::string device;  // "2 threads, AVX2 and FMA", or the device's name
  std::string reason;  // why the score is what it is
};

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_PROBE_H_
