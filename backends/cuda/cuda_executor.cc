#include "backends/cuda/cuda_executor.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/util/round_up.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {
namespace {

using grouped::Arena;
using grouped::GroupedOp;

absl::StatusOr<Precision> FindPrecision(const std::string& name) {
  for (int p = 0; p < kNumPrecisions; ++p) {
    if (name == kPrecisionNames[p]) return static_cast<Precision>(p);
  }
  return absl::UnimplementedError(
      absl::StrCat("backend cuda has no precision ", name));
}

}  // namespace

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
  const int64_t parts = std::max(PartsOf(e.plan_->max_rows, kElementRows),
                                 PartsOf(e.plan_->max_output_size, kSumCols));
  if (models * parts > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        models, " models with ", e.plan_->max_rows,
        " rows a step are more than one launch takes: compile fewer models or "
        "rows"));
  }
  e.steps_.assign(models, 0);
  e.tables_.Build(*e.plan_, e.schedule_);
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
  in_part_ = false;
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
  return gpu_->Launch(kernels().advance_steps, PartsOf(models(), kStateThreads),
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
  absl::Status status = graphs_.Run(gpu_.get(), kind, launch);
  if (!status.ok()) {
    // Of a graph that failed nothing was made; else what was launched was.
    if (graphs && !graphs_.enabled()) return status;
    if (in_part_) {  // ResourceExhausted would ask to make it again
      status = absl::InternalError(absl::StrCat(
          status.message(), "; step ", launched,
          " was made in part: the weights of some layers are updated"));
    }
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
  MB_RETURN_IF_ERROR(packed_host_.Allocate(gpu_.get(), tables_.packed_size));
  return packed_.Allocate(gpu_.get(), tables_.packed_size);
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
                packed_host_.data() + tables_.packed_offsets[m]);
  }
  MB_RETURN_IF_ERROR(step_.Upload());
  MB_RETURN_IF_ERROR(
      gpu_->Upload(packed_.data(), packed_host_.data(), packed_host_.bytes()));
  MB_RETURN_IF_ERROR(LaunchForward(/*training=*/true));
  PackArgs unpack;
  unpack.grid = RowGrid(kElementRows);
  unpack.to = GradientTarget(plan_->output());
  unpack.compact = tables_.At(tables_.packed);
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
    pack.compact = tables_.At(tables_.packed);
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
      std::copy_n(packed_host_.data() + tables_.packed_offsets[m], rows * cols,
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
