// The records that say what a grouped kernel computes: one a model, in tables
// that are uploaded once. Plain structs, read by the host and the device.
//
// Offsets are in floats from the start of an arena: the workspace, or an arena
// of the models' state.
#ifndef BACKENDS_CUDA_SCHEDULE_PROBLEM_H_
#define BACKENDS_CUDA_SCHEDULE_PROBLEM_H_

#include <cstdint>

namespace modelbatch::cuda {

// A row-major matrix of one model: as many rows as its step has.
struct MatrixPlace {
  int64_t offset = 0;
  int32_t ld = 0;    // floats from row to row
  int32_t cols = 0;  // 0: there is none
};

// The three products of a linear layer, y = x w^T + b with w [out, in]:
enum class Product : int32_t {
  kForward,         // [rows, out] = x w^T         k = in
  kInputGradient,   // [rows, in]  = dy w          k = out
  kWeightGradient,  // [out, in]   = dy^T x        k = rows
};

enum class Activation : int32_t {
  kNone,
  kRelu,
  kGelu,
  kGeluTanh,
  kTanh,
  kSigmoid,
};

// One product of one model, c[m, n] = sum over k of a * b. The size that is the
// number of rows is not here: each step brings it, up to the plan's max_rows.
struct ProductProblem {
  int32_t model = 0;
  int32_t m = 0;  // kWeightGradient: out
  int32_t n = 0;
  int32_t k = 0;  // kForward, kInputGradient
  int64_t a = 0;  // x or dy, in the workspace (x: or in the dataset)
  int64_t b = 0;  // w, in the parameters; kWeightGradient: x, as above
  int64_t c = 0;  // y or dx, in the workspace; dw, in the gradients
  // kForward, in the parameters; kWeightGradient, in the gradients; -1: none.
  int64_t bias = -1;
  // In the workspace; -1: none. kForward: where the sum is kept that the
  // activation is applied to. kInputGradient: what the activation's derivative
  // reads.
  int64_t saved = -1;
  int32_t lda = 0, ldb = 0, ldc = 0, ld_saved = 0;
};

// A block of c that one thread block computes, from (row, col) on.
struct Tile {
  int32_t problem = 0;
  int32_t row = 0;
  int32_t col = 0;
};

// Four neighbouring columns of one product, in a product that is wide
// (tiles.h).
struct ColumnGroup {
  int32_t problem = -1;  // -1: none, at the end of the last tile
  int32_t col = 0;
};
inline constexpr int kGroupCols = 4;

// A part of a model's state, compact.
struct StateTile {
  int64_t offset = 0;
  int32_t model = 0;
  int32_t count = 0;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_SCHEDULE_PROBLEM_H_
