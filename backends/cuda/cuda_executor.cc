#include "backends/cuda/cuda_executor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/util/philox.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {
namespace {

using grouped::Arena;
using grouped::GroupedOp;
using grouped::ModelPlan;
using grouped::OpCode;
using grouped::OptimizerKind;

int64_t Parts(int64_t count, int64_t of_block) {
  return (count + of_block - 1) / of_block;
}

absl::StatusOr<Precision> FindPrecision(const std::string& name) {
  for (int p = 0; p < kNumPrecisions; ++p) {
    if (name == kPrecisionNames[p]) return static_cast<Precision>(p);
  }
  return absl::UnimplementedError(
      absl::StrCat("backend cuda has no precision ", name));
}

DropoutMask MaskOf(const ModelPlan& model, const GroupedOp& op) {
  const double p = model.numbers[op.index].p;
  DropoutMask mask;
  mask.key[0] = static_cast<uint32_t>(model.seed);
  mask.key[1] = static_cast<uint32_t>(model.seed >> 32);
  mask.op = static_cast<uint32_t>(RandomPurpose::kDropout) << 24 |
            static_cast<uint32_t>(op.index);
  mask.scale = static_cast<float>(1 / (1 - p));
  mask.threshold = DropoutThreshold(p);
  return mask;
}

}  // namespace

static_assert(static_cast<int>(OptimizerKind::kLion) ==
                  static_cast<int>(Optimizer::kLion) + 1,
              "the optimizers of kernels/args.h are those of the executor");

absl::StatusOr<std::unique_ptr<CudaExecutor>> CudaExecutor::Create(
    std::shared_ptr<const grouped::Plan> plan, std::shared_ptr<Gpu> gpu,
    EpilogueUpdates updates) {
  auto executor = std::unique_ptr<CudaExecutor>(new CudaExecutor);
  CudaExecutor& e = *executor;
  e.plan_ = std::move(plan);
  e.gpu_ = std::move(gpu);
  MB_ASSIGN_OR_RETURN(e.precision_, FindPrecision(e.plan_->precision));
  MB_ASSIGN_OR_RETURN(
      e.schedule_, BuildSchedule(*e.plan_, e.gpu_->multiprocessors(), updates));
  const int64_t models = e.models();
  const int64_t parts = std::max(Parts(e.plan_->max_rows, kElementRows),
                                 Parts(e.plan_->max_output_size, kSumCols));
  if (models * parts > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        models, " models with ", e.plan_->max_rows,
        " rows a step are more than one launch takes: compile fewer models or "
        "rows"));
  }
  e.steps_.assign(models, 0);
  e.BuildTables();
  MB_RETURN_IF_ERROR(e.CheckMemory());
  MB_RETURN_IF_ERROR(e.tables_.Upload(e.gpu_.get()));
  Gpu* const device = e.gpu_.get();
  const int64_t rows = models * e.plan_->max_rows;
  MB_RETURN_IF_ERROR(e.step_.Allocate(device, models, e.plan_->max_rows));
  MB_RETURN_IF_ERROR(e.workspace_.Allocate(device, e.schedule_.workspace_size));
  MB_RETURN_IF_ERROR(e.gradients_.Allocate(device, e.plan_->state_size));
  MB_RETURN_IF_ERROR(e.factors_.Allocate(device, models));
  MB_RETURN_IF_ERROR(e.row_losses_.Allocate(device, rows));
  MB_RETURN_IF_ERROR(e.row_weights_.Allocate(device, rows));
  MB_RETURN_IF_ERROR(e.sums_.Allocate(device, 3 * models));
  return executor;
}

CudaExecutor::ProductTables CudaExecutor::AddProduct(
    const ProductSchedule& schedule) {
  ProductTables tables;
  tables.problems = tables_.Add(schedule.problems);
  for (const TileList& list : schedule.lists) {
    tables.tiles.push_back(tables_.Add(list.tiles));
  }
  return tables;
}

void CudaExecutor::BuildTables() {
  const std::vector<ModelPlan>& models = plan_->models;
  for (size_t v = 0; v <= plan_->ops.size(); ++v) {
    std::vector<MatrixPlace> values, gradients;
    for (const ModelLayout& layout : schedule_.layouts) {
      values.push_back(layout.values[v]);
      gradients.push_back(layout.gradients[v]);
    }
    value_places_.push_back(tables_.Add(values));
    gradient_places_.push_back(tables_.Add(gradients));
  }
  for (const GroupedOp& op : plan_->ops) {
    const LinearSchedule& linear = schedule_.linear[op.index];
    OpTables tables;
    tables.forward = AddProduct(linear.forward);
    tables.input_gradient = AddProduct(linear.input_gradient);
    tables.weight_gradient = AddProduct(linear.weight_gradient);
    tables.groups = tables_.Add(linear.wide.groups);
    tables.wide = tables_.Add(linear.wide.tiles);
    std::vector<int64_t> weight, bias, stats;
    std::vector<float> eps;
    std::vector<DropoutMask> masks;
    for (size_t m = 0; m < models.size(); ++m) {
      const auto offset = [&](int parameter) {
        return parameter < 0 ? -1
                             : models[m].state_offset +
                                   models[m].parameters[parameter].offset;
      };
      weight.push_back(offset(op.weight));
      bias.push_back(offset(op.bias));
      stats.push_back(schedule_.layouts[m].stats[op.index]);
      eps.push_back(static_cast<float>(models[m].numbers[op.index].eps));
      masks.push_back(MaskOf(models[m], op));
    }
    tables.weight = tables_.Add(weight);
    tables.bias = tables_.Add(bias);
    if (op.code == OpCode::kLayerNorm) {
      tables.stats = tables_.Add(stats);
      tables.eps = tables_.Add(eps);
    }
    if (op.code == OpCode::kDropout) tables.masks = tables_.Add(masks);
    op_tables_.push_back(std::move(tables));
  }
  state_tiles_ = tables_.Add(schedule_.state_tiles);
  epilogue_state_tiles_ = tables_.Add(schedule_.epilogue_state_tiles);
  other_state_tiles_ = tables_.Add(schedule_.other_state_tiles);
  std::vector<int64_t> offsets, sizes;
  for (const ModelPlan& model : models) {
    offsets.push_back(model.state_offset);
    sizes.push_back(model.state_size);
    packed_offsets_.push_back(packed_size_);
    packed_size_ += plan_->max_rows * model.values[plan_->output()].cols;
  }
  state_offsets_ = tables_.Add(offsets);
  state_sizes_ = tables_.Add(sizes);
  packed_table_ = tables_.Add(packed_offsets_);
  const std::vector<double>& weights =
      plan_->loss.has_classes() ? plan_->loss.weight : plan_->loss.pos_weight;
  loss_weights_ =
      tables_.Add(std::vector<float>(weights.begin(), weights.end()));
}

absl::Status CudaExecutor::CheckMemory() const {
  MB_ASSIGN_OR_RETURN(const int64_t free, gpu_->FreeBytes());
  const int64_t floats = schedule_.workspace_size + 2 * plan_->state_size +
                         2 * models() * plan_->max_rows;
  const int64_t bytes =
      floats * static_cast<int64_t>(sizeof(float)) +
      models() * plan_->max_rows * static_cast<int64_t>(sizeof(int32_t)) +
      tables_.bytes();
  if (bytes <= free) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      models(), " models with ", plan_->max_rows, " rows a step need ",
      bytes >> 20, " MiB of device memory without an optimizer's state; ",
      free >> 20, " MiB are free, enough for about ",
      static_cast<int64_t>(static_cast<double>(free) / bytes * models()),
      " models like these"));
}

absl::Status CudaExecutor::Allocate(Arena arena) {
  DeviceArray<float>& memory = arenas_[static_cast<int>(arena)];
  if (!memory.allocated()) {
    const absl::Status status = memory.Allocate(gpu_.get(), plan_->state_size);
    if (absl::IsResourceExhausted(status)) {
      return absl::ResourceExhaustedError(
          absl::StrCat("one more copy of the parameters of ", models(),
                       " models: ", status.message()));
    }
    MB_RETURN_IF_ERROR(status);
  }
  return gpu_->Zero(memory.data(), memory.bytes());
}

void CudaExecutor::Release(Arena arena) {
  arenas_[static_cast<int>(arena)].Reset();
}

bool CudaExecutor::IsAllocated(Arena arena) const {
  return arenas_[static_cast<int>(arena)].allocated();
}

absl::Status CudaExecutor::Read(Arena which, int64_t offset, int64_t size,
                                float* out) {
  MB_RETURN_IF_ERROR(
      gpu_->Download(out, arena(which) + offset, size * sizeof(float)));
  return gpu_->Synchronize();
}

absl::Status CudaExecutor::Write(Arena which, int64_t offset, int64_t size,
                                 const float* values) {
  MB_RETURN_IF_ERROR(
      gpu_->Upload(arena(which) + offset, values, size * sizeof(float)));
  return gpu_->Synchronize();
}

int64_t CudaExecutor::workspace_bytes() const {
  return workspace_.bytes() + gradients_.bytes() + factors_.bytes() +
         row_losses_.bytes() + row_weights_.bytes() + sums_.bytes() +
         packed_.bytes() + packed_host_.bytes() + step_.bytes() +
         tables_.bytes();
}

// ---- Launches.

Source CudaExecutor::Value(grouped::ValueId value) const {
  Source source;
  source.places = tables_.At(value_places_[value]);
  source.data = workspace_.data();
  if (schedule_.input[value]) {
    source.data = dataset_->device_features();
    source.index = step_.index();
    source.begin = step_.begin();
  }
  return source;
}

Target CudaExecutor::ValueTarget(grouped::ValueId value) const {
  return {workspace_.data(), tables_.At(value_places_[value])};
}

Source CudaExecutor::Gradient(grouped::ValueId value) const {
  return {workspace_.data(), tables_.At(gradient_places_[value]), nullptr,
          nullptr};
}

Target CudaExecutor::GradientTarget(grouped::ValueId value) const {
  return {workspace_.data(), tables_.At(gradient_places_[value])};
}

Grid CudaExecutor::RowGrid(int64_t rows_of_block) const {
  return {step_.rows(),
          static_cast<int32_t>(Parts(plan_->max_rows, rows_of_block))};
}

ProductArgs CudaExecutor::ArgsOf(Product product, const GroupedOp& op,
                                 float* gradients) const {
  const OpTables& tables = op_tables_[op.index];
  const Fusion& fusion = schedule_.fusion[op.index];
  const Source x = Value(op.inputs[0]);
  ProductArgs args;
  args.rows = step_.rows();
  args.params = arena(Arena::kParam);
  args.workspace = workspace_.data();
  int activation = -1;
  switch (product) {
    case Product::kForward:
      args.problems = tables_.At(tables.forward.problems);
      args.a = x.data;
      args.b = args.params;
      args.c = args.workspace;
      args.index = x.index;
      args.begin = x.begin;
      activation = fusion.forward_activation;
      break;
    case Product::kInputGradient:
      args.problems = tables_.At(tables.input_gradient.problems);
      args.a = args.workspace;
      args.b = args.params;
      args.c = args.workspace;
      activation = fusion.backward_activation;
      args.accumulate = activation >= 0 ? plan_->ops[activation].accumulates[0]
                                        : op.accumulates[0];
      break;
    case Product::kWeightGradient:
      args.problems = tables_.At(tables.weight_gradient.problems);
      args.a = args.workspace;
      args.b = x.data;
      args.c = gradients;
      args.bad = step_.bad();
      args.index = x.index;
      args.begin = x.begin;
      break;
  }
  if (activation >= 0) {
    args.activation = ActivationOf(plan_->ops[activation].code);
  }
  return args;
}

absl::Status CudaExecutor::LaunchProduct(Product product, const GroupedOp& op,
                                         float* gradients, int32_t* large) {
  const OpTables& tables = op_tables_[op.index];
  const LinearSchedule& linear = schedule_.linear[op.index];
  const EpilogueUpdate& update = schedule_.epilogue_updates[op.index];
  ProductArgs args = ArgsOf(product, op, gradients);
  const ProductTables* problems = &tables.forward;
  const ProductSchedule* schedule = &linear.forward;
  if (product == Product::kForward) {
    if (update.looks_at_y) args.large = large;
    if (precision_ == Precision::kFp32 && step_.shared() &&
        linear.wide.used()) {
      args.groups = tables_.At(tables.groups);
      args.tiles = tables_.At(tables.wide);
      return gpu_->Launch(kernels().wide_product, tables.wide.size, args);
    }
  } else if (product == Product::kInputGradient) {
    if (update.looks_at_dx) args.large = large;
    problems = &tables.input_gradient;
    schedule = &linear.input_gradient;
  } else {
    problems = &tables.weight_gradient;
    schedule = &linear.weight_gradient;
  }
  for (size_t l = 0; l < schedule->lists.size(); ++l) {
    args.tiles = tables_.At(problems->tiles[l]);
    MB_RETURN_IF_ERROR(gpu_->Launch(
        kernels().products[static_cast<int>(precision_)][static_cast<int>(
            product)][static_cast<int>(schedule->lists[l].shape)],
        problems->tiles[l].size, args));
  }
  return absl::OkStatus();
}

absl::Status CudaExecutor::LaunchForward(bool training, int32_t* large) {
  for (const GroupedOp& op : plan_->ops) {
    MB_RETURN_IF_ERROR(LaunchForwardOp(op, training, large));
  }
  return absl::OkStatus();
}

absl::Status CudaExecutor::LaunchForwardOp(const GroupedOp& op, bool training,
                                           int32_t* large) {
  const OpTables& tables = op_tables_[op.index];
  const Source x = Value(op.inputs[0]);
  const Target y = ValueTarget(op.output);
  const Grid elements = RowGrid(kElementRows);
  const int64_t blocks = models() * elements.parts;
  switch (op.code) {
    case OpCode::kLinear:
      return LaunchProduct(Product::kForward, op, nullptr, large);
    case OpCode::kRelu:
    case OpCode::kGelu:
    case OpCode::kGeluTanh:
    case OpCode::kTanh:
    case OpCode::kSigmoid: {
      if (schedule_.fusion[op.index].forward_done) return absl::OkStatus();
      const UnaryArgs args = {elements, ActivationOf(op.code), x, y};
      return gpu_->Launch(kernels().apply_activation, blocks, args);
    }
    case OpCode::kDropout:
      if (training) return LaunchDropout(op, x, y, /*accumulate=*/false);
      if (op.in_place) return absl::OkStatus();
      return gpu_->Launch(kernels().add_or_copy, blocks,
                          AddArgs{elements, x, Source(), y});
    case OpCode::kFlatten:
      return absl::OkStatus();  // the same memory
    case OpCode::kAdd:
      return gpu_->Launch(kernels().add_or_copy, blocks,
                          AddArgs{elements, x, Value(op.inputs[1]), y});
    case OpCode::kLayerNorm: {
      LayerNormArgs args;
      args.grid = RowGrid(kNormRows);
      args.stats = tables_.At(tables.stats);
      args.weight = tables_.At(tables.weight);
      args.bias = tables_.At(tables.bias);
      args.eps = tables_.At(tables.eps);
      args.max_rows = plan_->max_rows;
      args.params = arena(Arena::kParam);
      args.workspace = workspace_.data();
      args.x = x;
      args.y = y;
      return gpu_->Launch(kernels().normalize_rows, models() * args.grid.parts,
                          args);
    }
  }
  return absl::UnimplementedError(absl::StrCat(
      "backend cuda has no operator number ", static_cast<int>(op.code)));
}

absl::Status CudaExecutor::LaunchDropout(const GroupedOp& op, Source x,
                                         Target y, bool accumulate) {
  DropoutArgs args;
  args.grid = RowGrid(kElementRows);
  args.masks = tables_.At(op_tables_[op.index].masks);
  args.steps = step_.steps();
  args.x = x;
  args.y = y;
  args.accumulate = accumulate;
  return gpu_->Launch(kernels().dropout, models() * args.grid.parts, args);
}

absl::Status CudaExecutor::LaunchLoss(bool training) {
  const LossSettings& loss = plan_->loss;
  const float* const weights =
      loss_weights_.size == 0 ? nullptr : tables_.At(loss_weights_);
  LossArgs args;
  args.rows = step_.rows();
  args.outcomes = step_.outcomes();
  args.losses = step_.losses();
  args.index = step_.index();
  args.begin = step_.begin();
  args.max_rows = plan_->max_rows;
  args.x = Value(plan_->output());
  if (training) args.dx = GradientTarget(plan_->output());
  args.row_losses = row_losses_.data();
  args.row_weights = row_weights_.data();
  if (loss.has_classes()) {
    args.classes = dataset_->device_classes();
    args.ignore_index = loss.ignore_index;
    args.class_weights = weights;
    args.label_smoothing = loss.label_smoothing;
  } else {
    args.values = dataset_->device_values();
    args.pos_weight = weights;
  }
  switch (loss.kind) {
    case LossKind::kCrossEntropy:
      return gpu_->Launch(kernels().cross_entropy, models(), args);
    case LossKind::kNll:
      return gpu_->Launch(kernels().nll, models(), args);
    case LossKind::kBceWithLogits:
      return gpu_->Launch(kernels().bce_with_logits, models(), args);
    case LossKind::kMse:
      return gpu_->Launch(kernels().mse, models(), args);
    case LossKind::kL1:
      args.width = 0;
      return gpu_->Launch(kernels().smooth_l1, models(), args);
    case LossKind::kSmoothL1:
      args.width = static_cast<float>(loss.beta);
      return gpu_->Launch(kernels().smooth_l1, models(), args);
    case LossKind::kHuber:
      args.width = static_cast<float>(loss.delta);
      return gpu_->Launch(kernels().huber, models(), args);
  }
  return absl::UnimplementedError(
      absl::StrCat("backend cuda has no loss ", loss.name()));
}

absl::Status CudaExecutor::LaunchBackward(float* gradients, int32_t* large) {
  for (auto op = plan_->ops.rbegin(); op != plan_->ops.rend(); ++op) {
    MB_RETURN_IF_ERROR(LaunchBackwardOp(*op, gradients, large));
  }
  return absl::OkStatus();
}

absl::Status CudaExecutor::LaunchBackwardOp(const GroupedOp& op,
                                            float* gradients, int32_t* large) {
  const OpTables& tables = op_tables_[op.index];
  const Source dy = Gradient(op.output);
  const Grid elements = RowGrid(kElementRows);
  const int64_t blocks = models() * elements.parts;
  const auto sum_parts = [&] {
    int64_t widest = 0;
    for (const ModelPlan& model : plan_->models) {
      widest = std::max(widest, model.values[op.output].cols);
    }
    return static_cast<int32_t>(Parts(widest, kSumCols));
  };
  switch (op.code) {
    case OpCode::kLinear: {
      const EpilogueUpdate& update = schedule_.epilogue_updates[op.index];
      if (large == nullptr || !update.used) {
        MB_RETURN_IF_ERROR(
            LaunchProduct(Product::kWeightGradient, op, gradients, large));
      } else {
        if (!update.x_seen) {
          MB_RETURN_IF_ERROR(LaunchLook(Value(op.inputs[0]), large));
        }
        if (!update.dy_seen) MB_RETURN_IF_ERROR(LaunchLook(dy, large));
      }
      // Fp32's products bring the bias' gradient with them.
      if (op.bias >= 0 && precision_ != Precision::kFp32) {
        const ColumnSumArgs args = {step_.rows(), sum_parts(),
                                    dy,           tables_.At(tables.bias),
                                    gradients,    step_.bad()};
        MB_RETURN_IF_ERROR(
            gpu_->Launch(kernels().sum_columns, models() * args.parts, args));
      }
      if (!op.wants_gradient[0]) return absl::OkStatus();
      return LaunchProduct(Product::kInputGradient, op, gradients, large);
    }
    case OpCode::kRelu:
    case OpCode::kGelu:
    case OpCode::kGeluTanh:
    case OpCode::kTanh:
    case OpCode::kSigmoid: {
      if (!op.wants_gradient[0] || schedule_.fusion[op.index].backward_done) {
        return absl::OkStatus();
      }
      const bool reads_input =
          op.code == OpCode::kGelu || op.code == OpCode::kGeluTanh;
      UnaryBackwardArgs args;
      args.grid = elements;
      args.activation = ActivationOf(op.code);
      args.saved = Value(reads_input ? op.inputs[0] : op.output);
      args.dy = dy;
      args.dx = GradientTarget(op.inputs[0]);
      args.accumulate = op.accumulates[0];
      return gpu_->Launch(kernels().derive_activation, blocks, args);
    }
    case OpCode::kDropout:
      if (!op.wants_gradient[0]) return absl::OkStatus();
      return LaunchDropout(op, dy, GradientTarget(op.inputs[0]),
                           op.accumulates[0]);
    case OpCode::kFlatten:
    case OpCode::kAdd:
      if (op.in_place) return absl::OkStatus();  // a flatten
      for (int j = 0; j < op.num_inputs; ++j) {
        if (!op.wants_gradient[j]) continue;
        AddArgs args = {elements, dy, Source(), GradientTarget(op.inputs[j])};
        if (op.accumulates[j]) {
          args.a = Gradient(op.inputs[j]);
          args.b = dy;
        }
        MB_RETURN_IF_ERROR(gpu_->Launch(kernels().add_or_copy, blocks, args));
      }
      return absl::OkStatus();
    case OpCode::kLayerNorm: {
      LayerNormBackwardArgs args;
      args.stats = tables_.At(tables.stats);
      args.weight = tables_.At(tables.weight);
      args.bias = tables_.At(tables.bias);
      args.max_rows = plan_->max_rows;
      args.params = arena(Arena::kParam);
      args.workspace = workspace_.data();
      args.x = Value(op.inputs[0]);
      args.dy = dy;
      args.gradients = gradients;
      args.bad = step_.bad();
      args.grid = {step_.rows(), sum_parts()};
      MB_RETURN_IF_ERROR(gpu_->Launch(kernels().sum_layer_norm_columns,
                                      models() * args.grid.parts, args));
      if (!op.wants_gradient[0]) return absl::OkStatus();
      args.grid = RowGrid(kNormRows);
      args.dx = GradientTarget(op.inputs[0]);
      args.accumulate = op.accumulates[0];
      return gpu_->Launch(kernels().derive_normalized_rows,
                          models() * args.grid.parts, args);
    }
  }
  return absl::UnimplementedError(absl::StrCat(
      "backend cuda has no operator number ", static_cast<int>(op.code)));
}

absl::Status CudaExecutor::LaunchState(const Kernel<StateArgs>& kernel,
                                       const float* from, float* to) {
  StateArgs args;
  args.tiles = tables_.At(state_tiles_);
  args.outcomes = step_.outcomes();
  args.bad = step_.bad();
  args.from = from;
  args.to = to;
  return gpu_->Launch(kernel, state_tiles_.size, args);
}

absl::Status CudaExecutor::LaunchFindNonFinite(const float* gradients) {
  return LaunchState(kernels().find_non_finite, gradients, nullptr);
}

bool CudaExecutor::UpdatesInEpilogues(const grouped::TrainArgs& args) const {
  const OptimizerKind optimizer = args.rule.optimizer;
  return args.update && !args.keep_gradients && !args.accumulate &&
         !args.rule.gradients.any() &&
         (optimizer == OptimizerKind::kSgd ||
          optimizer == OptimizerKind::kAdam ||
          optimizer == OptimizerKind::kAdamW) &&
         epilogue_state_tiles_.size > 0;
}

absl::Status CudaExecutor::LaunchLook(Source x, int32_t* large) {
  const LookArgs args = {RowGrid(kElementRows), x, large};
  return gpu_->Launch(kernels().look_for_large, models() * args.grid.parts,
                      args);
}

absl::Status CudaExecutor::LaunchEpilogueUpdates(
    const grouped::UpdateRule& rule, float* gradients, int32_t* large) {
  const int optimizer = static_cast<int>(rule.optimizer) - 1;
  UpdateArgs update = UpdateOf(gradients);
  for (auto op = plan_->ops.rbegin(); op != plan_->ops.rend(); ++op) {
    if (!schedule_.epilogue_updates[op->index].used) continue;
    UpdatingProductArgs args;
    static_cast<ProductArgs&>(args) =
        ArgsOf(Product::kWeightGradient, *op, gradients);
    args.large = large;
    args.update = update;
    args.optimizer = static_cast<Optimizer>(optimizer);
    const std::vector<TileList>& lists =
        schedule_.linear[op->index].weight_gradient.lists;
    for (size_t l = 0; l < lists.size(); ++l) {
      const Table<Tile>& tiles = op_tables_[op->index].weight_gradient.tiles[l];
      args.tiles = tables_.At(tiles);
      MB_RETURN_IF_ERROR(gpu_->Launch(
          kernels().updating_products[static_cast<int>(precision_)]
                                     [static_cast<int>(lists[l].shape)],
          tiles.size, args));
    }
  }
  update.tiles = tables_.At(other_state_tiles_);
  MB_RETURN_IF_ERROR(gpu_->Launch(kernels().updates[optimizer],
                                  other_state_tiles_.size, update));
  update.tiles = tables_.At(epilogue_state_tiles_);
  update.only = large;
  return gpu_->Launch(kernels().updates[optimizer], epilogue_state_tiles_.size,
                      update);
}

UpdateArgs CudaExecutor::UpdateOf(const float* gradients) const {
  UpdateArgs update;
  update.tiles = tables_.At(state_tiles_);
  update.outcomes = step_.outcomes();
  update.bad = step_.bad();
  update.models = models();
  update.columns = step_.column(0);
  update.steps = step_.steps();
  update.params = arena(Arena::kParam);
  update.gradients = gradients;
  for (int i = 0; i < grouped::kMaxStates; ++i) {
    update.states[i] = arena(grouped::StateArena(i));
  }
  update.mu_product = step_.mu_products();
  update.new_mu_product = step_.new_mu_products();
  return update;
}

absl::Status CudaExecutor::LaunchUpdate(const grouped::UpdateRule& rule,
                                        float* gradients) {
  const grouped::GradientColumns& clip = rule.gradients;
  const auto column = [&](const double* given, int c) {
    return given == nullptr ? nullptr : step_.column(8 + c);
  };
  if (clip.scale != nullptr || clip.clip_value != nullptr) {
    ClipArgs args;
    args.tiles = tables_.At(state_tiles_);
    args.outcomes = step_.outcomes();
    args.bad = step_.bad();
    args.gradients = gradients;
    args.scale = column(clip.scale, 0);
    args.value = column(clip.clip_value, 1);
    MB_RETURN_IF_ERROR(
        gpu_->Launch(kernels().clip_elements, state_tiles_.size, args));
  }
  if (clip.clip_norm != nullptr) {
    NormArgs norm;
    norm.outcomes = step_.outcomes();
    norm.bad = step_.bad();
    norm.offsets = tables_.At(state_offsets_);
    norm.sizes = tables_.At(state_sizes_);
    norm.gradients = gradients;
    norm.norm = column(clip.clip_norm, 2);
    norm.factors = factors_.data();
    MB_RETURN_IF_ERROR(
        gpu_->Launch(kernels().find_norm_factor, models(), norm));
    const ScaleArgs scale = {tables_.At(state_tiles_), step_.outcomes(),
                             step_.bad(), factors_.data(), gradients};
    MB_RETURN_IF_ERROR(
        gpu_->Launch(kernels().scale_gradients, state_tiles_.size, scale));
  }
  // Scaling may have overflowed.
  if (clip.any()) MB_RETURN_IF_ERROR(LaunchFindNonFinite(gradients));

  if (rule.optimizer == OptimizerKind::kNone) return absl::OkStatus();
  const int optimizer = static_cast<int>(rule.optimizer) - 1;
  return gpu_->Launch(kernels().updates[optimizer], state_tiles_.size,
                      UpdateOf(gradients));
}

// ---- Calls.

absl::Status CudaExecutor::SetDataset(const grouped::HostDataset* dataset) {
  dataset_ = dynamic_cast<const CudaDataset*>(dataset);
  if (dataset_ != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError("the dataset belongs to another backend");
}

void CudaExecutor::SetColumns(const grouped::UpdateRule& rule) {
  step_.SetSteps(steps_);
  if (rule.mu_product != nullptr) step_.SetMuProducts(rule.mu_product);
  for (size_t c = 0; c < rule.columns.size(); ++c) {
    if (rule.columns[c] != nullptr) step_.SetColumn(c, rule.columns[c]);
  }
  const double* const gradients[] = {rule.gradients.scale,
                                     rule.gradients.clip_value,
                                     rule.gradients.clip_norm};
  for (int c = 0; c < 3; ++c) {
    if (gradients[c] != nullptr) step_.SetColumn(8 + c, gradients[c]);
  }
}

void CudaExecutor::CountSteps(const Outcome* outcomes) {
  for (int64_t m = 0; m < models(); ++m) {
    if (outcomes[m] == Outcome::kStepped) ++steps_[m];
  }
}

int64_t CudaExecutor::IndexSize(const RowSet& rows) const {
  if (!rows.offsets.empty()) return static_cast<int64_t>(rows.rows.size());
  return std::min(plan_->max_rows, static_cast<int64_t>(rows.rows.size()));
}

StepKind CudaExecutor::KindOf(const grouped::TrainArgs& args) const {
  StepKind kind;
  kind.keep_gradients = args.keep_gradients;
  kind.accumulate = args.accumulate;
  kind.update = args.update;
  for (const LinearSchedule& linear : schedule_.linear) {
    if (linear.wide.used()) kind.shared_rows = step_.shared();
  }
  if (args.update) {
    const grouped::GradientColumns& clip = args.rule.gradients;
    kind.optimizer = args.rule.optimizer;
    kind.gradient_scale = clip.scale != nullptr;
    kind.clip_value = clip.clip_value != nullptr;
    kind.clip_norm = clip.clip_norm != nullptr;
  }
  kind.addresses = {dataset_->device_features(), dataset_->device_classes(),
                    dataset_->device_values(), step_.device_memory(),
                    step_.result_memory()};
  for (const DeviceArray<float>& memory : arenas_) {
    kind.addresses.push_back(memory.data());
  }
  return kind;
}

absl::Status CudaExecutor::LaunchStep(const grouped::TrainArgs& args) {
  int32_t* const large = UpdatesInEpilogues(args) ? step_.large() : nullptr;
  MB_RETURN_IF_ERROR(LaunchForward(/*training=*/true, large));
  MB_RETURN_IF_ERROR(LaunchLoss(/*training=*/true));
  float* const kept = arena(Arena::kGradient);
  float* const gradients =
      args.keep_gradients && !args.accumulate ? kept : gradients_.data();
  MB_RETURN_IF_ERROR(LaunchBackward(gradients, large));
  if (args.accumulate) {
    MB_RETURN_IF_ERROR(LaunchState(kernels().add_gradients, gradients, kept));
  }
  if (large != nullptr) {
    MB_RETURN_IF_ERROR(LaunchEpilogueUpdates(args.rule, gradients, large));
  } else if (args.update) {
    MB_RETURN_IF_ERROR(LaunchUpdate(args.rule, gradients));
  }
  return absl::OkStatus();
}

absl::Status CudaExecutor::LaunchAdvance(int64_t step) {
  AdvanceArgs args;
  args.models = models();
  step_.Select(step);
  args.outcomes = step_.outcomes();
  args.bad = step_.bad();
  args.had_rows = step_.had_rows();
  args.steps = step_.steps();
  args.mu_product = step_.mu_products();
  args.new_mu_product = step_.new_mu_products();
  step_.Select(step + 1);
  args.next_outcomes = step_.outcomes();
  args.next_rows = step_.rows();
  args.next_steps = step_.steps();
  args.next_mu_product = step_.mu_products();
  args.next_new_mu_product = step_.new_mu_products();
  return gpu_->Launch(kernels().advance_steps, Parts(models(), kStateThreads),
                      args);
}

absl::Status CudaExecutor::TrainStep(const grouped::TrainArgs& args) {
  MB_RETURN_IF_ERROR(SetDataset(args.dataset));
  MB_RETURN_IF_ERROR(step_.Begin(1, IndexSize(args.rows)));
  step_.SetRows(args.rows, 0, args.active);
  SetColumns(args.rule);
  MB_RETURN_IF_ERROR(step_.Upload());
  MB_RETURN_IF_ERROR(
      graphs_.Run(gpu_.get(), KindOf(args), [&]() -> absl::Status {
        MB_RETURN_IF_ERROR(LaunchStep(args));
        return step_.Download();
      }));
  MB_RETURN_IF_ERROR(step_.Wait());
  step_.Read(args.losses, args.outcomes,
             args.update ? args.rule.mu_product : nullptr);
  if (args.update) CountSteps(args.outcomes);
  return absl::OkStatus();
}

absl::Status CudaExecutor::TrainSteps(const grouped::TrainStepsArgs& args,
                                      int64_t* made) {
  *made = 0;
  MB_RETURN_IF_ERROR(SetDataset(args.dataset));
  const auto steps = static_cast<int64_t>(args.rows.size());
  int64_t index = 0;
  for (const RowSet& rows : args.rows) index += IndexSize(rows);
  MB_RETURN_IF_ERROR(step_.Begin(steps, index));
  for (int64_t s = 0; s < steps; ++s) {
    step_.Select(s);
    step_.SetRows(args.rows[s], 0, args.active);
    SetColumns(args.rules[s]);
  }
  MB_RETURN_IF_ERROR(step_.Upload());
  grouped::TrainArgs step;
  step.dataset = args.dataset;
  step.rule = args.rules[0];
  StepKind kind = KindOf(step);
  kind.steps = steps;
  int64_t launched = 0;
  const auto launch = [&]() -> absl::Status {
    for (int64_t s = 0; s < steps; ++s) {
      if (s > 0) MB_RETURN_IF_ERROR(LaunchAdvance(s - 1));
      step_.Select(s);
      step.rule = args.rules[s];
      MB_RETURN_IF_ERROR(LaunchStep(step));
      launched = s + 1;
    }
    return step_.Download();
  };
  const bool graphs = graphs_.enabled();
  const absl::Status status = graphs_.Run(gpu_.get(), kind, launch);
  if (!status.ok()) {
    // Of a graph that failed nothing was made; else what was launched was.
    if (graphs && !graphs_.enabled()) return status;
    if (launched == 0 || !step_.Download().ok()) return status;
  } else {
    launched = steps;
  }
  if (const absl::Status waited = step_.Wait(); !waited.ok()) {
    return status.ok() ? waited : status;
  }
  for (int64_t s = 0; s < launched; ++s) {
    step_.Select(s);
    Outcome* const outcomes = args.outcomes + s * models();
    step_.Read(args.losses + s * models(), outcomes, args.rules[s].mu_product);
    CountSteps(outcomes);
  }
  *made = launched;
  return status;
}

absl::StatusOr<TuneReport> CudaExecutor::Tune(const TuneOptions& options) {
  graphs_.Enable();
  TuneReport report;
  report.choices = graphs_.Choices();
  report.notes = graphs_.Notes();
  if (!options.cache.empty()) {
    absl::StrAppend(&report.notes, "  nothing is measured: ", options.cache,
                    " is neither read nor written\n");
  }
  return report;
}

std::string CudaExecutor::tuning() const {
  std::string text;
  for (const GroupedOp& op : plan_->ops) {
    if (!schedule_.epilogue_updates[op.index].used) continue;
    absl::StrAppend(&text,
                    text.empty() ? "  sgd, adam, adamw: in the epilogue of the "
                                   "weight gradient of operator "
                                 : ", ",
                    op.index);
  }
  if (!text.empty()) text.push_back('\n');
  if (!graphs_.enabled() && graphs_.Notes().empty()) return text;
  for (const TuneChoice& choice : graphs_.Choices()) {
    absl::StrAppend(&text, "  tuned, ", choice.operation, ": ", choice.choice,
                    "\n");
  }
  return text + graphs_.Notes();
}

absl::Status CudaExecutor::Update(const grouped::UpdateArgs& args) {
  MB_RETURN_IF_ERROR(step_.Begin(1, 0));
  step_.SetOutcomes(args.outcomes);
  SetColumns(args.rule);
  MB_RETURN_IF_ERROR(step_.Upload());
  float* const gradients = arena(Arena::kGradient);
  MB_RETURN_IF_ERROR(LaunchFindNonFinite(gradients));
  MB_RETURN_IF_ERROR(LaunchUpdate(args.rule, gradients));
  MB_RETURN_IF_ERROR(step_.Download());
  MB_RETURN_IF_ERROR(step_.Wait());
  step_.Read(nullptr, args.outcomes, args.rule.mu_product);
  CountSteps(args.outcomes);
  return absl::OkStatus();
}

absl::Status CudaExecutor::AllocateStaging() {
  if (packed_.allocated()) return absl::OkStatus();
  MB_RETURN_IF_ERROR(packed_host_.Allocate(gpu_.get(), packed_size_));
  return packed_.Allocate(gpu_.get(), packed_size_);
}

absl::Status CudaExecutor::Backward(const grouped::BackwardArgs& args) {
  MB_RETURN_IF_ERROR(SetDataset(args.dataset));
  MB_RETURN_IF_ERROR(AllocateStaging());
  MB_RETURN_IF_ERROR(step_.Begin(1, IndexSize(args.rows)));
  step_.SetRows(args.rows, 0, args.active);
  step_.SetSteps(steps_);
  for (int64_t m = 0; m < models(); ++m) {
    if (args.output_gradients[m] == nullptr) continue;
    const int64_t size = static_cast<int64_t>(RowsOf(args.rows, m).size()) *
                         plan_->models[m].values[plan_->output()].cols;
    std::copy_n(args.output_gradients[m], size,
                packed_host_.data() + packed_offsets_[m]);
  }
  MB_RETURN_IF_ERROR(step_.Upload());
  MB_RETURN_IF_ERROR(
      gpu_->Upload(packed_.data(), packed_host_.data(), packed_host_.bytes()));
  MB_RETURN_IF_ERROR(LaunchForward(/*training=*/true));
  PackArgs unpack;
  unpack.grid = RowGrid(kElementRows);
  unpack.to = GradientTarget(plan_->output());
  unpack.compact = tables_.At(packed_table_);
  unpack.packed = packed_.data();
  MB_RETURN_IF_ERROR(gpu_->Launch(kernels().unpack_rows,
                                  models() * unpack.grid.parts, unpack));
  MB_RETURN_IF_ERROR(LaunchBackward(gradients_.data()));
  MB_RETURN_IF_ERROR(LaunchState(kernels().add_gradients, gradients_.data(),
                                 arena(Arena::kGradient)));
  MB_RETURN_IF_ERROR(step_.Download());
  MB_RETURN_IF_ERROR(step_.Wait());
  step_.Read(nullptr, args.outcomes, nullptr);
  return absl::OkStatus();
}

absl::Status CudaExecutor::Forward(const grouped::ForwardArgs& args) {
  MB_RETURN_IF_ERROR(SetDataset(args.dataset));
  MB_RETURN_IF_ERROR(AllocateStaging());
  int64_t most = 0;
  for (int64_t m = 0; m < models(); ++m) {
    most = std::max(most, static_cast<int64_t>(RowsOf(args.rows, m).size()));
  }
  for (int64_t begin = 0; begin < most; begin += plan_->max_rows) {
    MB_RETURN_IF_ERROR(step_.Begin(1, models() * plan_->max_rows));
    step_.SetRows(args.rows, begin, nullptr);
    step_.SetSteps(steps_);
    MB_RETURN_IF_ERROR(step_.Upload());
    MB_RETURN_IF_ERROR(LaunchForward(args.training));
    PackArgs pack;
    pack.grid = RowGrid(kElementRows);
    pack.from = Value(plan_->output());
    pack.compact = tables_.At(packed_table_);
    pack.packed = packed_.data();
    MB_RETURN_IF_ERROR(
        gpu_->Launch(kernels().pack_rows, models() * pack.grid.parts, pack));
    MB_RETURN_IF_ERROR(
        gpu_->Download(packed_host_.data(), packed_.data(), packed_.bytes()));
    MB_RETURN_IF_ERROR(gpu_->Synchronize());
    for (int64_t m = 0; m < models(); ++m) {
      const int64_t rows =
          std::min(plan_->max_rows,
                   static_cast<int64_t>(RowsOf(args.rows, m).size()) - begin);
      if (rows <= 0) continue;
      const int64_t cols = plan_->models[m].values[plan_->output()].cols;
      std::copy_n(packed_host_.data() + packed_offsets_[m], rows * cols,
                  args.outputs[m] + begin * cols);
    }
  }
  return absl::OkStatus();
}

absl::Status CudaExecutor::Evaluate(const grouped::EvaluateArgs& args) {
  MB_RETURN_IF_ERROR(SetDataset(args.dataset));
  MB_RETURN_IF_ERROR(gpu_->Zero(sums_.data(), sums_.bytes()));
  const bool classes = plan_->loss.has_classes();
  int64_t most = 0;
  for (int64_t m = 0; m < models(); ++m) {
    most = std::max(most, static_cast<int64_t>(RowsOf(args.rows, m).size()));
  }
  for (int64_t begin = 0; begin < most; begin += plan_->max_rows) {
    MB_RETURN_IF_ERROR(step_.Begin(1, models() * plan_->max_rows));
    step_.SetRows(args.rows, begin, args.active);
    step_.SetSteps(steps_);
    MB_RETURN_IF_ERROR(step_.Upload());
    MB_RETURN_IF_ERROR(LaunchForward(/*training=*/false));
    MB_RETURN_IF_ERROR(LaunchLoss(/*training=*/false));
    EvaluateArgs add;
    add.rows = step_.rows();
    add.index = step_.index();
    add.begin = step_.begin();
    add.max_rows = plan_->max_rows;
    add.x = Value(plan_->output());
    add.row_losses = row_losses_.data();
    if (classes) {
      add.row_weights = row_weights_.data();
      add.classes = dataset_->device_classes();
      add.ignore_index = plan_->loss.ignore_index;
    }
    add.sums = sums_.data();
    add.totals = sums_.data() + models();
    add.correct = reinterpret_cast<int64_t*>(sums_.data() + 2 * models());
    MB_RETURN_IF_ERROR(
        gpu_->Launch(kernels().add_to_evaluation, models(), add));
  }
  std::vector<double> sums(3 * models());
  MB_RETURN_IF_ERROR(gpu_->Download(sums.data(), sums_.data(), sums_.bytes()));
  MB_RETURN_IF_ERROR(gpu_->Synchronize());
  for (int64_t m = 0; m < models(); ++m) {
    const bool active = args.active == nullptr || args.active[m] != 0;
    const double total = sums[models() + m];
    args.losses[m] = total > 0 ? sums[m] / total : 0;
    int64_t correct = -1;
    if (classes && active) {
      std::memcpy(&correct, &sums[2 * models() + m], sizeof(correct));
    }
    args.correct[m] = correct;
  }
  return absl::OkStatus();
}

}  // namespace modelbatch::cuda
