#include "benchmarks/compare/system_load.h"

#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace modelbatch::benchmarks {

double BusySeconds() {
  std::ifstream file("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0,
         soft_irq = 0, steal = 0;
  if (!(file >> name >> user >> nice >> system >> idle >> wait >> irq >>
        soft_irq >> steal)) {
    return 0;
  }
  return (user + nice + system + irq + soft_irq + steal) /
         static_cast<double>(sysconf(_SC_CLK_TCK));
}

double LoadAverage() {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? average : 0;
}

int NumCpus() { return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)); }

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace modelbatch::benchmarks
