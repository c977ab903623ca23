// Resident memory of a process, from /proc.
#ifndef BENCHMARKS_PROCESS_MEMORY_H_
#define BENCHMARKS_PROCESS_MEMORY_H_

#include <sys/types.h>

#include <cstdint>

namespace modelbatch::benchmarks {

// -1: unknown. pid 0 is this process.
int64_t ResidentBytes(pid_t pid = 0);
// The most since the start or the last ResetPeak.
int64_t PeakResidentBytes(pid_t pid = 0);
void ResetPeak(pid_t pid = 0);

// Gives memory that was freed back to the system, so that it is not there to be
// used again by what is measured.
void ReturnFreedMemory();

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_PROCESS_MEMORY_H_
