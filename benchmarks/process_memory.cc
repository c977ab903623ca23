#include "benchmarks/process_memory.h"

#include <malloc.h>

#include <fstream>
#include <sstream>
#include <string>

namespace modelbatch::benchmarks {
namespace {

int64_t StatusBytes(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(field + ":", 0) != 0) continue;
    int64_t kilobytes = -1;
    std::istringstream(line.substr(field.size() + 1)) >> kilobytes;
    return kilobytes * 1024;
  }
  return -1;
}

}  // namespace

int64_t ResidentBytes() { return StatusBytes("VmRSS"); }
int64_t PeakResidentBytes() { return StatusBytes("VmHWM"); }

void ResetPeak() {
  // What was freed before must not be there to be used again.
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";
}

}  // namespace modelbatch::benchmarks
