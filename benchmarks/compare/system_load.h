// CPU time of the whole machine, to tell whether somebody else was working
// while something was timed.
#ifndef BENCHMARKS_COMPARE_SYSTEM_LOAD_H_
#define BENCHMARKS_COMPARE_SYSTEM_LOAD_H_

#include <string>

namespace modelbatch::benchmarks {

// Seconds that all CPUs together have been busy since the start; counted in
// hundredths. 0 where /proc/stat is not there.
double BusySeconds();

// Average number of runnable processes over the last minute.
double LoadAverage();

int NumCpus();
std::string CpuModel();

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_COMPARE_SYSTEM_LOAD_H_
