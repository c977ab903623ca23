#include "modelbatch/util/processor.h"

#include <fstream>

namespace modelbatch {

std::string ProcessorName() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos &&
        colon + 2 < line.size()) {
      return line.substr(colon + 2);
    }
  }
  return "unknown processor";
}

}  // namespace modelbatch
