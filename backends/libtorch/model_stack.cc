#include "backends/libtorch/model_stack.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "backends/libtorch/clip.h"
#include "backends/libtorch/dropout.h"
#include "backends/libtorch/host_loops.h"
#include "backends/libtorch/loss.h"
#include "backends/libtorch/optimizer.h"
#include "modelbatch/util/round_up.h"

namespace modelbatch::libtorch {
namespace {

using grouped::Arena;
using grouped::HostDataset;
using grouped::OptimizerKind;

// On a CPU models take their whole step in blocks whose state, values and
// gradients are at most so many floats, so that they stay in the caches. Less
// and the calls of LibTorch cost more than the caches save: with networks
// 64-128-10, 1 M is faster by 12 % than 0.5 M and by 35 % than no blocks.
constexpr int64_t kBlockFloats = 1 << 20;

int64_t ModelsPerBlock(const grouped::Plan& plan,
                       const grouped::ModelPlan& model) {
  // Parameters, gradients and two states of the optimizer; values and their
  // gradients.
  int64_t floats = 4 * model.state_size;
  for (const grouped::BufferPlan& value : model.values) {
    floats += 2 * plan.max_rows * value.cols;
  }
  return std::max<int64_t>(1, kBlockFloats / floats);
}

bool IsRange(const std::vector<int64_t>& values) {
  for (size_t i = 1; i < values.size(); ++i) {
    if (values[i] != values[i - 1] + 1) return false;
  }
  return true;
}

at::Tensor ToIndex(const std::vector<int64_t>& values, at::Device device) {
  at::Tensor index =
      at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), index.mutable_data_ptr<int64_t>());
  return index.to(device);
}

// Entries of dimension 0: a view where they follow each other, else a copy.
at::Tensor Select(const at::Tensor& tensor, const std::vector<int64_t>& entries,
                  bool* is_view = nullptr) {
  const bool range = IsRange(entries);
  if (is_view != nullptr) *is_view = range;
  if (range) {
    return tensor.narrow(0, entries.empty() ? 0 : entries[0],
                         static_cast<int64_t>(entries.size()));
  }
  return at::index_select(tensor, 0, ToIndex(entries, tensor.device()));
}

template <typename T>
std::vector<T> ToHost(const at::Tensor& tensor) {
  const at::Tensor host = tensor.cpu().contiguous();
  const T* data = host.const_data_ptr<T>();
  return std::vector<T>(data, data + host.numel());
}

// Whether all of each row are finite.
std::vector<bool> FiniteRows(const at::Tensor& matrix) {
  std::vector<bool> result;
  if (matrix.is_cpu()) {
    for (int64_t i = 0; i < matrix.size(0); ++i) {
      const float* const row =
          matrix.const_data_ptr<float>() + i * matrix.stride(0);
      result.push_back(AllFinite(row, matrix.size(1)));
    }
    return result;
  }
  // 0 * x is 0 but for infinities and NaNs.
  for (const float sum : ToHost<float>(matrix.mul(0).sum(1))) {
    result.push_back(std::isfinite(sum));
  }
  return result;
}

}  // namespace

ModelStack::ModelStack(std::shared_ptr<const grouped::Plan> plan, Shard models,
                       at::Device device)
    : plan_(std::move(plan)),
      models_(std::move(models)),
      device_(device),
      state_size_(ModelAt(0).state_size),
      models_per_block_(device.is_cpu() ? ModelsPerBlock(*plan_, ModelAt(0))
                                        : static_cast<int64_t>(models_.size())),
      network_(plan_.get(), &ModelAt(0),
               /*outputs_first=*/plan_->loss.has_classes(), device) {}

int64_t ModelStack::workspace_bytes() const {
  return network_.bytes() +
         (feature_memory_.defined()
              ? static_cast<int64_t>(feature_memory_.nbytes())
              : 0);
}

void ModelStack::Allocate(Arena arena) {
  const int64_t size = static_cast<int64_t>(models_.size());
  ArenaOf(arena) = at::zeros({size, state_size_},
                             at::TensorOptions(at::kFloat).device(device_));
}

void ModelStack::Release(Arena arena) { ArenaOf(arena).reset(); }

void ModelStack::Read(Arena arena, int64_t model, int64_t offset, int64_t size,
                      float* out) const {
  const at::Tensor values =
      arenas_[static_cast<int>(arena)][model].narrow(0, offset, size).cpu();
  std::memcpy(out, values.const_data_ptr<float>(), size * sizeof(float));
}

void ModelStack::Write(Arena arena, int64_t model, int64_t offset, int64_t size,
                       const float* values) {
  const at::Tensor source =
      at::from_blob(const_cast<float*>(values), {size}, at::kFloat);
  ArenaOf(arena)[model].narrow(0, offset, size).copy_(source);
}

ModelStack::Tensors ModelStack::Parameters(const Positions& positions) {
  const int64_t models = static_cast<int64_t>(positions.size());
  const at::Tensor state = Select(ArenaOf(Arena::kParam), positions);
  Tensors parameters;
  for (const grouped::ParameterPlan& parameter : ModelAt(0).parameters) {
    std::vector<int64_t> shape = {models};
    shape.insert(shape.end(), parameter.shape.begin(), parameter.shape.end());
    parameters.push_back(
        state.narrow(1, parameter.offset, parameter.size).view(shape));
  }
  return parameters;
}

Batch ModelStack::Gather(const HostDataset& dataset, const RowSet& rows,
                         const Positions& positions, int64_t begin,
                         const LossSettings* loss) {
  std::vector<absl::Span<const int32_t>> chunks;
  for (const int64_t position : positions) {
    chunks.push_back(
        RowsOf(rows, models_[position]).subspan(begin, plan_->max_rows));
    if (rows.offsets.empty()) break;  // the same for all
  }
  return GatherBatch(dataset, chunks, static_cast<int64_t>(positions.size()),
                     loss, device_, &feature_memory_);
}

ModelStack::Tensors ModelStack::DropoutFactorsOf(
    const Positions& positions, int64_t rows,
    absl::Span<const int64_t> steps) const {
  Tensors factors(plan_->ops.size());
  for (const grouped::GroupedOp& op : plan_->ops) {
    if (op.code != grouped::OpCode::kDropout) continue;
    std::vector<cpu::DropoutKey> keys;
    for (const int64_t position : positions) {
      const grouped::ModelPlan& model = ModelAt(position);
      keys.push_back(
          {model.seed, static_cast<uint64_t>(steps[models_[position]]),
           static_cast<uint32_t>(op.index), model.numbers[op.index].p});
    }
    factors[op.index] =
        DropoutFactors(keys, rows, ModelAt(0).values[op.output].cols, device_);
  }
  return factors;
}

at::Tensor ModelStack::Run(const Positions& positions, const Batch& batch,
                           Tensors dropout_factors, bool differentiable) {
  return network_.Forward(
      {static_cast<int64_t>(positions.size()), batch.features,
       Parameters(positions), std::move(dropout_factors)},
      differentiable);
}

ModelStack::Positions ModelStack::TakePart(
    const RowSet& rows, const uint8_t* active, Outcome* outcomes,
    absl::FunctionRef<bool(absl::Span<const int32_t>)> is_empty) const {
  Positions positions;
  for (size_t i = 0; i < models_.size(); ++i) {
    const int model = models_[i];
    if (active != nullptr && active[model] == 0) {
      outcomes[model] = Outcome::kInactive;
    } else if (is_empty(RowsOf(rows, model))) {
      outcomes[model] = Outcome::kEmpty;
    } else {
      positions.push_back(static_cast<int64_t>(i));
    }
  }
  // Rows are padded within a block: to those with the most, first.
  if (static_cast<int64_t>(positions.size()) > models_per_block_) {
    std::stable_sort(positions.begin(), positions.end(),
                     [&](int64_t a, int64_t b) {
                       return RowsOf(rows, models_[a]).size() >
                              RowsOf(rows, models_[b]).size();
                     });
  }
  return positions;
}

void ModelStack::ForEachBlock(const Positions& positions,
                              absl::FunctionRef<void(Positions)> body) const {
  const int64_t size = static_cast<int64_t>(positions.size());
  const int64_t blocks = PartsOf(size, models_per_block_);
  for (int64_t block = 0; block < blocks; ++block) {
    body(Positions(positions.begin() + size * block / blocks,
                   positions.begin() + size * (block + 1) / blocks));
  }
}

void ModelStack::TrainStep(const grouped::TrainArgs& args,
                           absl::Span<int64_t> steps) {
  for (const int model : models_) args.losses[model] = 0;
  // A model all of whose rows are ignored has no step.
  const auto weighs_nothing = [&](absl::Span<const int32_t> rows) {
    return args.dataset->Weigh(plan_->loss, rows) == 0;
  };
  const at::AutoGradMode without_gradients(false);
  Batch batch;
  ForEachBlock(TakePart(args.rows, args.active, args.outcomes, weighs_nothing),
               [&](const Positions& block) {
                 // Rows that all models share are gathered once.
                 if (!args.rows.offsets.empty() ||
                     batch.row_counts.size() != block.size()) {
                   batch =
                       Gather(*args.dataset, args.rows, block, 0, &plan_->loss);
                 }
                 TrainBlock(args, block, batch, steps);
               });
}

void ModelStack::TrainBlock(const grouped::TrainArgs& args,
                            const Positions& block, const Batch& batch,
                            absl::Span<int64_t> steps) {
  const at::Tensor output =
      Run(block, batch, DropoutFactorsOf(block, batch.rows, steps),
          /*differentiable=*/true);
  const auto [losses, output_gradient] =
      LossesAndGradient(plan_->loss, output, batch);
  const Tensors& gradients = network_.Backward(output_gradient);
  const std::vector<float> values = ToHost<float>(losses);
  Positions finite, entries;
  for (size_t k = 0; k < block.size(); ++k) {
    const int model = models_[block[k]];
    args.losses[model] = values[k];
    args.outcomes[model] = Outcome::kNonFiniteLoss;
    if (!std::isfinite(values[k])) continue;
    args.outcomes[model] = Outcome::kStepped;  // unless Apply finds otherwise
    finite.push_back(block[k]);
    entries.push_back(static_cast<int64_t>(k));
  }
  if (!finite.empty()) Apply(args, finite, entries, gradients, steps);
}

void ModelStack::Apply(const grouped::TrainArgs& args,
                       const Positions& positions, const Positions& entries,
                       const Tensors& gradients, absl::Span<int64_t> steps) {
  if (gradients.empty()) {  // nothing to update but the count
    if (args.update) UpdateRows(args.rule, positions, at::Tensor(), steps);
    return;
  }
  const bool plain = args.update && !args.accumulate && !args.keep_gradients &&
                     !args.rule.gradients.any();
  if (plain && device_.is_cpu() && HasHostUpdate(args.rule)) {
    UpdateOneByOne(args, positions, entries, gradients, steps);
    return;
  }
  at::Tensor gradient = Join(gradients, entries);
  if (args.accumulate) {
    AddFinite(positions, gradient, args.outcomes);
    return;
  }
  if (args.update) {
    UpdateFinite(args.rule, positions, gradient, args.keep_gradients,
                 args.outcomes, steps);
  } else {
    MarkFinite(positions, gradient, args.outcomes);
    Keep(positions, gradient);
  }
}

void ModelStack::UpdateOneByOne(const grouped::TrainArgs& args,
                                const Positions& positions,
                                const Positions& entries,
                                const Tensors& gradients,
                                absl::Span<int64_t> steps) {
  const std::vector<grouped::ParameterPlan>& parameters = ModelAt(0).parameters;
  for (size_t k = 0; k < positions.size(); ++k) {
    const int model = models_[positions[k]];
    const auto gradient_of = [&](size_t p) {
      return gradients[p].const_data_ptr<float>() +
             entries[k] * parameters[p].size;
    };
    bool finite = true;
    for (size_t p = 0; p < parameters.size(); ++p) {
      finite = finite && AllFinite(gradient_of(p), parameters[p].size);
    }
    if (!finite) {
      args.outcomes[model] = Outcome::kNonFiniteGradient;
      continue;
    }
    for (size_t p = 0; p < parameters.size(); ++p) {
      UpdateOnHost(
          args.rule, model, steps[model], parameters[p].size,
          HostRowAt(positions[k], parameters[p].offset, gradient_of(p)));
    }
    ++steps[model];
  }
}

HostRow ModelStack::HostRowAt(int64_t position, int64_t offset,
                              const float* gradient) {
  const auto at = [&](Arena arena) {
    const at::Tensor& matrix = ArenaOf(arena);
    return matrix.defined() ? matrix.mutable_data_ptr<float>() +
                                  position * state_size_ + offset
                            : nullptr;
  };
  HostRow row;
  row.gradient = gradient;
  row.parameter = at(Arena::kParam);
  for (int s = 0; s < grouped::kMaxStates; ++s) {
    row.states[s] = at(grouped::StateArena(s));
  }
  return row;
}

at::Tensor ModelStack::Join(const Tensors& gradients,
                            const Positions& entries) const {
  const int64_t models = static_cast<int64_t>(entries.size());
  Tensors parts;
  for (const at::Tensor& gradient : gradients) {
    parts.push_back(Select(gradient, entries).reshape({models, -1}));
  }
  return at::cat(parts, 1);
}

void ModelStack::Keep(const Positions& positions, const at::Tensor& gradient) {
  if (!ArenaOf(Arena::kGradient).defined()) return;
  ArenaOf(Arena::kGradient)
      .index_copy_(0, ToIndex(positions, device_), gradient);
}

void ModelStack::UpdateFinite(const grouped::UpdateRule& rule,
                              const Positions& positions, at::Tensor gradient,
                              bool keep, Outcome* outcomes,
                              absl::Span<int64_t> steps) {
  std::vector<bool> finite = MarkFinite(positions, gradient, outcomes);
  if (rule.gradients.any()) {
    std::vector<int> models;
    for (const int64_t position : positions) {
      models.push_back(models_[position]);
    }
    ClipGradients(rule.gradients, models, gradient);
    // Scaling may have overflowed; clipping may have hidden an infinity.
    const std::vector<bool> still = MarkFinite(positions, gradient, outcomes);
    for (size_t k = 0; k < finite.size(); ++k) {
      finite[k] = finite[k] && still[k];
    }
  }
  if (keep) Keep(positions, gradient);
  Positions stepping, rows;
  for (size_t k = 0; k < positions.size(); ++k) {
    if (!finite[k]) continue;
    stepping.push_back(positions[k]);
    rows.push_back(static_cast<int64_t>(k));
  }
  if (stepping.empty()) return;
  UpdateRows(rule, stepping, Select(gradient, rows), steps);
}

void ModelStack::Backward(const grouped::BackwardArgs& args,
                          absl::Span<const int64_t> steps) {
  const at::AutoGradMode without_gradients(false);
  ForEachBlock(
      TakePart(args.rows, args.active, args.outcomes,
               [](absl::Span<const int32_t> rows) { return rows.empty(); }),
      [&](const Positions& block) { BackwardBlock(args, block, steps); });
}

void ModelStack::BackwardBlock(const grouped::BackwardArgs& args,
                               const Positions& block,
                               absl::Span<const int64_t> steps) {
  const Batch batch = Gather(*args.dataset, args.rows, block, 0, nullptr);
  const int64_t models = static_cast<int64_t>(block.size());
  const int64_t cols = ModelAt(0).values[plan_->output()].cols;
  // Rows that pad a model have no gradient.
  at::Tensor output_gradient =
      at::zeros({models, batch.rows, cols}, at::kFloat);
  float* to = output_gradient.mutable_data_ptr<float>();
  for (int64_t k = 0; k < models; ++k, to += batch.rows * cols) {
    std::memcpy(to, args.output_gradients[models_[block[k]]],
                batch.row_counts[k] * cols * sizeof(float));
  }
  Run(block, batch, DropoutFactorsOf(block, batch.rows, steps),
      /*differentiable=*/true);
  const Tensors& gradients = network_.Backward(output_gradient.to(device_));
  for (const int64_t position : block) {
    args.outcomes[models_[position]] = Outcome::kStepped;
  }
  if (gradients.empty()) return;
  Positions entries(block.size());
  std::iota(entries.begin(), entries.end(), 0);
  AddFinite(block, Join(gradients, entries), args.outcomes);
}

void ModelStack::Update(const grouped::UpdateArgs& args,
                        absl::Span<int64_t> steps) {
  const at::AutoGradMode without_gradients(false);
  Positions positions;
  for (size_t i = 0; i < models_.size(); ++i) {
    if (args.outcomes[models_[i]] == Outcome::kStepped) {
      positions.push_back(static_cast<int64_t>(i));
    }
  }
  ForEachBlock(positions, [&](const Positions& block) {
    // A copy: the update overwrites it, and the gradients stay.
    const at::Tensor gradient =
        at::index_select(ArenaOf(Arena::kGradient), 0, ToIndex(block, device_));
    UpdateFinite(args.rule, block, gradient, /*keep=*/true, args.outcomes,
                 steps);
  });
}

std::vector<bool> ModelStack::MarkFinite(const Positions& positions,
                                         const at::Tensor& gradient,
                                         Outcome* outcomes) const {
  const std::vector<bool> finite = FiniteRows(gradient);
  for (size_t k = 0; k < positions.size(); ++k) {
    if (finite[k]) continue;
    outcomes[models_[positions[k]]] = Outcome::kNonFiniteGradient;
  }
  return finite;
}

void ModelStack::AddFinite(const Positions& positions,
                           const at::Tensor& gradient, Outcome* outcomes) {
  const std::vector<bool> finite = MarkFinite(positions, gradient, outcomes);
  Positions to, from;
  for (size_t k = 0; k < positions.size(); ++k) {
    if (!finite[k]) continue;
    to.push_back(positions[k]);
    from.push_back(static_cast<int64_t>(k));
  }
  ArenaOf(Arena::kGradient)
      .index_add_(0, ToIndex(to, device_), Select(gradient, from));
}

void ModelStack::UpdateRows(const grouped::UpdateRule& rule,
                            const Positions& positions,
                            const at::Tensor& gradient,
                            absl::Span<int64_t> steps) {
  if (rule.optimizer == OptimizerKind::kNone) return;
  std::vector<int> models;
  std::vector<int64_t> counts;
  for (const int64_t position : positions) {
    models.push_back(models_[position]);
    counts.push_back(steps[models_[position]]);
  }
  if (gradient.defined() && device_.is_cpu() && HasHostUpdate(rule)) {
    for (size_t k = 0; k < positions.size(); ++k) {
      const float* const row = gradient.const_data_ptr<float>() +
                               static_cast<int64_t>(k) * gradient.stride(0);
      UpdateOnHost(rule, models[k], counts[k], state_size_,
                   HostRowAt(positions[k], 0, row));
    }
  } else if (gradient.defined()) {
    // Views are updated in place, copies written back.
    bool is_view = true;
    const auto select = [&](Arena arena) {
      return ArenaOf(arena).defined()
                 ? Select(ArenaOf(arena), positions, &is_view)
                 : at::Tensor();
    };
    UpdateTensors tensors;
    tensors.parameter = select(Arena::kParam);
    for (int s = 0; s < grouped::kMaxStates; ++s) {
      tensors.states[s] = select(grouped::StateArena(s));
    }
    tensors.gradient = gradient;
    libtorch::Update(rule, models, counts, tensors);
    if (!is_view) {
      const at::Tensor index = ToIndex(positions, device_);
      const auto put_back = [&](Arena arena, const at::Tensor& rows) {
        if (rows.defined()) ArenaOf(arena).index_copy_(0, index, rows);
      };
      put_back(Arena::kParam, tensors.parameter);
      for (int s = 0; s < grouped::kMaxStates; ++s) {
        put_back(grouped::StateArena(s), tensors.states[s]);
      }
    }
  }
  for (const int model : models) ++steps[model];
}

void ModelStack::KeepThoseWithRows(const RowSet& rows, int64_t begin,
                                   Positions* block) const {
  const auto done = [&](int64_t position) {
    return static_cast<int64_t>(RowsOf(rows, models_[position]).size()) <=
           begin;
  };
  block->erase(std::remove_if(block->begin(), block->end(), done),
               block->end());
}

void ModelStack::Evaluate(const grouped::EvaluateArgs& args) {
  const at::AutoGradMode without_gradients(false);
  const bool classes = plan_->loss.has_classes();
  Positions positions;
  std::vector<double> weights(models_.size());  // by position
  for (size_t i = 0; i < models_.size(); ++i) {
    const int model = models_[i];
    args.losses[model] = 0;
    args.correct[model] = -1;
    if (args.active != nullptr && args.active[model] == 0) continue;
    if (classes) args.correct[model] = 0;
    positions.push_back(static_cast<int64_t>(i));
  }
  ForEachBlock(positions, [&](Positions block) {
    for (int64_t begin = 0;; begin += plan_->max_rows) {
      KeepThoseWithRows(args.rows, begin, &block);
      if (block.empty()) break;
      const Batch batch =
          Gather(*args.dataset, args.rows, block, begin, &plan_->loss);
      const at::Tensor output = Run(block, batch, {}, /*differentiable=*/false);
      const at::Tensor losses = RowLosses(plan_->loss, output, batch);
      const auto sums = ToHost<double>(losses.sum(1, false, at::kDouble));
      std::vector<int64_t> correct;
      if (classes) correct = ToHost<int64_t>(CountCorrect(output, batch));
      for (size_t k = 0; k < block.size(); ++k) {
        args.losses[models_[block[k]]] += sums[k];
        weights[block[k]] += batch.weights[k];
        if (classes) args.correct[models_[block[k]]] += correct[k];
      }
    }
  });
  for (size_t i = 0; i < models_.size(); ++i) {
    double& loss = args.losses[models_[i]];
    // Label smoothing gives rows a term whose own class weighs nothing.
    loss = weights[i] > 0 ? loss / weights[i] : 0;
  }
}

void ModelStack::Forward(const grouped::ForwardArgs& args,
                         absl::Span<const int64_t> steps) {
  const at::AutoGradMode without_gradients(false);
  Positions positions(models_.size());
  std::iota(positions.begin(), positions.end(), 0);
  const int64_t cols = ModelAt(0).values[plan_->output()].cols;
  ForEachBlock(positions, [&](Positions block) {
    for (int64_t begin = 0;; begin += plan_->max_rows) {
      KeepThoseWithRows(args.rows, begin, &block);
      if (block.empty()) break;
      const Batch batch =
          Gather(*args.dataset, args.rows, block, begin, nullptr);
      Tensors factors;
      if (args.training) {
        factors = DropoutFactorsOf(block, batch.rows, steps);
      }
      const at::Tensor output =
          Run(block, batch, std::move(factors), /*differentiable=*/false)
              .cpu()
              .contiguous();
      const float* from = output.const_data_ptr<float>();
      for (size_t k = 0; k < block.size(); ++k) {
        std::memcpy(args.outputs[models_[block[k]]] + begin * cols,
                    from + static_cast<int64_t>(k) * batch.rows * cols,
                    batch.row_counts[k] * cols * sizeof(float));
      }
    }
  });
}

}  // namespace modelbatch::libtorch
