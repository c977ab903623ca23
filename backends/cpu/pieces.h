// How the products of a linear operation are cut into pieces, each of which,
// with what goes with it, stays in the second-level cache.
#ifndef BACKENDS_CPU_PIECES_H_
#define BACKENDS_CPU_PIECES_H_

#include <algorithm>
#include <cstdint>

#include "backends/cpu/kernels.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::cpu {

inline constexpr int64_t kPieceFloats = 8192;

// Outputs of a piece of a forward product: multiples of what tiles have.
inline int64_t ForwardPieceColumns(int64_t in) {
  constexpr int64_t kUnit = 48;
  return std::max(kUnit, kPieceFloats / in / kUnit * kUnit);
}

// Outputs of any piece of a weight gradient, at most: whole tiles.
inline constexpr int64_t kWeightPieceUnit = 12;
inline int64_t MostWeightPieceOutputs(int64_t in) {
  constexpr int64_t kUnit = kWeightPieceUnit;
  return std::max(kUnit, kPieceFloats / in / kUnit * kUnit);
}

// Outputs of each piece but the last, of the `outputs` that a thread has: about
// equal, and whole tiles. Fewer outputs may well have larger pieces.
inline int64_t WeightPieceOutputs(int64_t in, int64_t outputs) {
  constexpr int64_t kUnit = kWeightPieceUnit;
  const int64_t most = MostWeightPieceOutputs(in);
  const int64_t pieces = std::max<int64_t>(1, PartsOf(outputs, most));
  const int64_t each = PartsOf(outputs, pieces);
  return std::min(most, RoundUp(each, kUnit));
}

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_PIECES_H_
