// A random order that depends on nothing but its seed.
#ifndef MODELBATCH_DATA_PERMUTATION_H_
#define MODELBATCH_DATA_PERMUTATION_H_

#include <cstdint>
#include <vector>

#include "modelbatch/util/philox.h"

namespace modelbatch {

// 0 .. size - 1 in the order of a Fisher-Yates shuffle (Durstenfeld's): for i
// from size - 1 down to 1, swap element i with element floor(d (i + 1) / 2^32),
// where d is Philox's draw (seed, purpose, op 0, stream, element i). Orders are
// equally likely but for a bias below size / 2^32. size < 2^31.
std::vector<int32_t> RandomPermutation(int64_t size, uint64_t seed,
                                       RandomPurpose purpose, uint64_t stream);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_PERMUTATION_H_
