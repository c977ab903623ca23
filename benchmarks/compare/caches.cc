#include "benchmarks/compare/caches.h"

#include <fstream>

namespace modelbatch::benchmarks {

Caches CachesOfThisMachine() {
  Caches caches;
  // sysconf's sizes are not those of a virtual machine.
  for (int index = 0;; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" +
                               std::to_string(index) + "/";
    int level = 0;
    int64_t kilobytes = 0;
    std::string type;
    if (!(std::ifstream(folder + "level") >> level) ||
        !(std::ifstream(folder + "size") >> kilobytes) ||
        !(std::ifstream(folder + "type") >> type)) {
      return caches;
    }
    if (type == "Instruction") continue;
    if (level == 1) caches.l1 = kilobytes * 1024;
    if (level == 2) caches.l2 = kilobytes * 1024;
    if (level == 3) caches.l3 = kilobytes * 1024;
  }
}

std::string LevelOf(const Caches& caches, double bytes, int cores) {
  const double share = bytes / cores;
  if (share <= static_cast<double>(caches.l1)) return "L1";
  if (share <= static_cast<double>(caches.l2)) return "L2";
  if (bytes <= static_cast<double>(caches.l3)) return "L3";
  return "memory";
}

}  // namespace modelbatch::benchmarks
