#include "benchmarks/process_memory.h"

#include <malloc.h>

#include <fstream>
#include <sstream>
#include <string>

namespace modelbatch::benchmarks {
namespace {

std::string ProcFile(pid_t pid, const char* name) {
  return "/proc/" + (pid == 0 ? "self" : std::to_string(pid)) + "/" + name;
}

int64_t StatusBytes(pid_t pid, const std::string& field) {
  std::ifstream file(ProcFile(pid, "status"));
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(field + ":", 0) != 0) continue;
    int64_t kilobytes = -1;
    std::istringstream(line.substr(field.size() + 1)) >> kilobytes;
    return kilobytes * 1024;
  }
  return -1;
}

}  // namespace

int64_t ResidentBytes(pid_t pid) { return StatusBytes(pid, "VmRSS"); }
int64_t PeakResidentBytes(pid_t pid) { return StatusBytes(pid, "VmHWM"); }

void ResetPeak(pid_t pid) { std::ofstream(ProcFile(pid, "clear_refs")) << "5"; }

void ReturnFreedMemory() { malloc_trim(0); }

}  // namespace modelbatch::benchmarks
