// Losses with their derivatives (cpu/loss-inl.h), and what an evaluation
// counts. One block a model, half a warp a row: the row's columns run over its
// 16 threads, and in the end the rows over those of the first half warp.
#ifndef BACKENDS_CUDA_KERNELS_LOSS_CUH_
#define BACKENDS_CUDA_KERNELS_LOSS_CUH_

#include "backends/cuda/kernels/device.cuh"

namespace modelbatch::cuda {

static_assert(kLossRows == kLossThreads / kLanes, "");

// Calls f(row, active) for all rows, together for the threads of a warp: those
// without a row get another's and `active` false.
template <typename F>
__device__ inline void ForEachRow(int rows, F f) {
  const int own = static_cast<int>(threadIdx.x) / kLanes;
  // Even, so that both halves of a warp make the same rounds.
  for (int first = 0; first < rows; first += kLossRows) {
    const int row = first + own;
    f(row < rows ? row : first, row < rows);
  }
}

// The block's sum of one integer a thread.
template <typename SharedArray>
__device__ inline int SumOverBlock(SharedArray& counts, int count) {
  const int t = static_cast<int>(threadIdx.x);
  counts[t] = count;
  __syncthreads();
  for (int half = kLossThreads / 2; half > 0; half /= 2) {
    if (t < half) counts[t] = counts[t] + counts[t + half];
    __syncthreads();
  }
  return counts[0];
}

// The mean of the rows' terms, by `total`; ends the model's step where it is
// not finite. After a barrier, in the first warp.
__device__ inline void FinishLoss(const LossArgs& args, int model, int rows,
                                  float total) {
  if (threadIdx.x >= 32) return;
  const float* const terms = args.row_losses + model * args.max_rows;
  const float loss = SumLanes(rows, static_cast<int>(threadIdx.x) % kLanes,
                              [&](int64_t i) { return terms[i]; }) /
                     total;
  if (threadIdx.x != 0) return;
  args.losses[model] = loss;
  if (IsFinite(loss)) return;
  args.outcomes[model] = kNonFiniteLoss;
  args.rows[model] = 0;
}

// The rows' weights; what they weigh together, for all threads.
template <typename Counts, typename Total>
__device__ inline double WeighRows(const LossArgs& args, int model, int rows,
                                   Counts& counts, Total& total) {
  const int t = static_cast<int>(threadIdx.x);
  const int32_t* const index = args.index + args.begin[model];
  float* const weights = args.row_weights + model * args.max_rows;
  int count = 0;
  for (int i = t; i < rows; i += kLossThreads) {
    const int64_t label = args.classes[index[i]];
    const bool ignored = label == args.ignore_index;
    count += ignored ? 0 : 1;
    weights[i] = ignored                         ? 0.0f
                 : args.class_weights == nullptr ? 1.0f
                                                 : args.class_weights[label];
  }
  count = SumOverBlock(counts, count);
  // Ones are exact in any order; other weights are added one by one, as the
  // host does.
  if (args.class_weights == nullptr) return count;
  if (t == 0) {
    double sum = 0;
    for (int i = 0; i < rows; ++i) sum += weights[i];
    total[0] = sum;
  }
  __syncthreads();
  return total[0];
}

// A row of cross entropy, by half a warp; returns its term.
__device__ inline float CrossEntropyRow(const LossArgs& args, const float* x,
                                        float* dx, int cols, int64_t target,
                                        float row_weight, float total,
                                        float all_weights) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const float hard = static_cast<float>(1 - args.label_smoothing);
  const float soft =
      static_cast<float>(args.label_smoothing / static_cast<double>(cols));
  const bool smoothed = soft != 0.0f;
  const float* const w = args.class_weights;

  float max = -__builtin_inff();
  for (int j = lane; j < cols; j += kLanes) max = math::Max(x[j], max);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    max = math::Max(__shfl_down_sync(kWholeWarp, max, half, kLanes), max);
  }
  max = __shfl_sync(kWholeWarp, max, 0, kLanes);
  float spread = 0.0f;
  // As both halves of a warp ask the same, the sum is made by the whole warp.
  if (args.label_smoothing != 0) {
    spread = SumLanes(cols, lane, [&](int64_t j) {
      const float shifted = x[j] - max;
      return w == nullptr ? shifted : w[j] * shifted;
    });
  }
  const float sum = SumLanes(cols, lane, [&](int64_t j) {
    const float e = math::Exp(x[j] - max);
    if (dx != nullptr) dx[j] = e;
    return e;
  });
  if (target < 0) {  // an ignored row: +0, whatever it holds
    if (dx != nullptr) {
      for (int j = lane; j < cols; j += kLanes) dx[j] = 0.0f;
    }
    return 0.0f;
  }
  const float weight = hard * row_weight;
  const float at_target = weight / total;
  if (dx != nullptr) {
    const float inverse = 1.0f / sum;
    const float factor = (weight + soft * all_weights) / total;
    const float share = soft / total;
    for (int j = lane; j < cols; j += kLanes) {
      const float probability = dx[j] * inverse;
      if (!smoothed) {
        dx[j] = j == target ? (probability - 1.0f) * at_target
                            : probability * at_target;
        continue;
      }
      const float own = w == nullptr ? share : w[j] * share;
      const float d = probability * factor - own;
      dx[j] = j == target ? d - at_target : d;
    }
  }
  const float log_sum = math::Log(sum);
  float loss = weight * (log_sum - (x[target] - max));
  if (smoothed) loss = loss + soft * (log_sum * all_weights - spread);
  return loss;
}

__device__ inline float NllRow(const float* x, float* dx, int cols,
                               int64_t target, float row_weight, float total) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  if (dx != nullptr) {
    for (int j = lane; j < cols; j += kLanes) {
      dx[j] = j == target ? -(row_weight / total) : 0.0f;
    }
  }
  return target < 0 ? 0.0f : row_weight * -x[target];
}

template <bool kNll>
__global__ void __launch_bounds__(kLossThreads) ClassLoss(LossArgs args) {
  __shared__ Shared<int, kLossThreads> counts;
  __shared__ Shared<double, 1> shared_total;
  const int model = static_cast<int>(blockIdx.x);
  const int rows = args.rows[model];
  if (rows == 0) return;
  const bool training = args.dx.data != nullptr;
  const double weight = WeighRows(args, model, rows, counts, shared_total);
  if (training && weight == 0) {  // no row counts: no step
    // All have read `rows` before one changes it.
    if (threadIdx.x == 0) {
      args.outcomes[model] = kEmpty;
      args.rows[model] = 0;
    }
    return;
  }
  const float total = static_cast<float>(weight);
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int cols = args.x.places[model].cols;
  const float all_weights = args.class_weights == nullptr
                                ? static_cast<float>(cols)
                                : SumLanes(cols, lane, [&](int64_t j) {
                                    return args.class_weights[j];
                                  });
  const int32_t* const index = args.index + args.begin[model];
  const RowsOf x = Open(args.x, model);
  ForEachRow(rows, [&](int i, bool active) {
    const int64_t at = model * args.max_rows + i;
    const int64_t label = args.classes[index[i]];
    const int64_t target = label == args.ignore_index ? -1 : label;
    float* const dx = training && active ? RowOf(args.dx, model, i) : nullptr;
    const float loss =
        kNll ? NllRow(x.Row(i), dx, cols, target, args.row_weights[at], total)
             : CrossEntropyRow(args, x.Row(i), dx, cols, target,
                               args.row_weights[at], total, all_weights);
    if (active && lane == 0) args.row_losses[at] = loss;
  });
  if (!training) return;
  __syncthreads();
  FinishLoss(args, model, rows, total);
}

enum class ValueLoss { kMse, kSmoothL1, kHuber, kBceWithLogits };

template <ValueLoss kLoss>
__device__ inline float ValueTerm(const LossArgs& args, int64_t j, float x,
                                  float target, float* derivative) {
  if constexpr (kLoss == ValueLoss::kMse) {
    return math::SquaredErrorOf(x, target, derivative);
  } else if constexpr (kLoss == ValueLoss::kSmoothL1) {
    return math::SmoothL1Of(args.width, x, target, derivative);
  } else if constexpr (kLoss == ValueLoss::kHuber) {
    return math::HuberOf(args.width, x, target, derivative);
  } else {
    const float yes =
        args.pos_weight == nullptr ? target : args.pos_weight[j] * target;
    return math::BceWithLogitsOf(x, target, yes, derivative);
  }
}

template <ValueLoss kLoss>
__global__ void __launch_bounds__(kLossThreads, 4) MeanLoss(LossArgs args) {
  const int model = static_cast<int>(blockIdx.x);
  const int rows = args.rows[model];
  if (rows == 0) return;
  const bool training = args.dx.data != nullptr;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int cols = args.x.places[model].cols;
  const double elements = static_cast<double>(rows) * static_cast<double>(cols);
  const float scale =
      static_cast<float>((kLoss == ValueLoss::kMse ? 2.0 : 1.0) / elements);
  const int32_t* const index = args.index + args.begin[model];
  const RowsOf x = Open(args.x, model);
  ForEachRow(rows, [&](int i, bool active) {
    const float* const from = x.Row(i);
    const float* const target =
        args.values + static_cast<int64_t>(index[i]) * cols;
    float* const dx = training && active ? RowOf(args.dx, model, i) : nullptr;
    const float sum = SumLanes(cols, lane, [&](int64_t j) {
      float derivative;
      const float term =
          ValueTerm<kLoss>(args, j, from[j], target[j], &derivative);
      if (dx != nullptr) dx[j] = derivative * scale;
      return term;
    });
    if (active && lane == 0) {
      args.row_losses[model * args.max_rows + i] =
          training ? sum : sum / static_cast<float>(cols);
    }
  });
  if (!training) return;
  __syncthreads();
  FinishLoss(args, model, rows, static_cast<float>(elements));
}

// Adds a batch's rows to the sums of an evaluation, one by one in double, and
// counts the rows whose largest output is the class.
__global__ void __launch_bounds__(kLossThreads)
    AddToEvaluation(EvaluateArgs args) {
  __shared__ Shared<int, kLossThreads> counts;
  const int model = static_cast<int>(blockIdx.x);
  const int rows = args.rows[model];
  if (rows == 0) return;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  if (threadIdx.x == 0) {
    double sum = args.sums[model], total = args.totals[model];
    for (int i = 0; i < rows; ++i) {
      const int64_t at = model * args.max_rows + i;
      sum += args.row_losses[at];
      total += args.row_weights == nullptr ? 1 : args.row_weights[at];
    }
    args.sums[model] = sum;
    args.totals[model] = total;
  }
  if (args.classes == nullptr) return;
  const int cols = args.x.places[model].cols;
  const int32_t* const index = args.index + args.begin[model];
  const RowsOf x = Open(args.x, model);
  int correct = 0;
  ForEachRow(rows, [&](int i, bool active) {
    // The first NaN, or else the first of the largest.
    const float* const row = x.Row(i);
    int best = lane < cols ? lane : 0;
    for (int j = lane + kLanes; j < cols; j += kLanes) {
      if (row[best] == row[best] && !(row[j] <= row[best])) best = j;
    }
    for (int half = kLanes / 2; half > 0; half /= 2) {
      const int other = __shfl_down_sync(kWholeWarp, best, half, kLanes);
      const float mine = row[best], theirs = row[other];
      const bool mine_nan = mine != mine, theirs_nan = theirs != theirs;
      const bool same = mine_nan == theirs_nan && (mine_nan || mine == theirs);
      if (same ? other < best : theirs_nan || (!mine_nan && theirs > mine)) {
        best = other;
      }
    }
    const int64_t label = args.classes[index[i]];
    if (active && lane == 0 && label != args.ignore_index && label == best) {
      ++correct;
    }
  });
  correct = SumOverBlock(counts, correct);
  if (threadIdx.x == 0) args.correct[model] += correct;
}

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_KERNELS_LOSS_CUH_
