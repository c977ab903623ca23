// Resident memory of this process, from /proc.
#ifndef BENCHMARKS_PROCESS_MEMORY_H_
#define BENCHMARKS_PROCESS_MEMORY_H_

#include <cstdint>

namespace modelbatch::benchmarks {

int64_t ResidentBytes();
// The most since the start or the last ResetPeak. -1: unknown.
int64_t PeakResidentBytes();
void ResetPeak();

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_PROCESS_MEMORY_H_
