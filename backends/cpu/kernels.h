// The arithmetic of the cpu backend: single-threaded kernels on one model's
// matrices, fp32, one table of functions per instruction set.
//
// Every table computes the same bits (docs/arithmetic.md):
//  - an element of a matrix product is one FMA chain over k ascending that
//    starts at +0: acc = fma(a[i, p], b[p, j], acc);
//  - any other reduction runs over 16 virtual lanes (element e goes to lane
//    e % 16, each lane adds in ascending order from +0) that are joined by
//    halving: lane l += lane l + 8, then + 4, + 2, + 1;
//  - everything else is one IEEE operation at a time, never contracted;
//  - exp, log, tanh, erf are ours, built of such operations.
// So tiling, vector width and unrolling are free to change.
//
// Matrices are row-major with a row stride ("ld", in floats). Rows of
// activations are kAlignFloats-aligned and may be read and written up to the
// next multiple of kAlignFloats (padding columns hold anything); parameters,
// gradients and optimizer state are compact and must not be touched beyond
// their last element.
#ifndef BACKENDS_CPU_KERNELS_H_
#define BACKENDS_CPU_KERNELS_H_

#include <cstdint>

#include "backends/cpu/optimizer_args.h"
#include "backends/cpu/prefetch_queue.h"

namespace modelbatch::cpu {

// One cache line; activations' row strides are multiples of it.
inline constexpr int64_t kAlignFloats = 16;

// How a matrix product is cut up: the bits are the same with any, the time is
// not. gemm_tuning.h measures which is the fastest for a shape.
struct GemmTiling {
  // Tiles of three vectors of columns and few rows; else of two.
  bool wide = false;
  // Copies a panel of b for the tiles that read it.
  bool pack = true;
};
inline bool operator==(const GemmTiling& a, const GemmTiling& b) {
  return a.wide == b.wide && a.pack == b.pack;
}
// Those that are the fastest for some shape, the default first. (Narrow tiles
// that are not packed never were, nor were blocks of k other than kDepth.)
inline constexpr GemmTiling kGemmTilings[] = {
    {false, true}, {true, true}, {true, false}};

// c[i, j] = chain over p of a[i, p] * b[p, j]   (+ c[i, j]) (+ bias[j])
// in this order: sum = chain; accumulate: sum = c + sum; bias: sum = sum +
// bias; then relu; then the relu's derivative.
struct GemmArgs {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;  // element (i, p) at a[i * a_row + p * a_col]
  int64_t a_row = 0, a_col = 0;
  const float* b = nullptr;  // element (p, j) at b[p * b_row + j]
  int64_t b_row = 0;
  // Whether b's rows may be read, and c's written, up to the next multiple of
  // kAlignFloats columns.
  bool b_padded = false, c_padded = false;
  float* c = nullptr;  // element (i, j) at c[i * c_row + j]
  int64_t c_row = 0;
  const float* bias = nullptr;  // [n], may be null
  bool accumulate = false;
  bool relu = false;  // max(sum, 0) with NaN kept
  // Of a derivative: the relu's output, laid out as c. 0 where it is 0.
  const float* relu_output = nullptr;
  GemmTiling tiling;
  // What to fetch meanwhile; may be null.
  PrefetchQueue* prefetch = nullptr;
};

enum class Unary { kRelu, kGelu, kGeluTanh, kTanh, kSigmoid };

// A dense block of activations: rows x cols with row stride ld.
struct Matrix {
  float* data = nullptr;
  int64_t ld = 0;
};
struct ConstMatrix {
  const float* data = nullptr;
  int64_t ld = 0;
  ConstMatrix() = default;
  ConstMatrix(const float* data, int64_t ld) : data(data), ld(ld) {}
  ConstMatrix(const Matrix& m) : data(m.data), ld(m.ld) {}  // NOLINT
};

// Names one model's dropout mask in one step (modelbatch/util/philox.h), from
// row `first_row` on.
struct DropoutKey {
  uint64_t seed = 0;
  uint64_t step = 0;
  uint32_t op = 0;
  double p = 0;
  int64_t first_row = 0;
};

// What is done to one model's `count` compact gradients before its update, in
// this order: times `scale`; clamped to [-value, value]; times min(1, norm / (n
// + 1e-6)) with n their 2-norm, as torch.nn.utils.clip_grad_value_ and
// clip_grad_norm_. The norm is summed in double over the 16 lanes. Defaults do
// nothing.
struct ClipArgs {
  int64_t count = 0;
  float* grad = nullptr;
  double scale = 1;
  double value = __builtin_inf();
  double norm = __builtin_inf();
};

// A loss on classes in which rows differ in weight.
struct ClassLossArgs {
  int64_t rows = 0, cols = 0;
  ConstMatrix x;
  const int64_t* targets = nullptr;      // [rows], -1: the row is ignored
  const float* row_weights = nullptr;    // [rows]: the target's; 0: ignored
  float total = 0;                       // sum of row_weights: the divisor
  double label_smoothing = 0;            // cross entropy
  const float* class_weights = nullptr;  // [cols], padded; null: all 1
  Matrix dx;                             // null data: the loss alone
  float* row_losses = nullptr;           // may be null
};

struct Kernels {
  const char* name;  // "avx512", "avx2", "generic"

  void (*gemm)(const GemmArgs& args);

  // out[p, j] = w[j, p] for w compact [n, k]; out is [k, ld] with columns n to
  // the next multiple of kAlignFloats set to 0.
  void (*transpose)(int64_t n, int64_t k, const float* w, Matrix out);

  // out[j] = sum over rows of x[i, j]; lanes over rows. out is compact.
  void (*column_sum)(int64_t rows, int64_t cols, ConstMatrix x, float* out);

  // y = f(x). x and y may be the same.
  void (*unary_forward)(Unary f, int64_t rows, int64_t cols, ConstMatrix x,
                        Matrix y);
  // dx = (accumulate ? dx : 0) + dy * f'(x). relu, tanh and sigmoid read y
  // only, gelu reads x only; dx and dy may be the same when not accumulating.
  // At 0 relu's derivative is 0, as PyTorch's.
  void (*unary_backward)(Unary f, int64_t rows, int64_t cols, ConstMatrix x,
                         ConstMatrix y, ConstMatrix dy, Matrix dx,
                         bool accumulate);

  // y = a + b. Any may be the same.
  void (*add)(int64_t rows, int64_t cols, ConstMatrix a, ConstMatrix b,
              Matrix y);
  // y = x
  void (*copy)(int64_t rows, int64_t cols, ConstMatrix x, Matrix y);

  // y = (accumulate ? y : 0) + (kept ? x * float(1 / (1 - p)) : 0). The same
  // call with the same key is the derivative. Element (i, j) of the mask has
  // index (first_row + i) * cols + j. p = 0 keeps everything, p = 1 nothing.
  void (*dropout)(int64_t rows, int64_t cols, ConstMatrix x, Matrix y,
                  const DropoutKey& key, bool accumulate);

  // y = (x - mean) * rstd * weight + bias over each row, variance biased, as
  // torch.nn.LayerNorm; keeps mean[rows], rstd[rows].
  void (*layer_norm_forward)(int64_t rows, int64_t cols, double eps,
                             ConstMatrix x, const float* weight,
                             const float* bias, Matrix y, float* mean,
                             float* rstd);
  // dx (accumulating on demand; none where its data is null), dweight[cols],
  // dbias[cols] (both overwritten, lanes over rows).
  void (*layer_norm_backward)(int64_t rows, int64_t cols, ConstMatrix x,
                              const float* weight, const float* mean,
                              const float* rstd, ConstMatrix dy, Matrix dx,
                              bool accumulate, float* dweight, float* dbias);

  // Mean over rows of -log softmax(x)[target]; targets[i] in [0, cols). Lanes
  // over columns for the softmax's sum, over rows for the loss. dx = (softmax
  // - onehot) / rows; dx.data null: the loss alone. Rows of `row_losses`, when
  // not null, get each row's loss (evaluation).
  float (*cross_entropy)(int64_t rows, int64_t cols, ConstMatrix x,
                         const int64_t* targets, Matrix dx, float* row_losses);
  // The sum over rows of
  //   (1 - s) w[t] * -log p[t] + s / cols * sum over classes of w * -log p
  // by `total`, with p = softmax(x), s the label smoothing and w[t] the row's
  // weight. An ignored row adds 0 and has a derivative of 0, whatever it holds.
  // row_losses: the terms. Where all rows weigh 1 and nothing is smoothed, the
  // bits are those of cross_entropy.
  float (*weighted_cross_entropy)(const ClassLossArgs& args);
  // The sum over rows of w[t] * -x[t], by `total`.
  float (*nll)(const ClassLossArgs& args);

  // Losses on values: the mean over rows and columns of f(x, target). dx is its
  // derivative; row_losses: each row's mean over columns. Lanes over columns
  // within a row, then over rows. With d = x - target f is, as in torch,
  // d^2;
  float (*mse)(int64_t rows, int64_t cols, ConstMatrix x, ConstMatrix target,
               Matrix dx, float* row_losses);
  // d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; beta 0 is l1;
  float (*smooth_l1)(int64_t rows, int64_t cols, float beta, ConstMatrix x,
                     ConstMatrix target, Matrix dx, float* row_losses);
  // d^2 / 2 where |d| < delta, else delta (|d| - delta / 2);
  float (*huber)(int64_t rows, int64_t cols, float delta, ConstMatrix x,
                 ConstMatrix target, Matrix dx, float* row_losses);
  // (1 - t) x + (1 + (p - 1) t) log(1 + exp(-x)) with t the target and p the
  // column's of `pos_weight`: [cols], padded; null: all 1.
  float (*bce_with_logits)(int64_t rows, int64_t cols, const float* pos_weight,
                           ConstMatrix x, ConstMatrix target, Matrix dx,
                           float* row_losses);

  // Index of the first largest element of each row; a NaN counts as largest.
  void (*argmax)(int64_t rows, int64_t cols, ConstMatrix x, int64_t* out);

  // Whether |x| < bound for all elements; a NaN is not. Only they are read: x
  // may be compact.
  bool (*all_below)(int64_t rows, int64_t cols, float bound, ConstMatrix x);

  void (*clip)(const ClipArgs& args);
  void (*sgd)(const SgdArgs& args);
  void (*adam)(const AdamArgs& args);
  void (*nadam)(const NAdamArgs& args);
  void (*radam)(const RAdamArgs& args);
  void (*rmsprop)(const RmsPropArgs& args);
  void (*adagrad)(const AdagradArgs& args);
  void (*adadelta)(const AdadeltaArgs& args);
  void (*lion)(const LionArgs& args);
};

// Portable C++, correct and slow: the reference for the others.
const Kernels& GenericKernels();
// The fastest table this CPU can run.
const Kernels& BestKernels();
// "avx512", "avx2" or "generic"; null when this CPU or this build lacks it.
const Kernels* FindKernels(const char* name);

// Sets rounding to nearest and denormals to IEEE on the calling thread for the
// life of the object, then restores what was there: another library may have
// changed the mode on some threads only.
class ScopedFloatMode {
 public:
  ScopedFloatMode();
  ~ScopedFloatMode();
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
  uint32_t saved_;
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_KERNELS_H_
