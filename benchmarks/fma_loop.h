// What a core can do at most: independent fused multiply-adds in registers.
#ifndef BENCHMARKS_FMA_LOOP_H_
#define BENCHMARKS_FMA_LOOP_H_

namespace modelbatch::benchmarks {

// Runs the loop in the CPU's widest vectors (AVX-512 or AVX2) and returns the
// floating-point operations done, some 20000 a round. 0: there is no such loop
// for this CPU.
double RunFmaLoop(int rounds);

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_FMA_LOOP_H_
