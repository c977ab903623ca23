#include "modelbatch/data/permutation.h"

#include <array>
#include <numeric>
#include <utility>

namespace modelbatch {

std::vector<int32_t> RandomPermutation(int64_t size, uint64_t seed,
                                       RandomPurpose purpose, uint64_t stream) {
  std::vector<int32_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::array<uint32_t, 4> block = {};
  uint64_t block_index = ~uint64_t{0};
  for (uint64_t i = size; i-- > 1;) {
    if (i / 4 != block_index) {
      block_index = i / 4;
      block = PhiloxBlock(seed, purpose, 0, stream,
                          static_cast<uint32_t>(block_index));
    }
    const uint64_t j = uint64_t{block[i % 4]} * (i + 1) >> 32;
    std::swap(order[i], order[j]);
  }
  return order;
}

}  // namespace modelbatch
