// Sizes of the CPU's caches, to say where a working set lives.
#ifndef BENCHMARKS_COMPARE_CACHES_H_
#define BENCHMARKS_COMPARE_CACHES_H_

#include <cstdint>
#include <string>

namespace modelbatch::benchmarks {

// Bytes; 0: unknown, or not there.
struct Caches {
  int64_t l1 = 0, l2 = 0;  // of one core
  int64_t l3 = 0;          // shared
};

Caches CachesOfThisMachine();

// "L1", "L2", "L3" or "memory": the nearest that holds a working set of `bytes`
// divided among `cores`.
std::string LevelOf(const Caches& caches, double bytes, int cores);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_CACHES_H_
