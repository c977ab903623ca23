// The arguments of the kernels. Each kernel takes one of these structs by
// value. Plain structs, shared by the host and the device.
//
// Arrays "by model" have one entry a model. A kernel computes nothing for a
// model with no rows: the host sets those of inactive models to 0, and so do
// the losses that end a model's step.
#ifndef BACKENDS_CUDA_KERNELS_ARGS_H_
#define BACKENDS_CUDA_KERNELS_ARGS_H_

#include <cstdint>

#include "backends/cuda/schedule/problem.h"

namespace modelbatch::cuda {

// What became of each model: the numbers of modelbatch::Outcome. A model whose
// gradient is not finite is kStepped, and `bad`: it does not step.
inline constexpr int32_t kStepped = 0;
inline constexpr int32_t kInactive = 1;
inline constexpr int32_t kEmpty = 2;
inline constexpr int32_t kNonFiniteLoss = 3;

// Where every factor of a sum of products is below this, the sum is finite: a
// chain of products below 2^80, rounded to nearest, stays at 2^105 once it is
// there, and one on tensor cores is below 2^119 (docs/cuda.md). NaN is not
// below.
inline constexpr float kFactorLimit = 0x1p40f;

// What a block takes of each family of kernels.
//
// Elementwise kernels: 16 rows, of which 64 columns give each thread four
// elements.
inline constexpr int kElementThreads = 256;
inline constexpr int kElementRows = 16;
// Sums over rows: a warp reads 32 neighbouring columns of one row; 16 warps are
// the 16 lanes of docs/arithmetic.md.
inline constexpr int kSumCols = 32;
inline constexpr int kSumThreads = 512;
// Layer norm and losses: half a warp a row, so that eight warps take 16 rows.
inline constexpr int kNormThreads = 256;
inline constexpr int kNormRows = 16;
inline constexpr int kLossThreads = 256;
inline constexpr int kLossRows = 16;
// A state tile: 16 elements a thread. Kernels of one thread a model have as
// many threads.
inline constexpr int kStateThreads = 256;

// Matrices by model that are read: in the workspace, or, with `index`, rows of
// the dataset: row i of model m is row index[begin[m] + i] of `data`.
struct Source {
  const float* data = nullptr;
  const MatrixPlace* places = nullptr;  // by model
  const int32_t* index = nullptr;
  const int64_t* begin = nullptr;  // by model
};

// Matrices by model in the workspace.
struct Target {
  float* data = nullptr;
  const MatrixPlace* places = nullptr;  // by model
};

// Kernels that run over rows have a grid of models x parts of max_rows.
struct Grid {
  const int32_t* rows = nullptr;  // by model: of this step
  int32_t parts = 0;              // blocks a model
};

struct ProductArgs {
  const Tile* tiles = nullptr;
  const ProductProblem* problems = nullptr;
  const ColumnGroup* groups = nullptr;  // of a wide product
  const int32_t* rows = nullptr;        // by model
  const float* a = nullptr;
  const float* b = nullptr;
  float* c = nullptr;
  const float* params = nullptr;  // of the biases
  float* workspace = nullptr;     // of what is saved
  // Of x where it is the dataset; null: it lies in the workspace.
  const int32_t* index = nullptr;
  const int64_t* begin = nullptr;
  Activation activation = Activation::kNone;
  bool accumulate = false;  // kInputGradient: add to c
  // kWeightGradient, by model: set to 1 by what is not finite; null: not looked
  // for.
  int32_t* bad = nullptr;
  // The others, by model: set to 1 by what is stored and not below
  // kFactorLimit; null: not looked for.
  int32_t* large = nullptr;
};

struct UnaryArgs {
  Grid grid;
  Activation activation = Activation::kNone;
  Source x;
  Target y;
};

struct UnaryBackwardArgs {
  Grid grid;
  Activation activation = Activation::kNone;
  Source saved;  // x or y, as the activation's derivative reads
  Source dy;
  Target dx;
  bool accumulate = false;
};

// y = a + b, or y = a where b has no data.
struct AddArgs {
  Grid grid;
  Source a, b;
  Target y;
};

// A model's mask: cpu/dropout_plan.h, without the step.
struct DropoutMask {
  uint32_t key[2];
  uint32_t op;         // word 1 of the counter
  float scale;         // of kept elements
  uint64_t threshold;  // an element is kept when its draw is at least this
};

struct DropoutArgs {
  Grid grid;
  const DropoutMask* masks = nullptr;  // by model
  const int64_t* steps = nullptr;      // by model: updates made
  Source x;
  Target y;
  bool accumulate = false;
};

struct LayerNormArgs {
  Grid grid;
  const int64_t* stats = nullptr;   // by model, in the workspace
  const int64_t* weight = nullptr;  // by model, in params
  const int64_t* bias = nullptr;
  const float* eps = nullptr;  // by model
  int64_t max_rows = 0;
  const float* params = nullptr;
  float* workspace = nullptr;
  Source x;
  Target y;
};

struct LayerNormBackwardArgs {
  Grid grid;
  const int64_t* stats = nullptr;
  const int64_t* weight = nullptr;
  const int64_t* bias = nullptr;
  int64_t max_rows = 0;
  const float* params = nullptr;
  const float* workspace = nullptr;
  Source x;
  Source dy;
  Target dx;
  bool accumulate = false;
  float* gradients = nullptr;
  int32_t* bad = nullptr;  // by model; what is not finite sets 1
};

// Looks for elements of x that are not below kFactorLimit.
struct LookArgs {
  Grid grid;
  Source x;
  int32_t* large = nullptr;  // by model; what is not below sets 1
};

struct ColumnSumArgs {
  const int32_t* rows = nullptr;  // by model
  int32_t parts = 0;              // blocks a model
  Source x;
  const int64_t* out = nullptr;  // by model, in gradients
  float* gradients = nullptr;
  int32_t* bad = nullptr;  // by model; what is not finite sets 1
};

// One block a model.
struct LossArgs {
  int32_t* rows = nullptr;  // by model; set to 0 where the step ends
  int32_t* outcomes = nullptr;
  float* losses = nullptr;
  const int32_t* index = nullptr;  // rows of the dataset, as Source has them
  const int64_t* begin = nullptr;
  int64_t max_rows = 0;
  Source x;
  Target dx;  // no data: the loss alone, and models' steps do not end
  float* row_losses = nullptr;  // [models, max_rows]

  // Of classes.
  const int64_t* classes = nullptr;  // of the dataset
  int64_t ignore_index = 0;
  const float* class_weights = nullptr;  // [cols]; null: all 1
  double label_smoothing = 0;
  float* row_weights = nullptr;  // [models, max_rows]

  // Of values.
  const float* values = nullptr;  // of the dataset
  const float* pos_weight = nullptr;
  float width = 0;  // beta, delta
};

// One block a model: adds a batch to its sums.
struct EvaluateArgs {
  const int32_t* rows = nullptr;
  const int32_t* index = nullptr;
  const int64_t* begin = nullptr;
  int64_t max_rows = 0;
  Source x;
  const float* row_losses = nullptr;
  const float* row_weights = nullptr;  // null: each weighs 1
  const int64_t* classes = nullptr;    // null: no classes
  int64_t ignore_index = 0;
  double* sums = nullptr;  // by model
  double* totals = nullptr;
  int64_t* correct = nullptr;
};

struct StateArgs {
  const StateTile* tiles = nullptr;
  const int32_t* outcomes = nullptr;  // by model
  int32_t* bad = nullptr;             // by model; what is not finite sets 1
  const float* from = nullptr;
  float* to = nullptr;
};

// The columns of GradientHyperParameters, by model; null: not given.
struct ClipArgs {
  const StateTile* tiles = nullptr;
  const int32_t* outcomes = nullptr;
  const int32_t* bad = nullptr;
  float* gradients = nullptr;
  const double* scale = nullptr;
  const double* value = nullptr;
};

// One block a model: the factor that brings its gradient to the norm.
struct NormArgs {
  const int32_t* outcomes = nullptr;
  const int32_t* bad = nullptr;
  const int64_t* offsets = nullptr;  // by model: of its state
  const int64_t* sizes = nullptr;
  const float* gradients = nullptr;
  const double* norm = nullptr;
  float* factors = nullptr;  // 1: leave it
};

struct ScaleArgs {
  const StateTile* tiles = nullptr;
  const int32_t* outcomes = nullptr;
  const int32_t* bad = nullptr;
  const float* factors = nullptr;
  float* gradients = nullptr;
};

// The optimizers, in the order of grouped::OptimizerKind.
enum class Optimizer {
  kSgd,
  kAdam,
  kAdamW,
  kNAdam,
  kRAdam,
  kRmsProp,
  kAdagrad,
  kAdadelta,
  kLion,
};
inline constexpr int kNumOptimizers = 9;

struct UpdateArgs {
  const StateTile* tiles = nullptr;
  const int32_t* outcomes = nullptr;
  const int32_t* bad = nullptr;
  int64_t models = 0;
  const double* columns = nullptr;  // [column, models]
  const int64_t* steps = nullptr;   // by model: updates made
  float* params = nullptr;
  const float* gradients = nullptr;
  float* states[3] = {};  // null: no model needs it
  // nadam's number of each model, and what becomes of it.
  const float* mu_product = nullptr;
  float* new_mu_product = nullptr;
  // By model: those with 0 are left alone; null: none is.
  const int32_t* only = nullptr;
};

// kWeightGradient whose epilogue updates the weights, by kSgd, kAdam or kAdamW,
// of models that `large` has 0 for: their gradient is finite and stays in
// registers. Of the others it is stored, as of any product. What sets `bad` or
// `large` of a model, but this, comes before.
struct UpdatingProductArgs : ProductArgs {
  UpdateArgs update;  // without tiles and gradients
  Optimizer optimizer = Optimizer::kSgd;
};

// What one of several steps leaves to the next, of which the host has said who
// is active and how many rows there are. One thread a model.
struct AdvanceArgs {
  int64_t models = 0;
  // Of the step that was made.
  const int32_t* outcomes = nullptr;
  const int32_t* bad = nullptr;
  const int32_t* had_rows = nullptr;  // 1: the model was given some
  const int64_t* steps = nullptr;
  const float* mu_product = nullptr;
  const float* new_mu_product = nullptr;
  // Of the next one.
  int32_t* next_outcomes = nullptr;
  int32_t* next_rows = nullptr;
  int64_t* next_steps = nullptr;
  float* next_mu_product = nullptr;
  float* next_new_mu_product = nullptr;
};

// Between matrices with padded rows and compact ones, one behind the other.
struct PackArgs {
  Grid grid;
  Source from;
  Target to;
  const int64_t* compact = nullptr;  // by model: offset of the compact matrix
  float* packed = nullptr;
};

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_ARGS_H_
