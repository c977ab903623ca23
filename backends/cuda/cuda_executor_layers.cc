// CudaExecutor: the launches of forward, loss and backward.
#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "backends/cuda/cuda_executor.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/util/round_up.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {

using grouped::Arena;
using grouped::GroupedOp;
using grouped::ModelPlan;
using grouped::OpCode;

Source CudaExecutor::Value(grouped::ValueId value) const {
  Source source;
  source.places = tables_.At(tables_.values[value]);
  source.data = workspace_.data();
  if (schedule_.input[value]) {
    source.data = dataset_->device_features();
    source.index = step_.index();
    source.begin = step_.begin();
  }
  return source;
}

Target CudaExecutor::ValueTarget(grouped::ValueId value) const {
  return {workspace_.data(), tables_.At(tables_.values[value])};
}

Source CudaExecutor::Gradient(grouped::ValueId value) const {
  return {workspace_.data(), tables_.At(tables_.gradients[value]), nullptr,
          nullptr};
}

Target CudaExecutor::GradientTarget(grouped::ValueId value) const {
  return {workspace_.data(), tables_.At(tables_.gradients[value])};
}

Grid CudaExecutor::RowGrid(int64_t rows_of_block) const {
  return {step_.rows(),
          static_cast<int32_t>(PartsOf(plan_->max_rows, rows_of_block))};
}

ProductArgs CudaExecutor::ArgsOf(Product product, const GroupedOp& op,
                                 float* gradients) const {
  const OpTables& tables = tables_.ops[op.index];
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
  const OpTables& tables = tables_.ops[op.index];
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
  const OpTables& tables = tables_.ops[op.index];
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
  args.masks = tables_.At(tables_.ops[op.index].masks);
  args.steps = step_.steps();
  args.x = x;
  args.y = y;
  args.accumulate = accumulate;
  return gpu_->Launch(kernels().dropout, models() * args.grid.parts, args);
}

absl::Status CudaExecutor::LaunchLoss(bool training) {
  const LossSettings& loss = plan_->loss;
  const float* const weights = tables_.loss_weights.size == 0
                                   ? nullptr
                                   : tables_.At(tables_.loss_weights);
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
  const OpTables& tables = tables_.ops[op.index];
  const Source dy = Gradient(op.output);
  const Grid elements = RowGrid(kElementRows);
  const int64_t blocks = models() * elements.parts;
  const auto sum_parts = [&] {
    int64_t widest = 0;
    for (const ModelPlan& model : plan_->models) {
      widest = std::max(widest, model.values[op.output].cols);
    }
    return static_cast<int32_t>(PartsOf(widest, kSumCols));
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

}  // namespace modelbatch::cuda
