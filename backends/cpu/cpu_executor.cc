#include "backends/cpu/cpu_executor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/cpu/tune_plan.h"
#include "modelbatch/loss/loss.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cpu {
namespace {

// What the update of a parameter costs, in products' operations.
constexpr int64_t kUpdateFlops = 50;

void Accumulate(const Range& range, const float* from, float* to) {
  for (int64_t e = range.begin; e < range.end; ++e) to[e] += from[e];
}

}  // namespace

using grouped::Arena;
using grouped::HostDataset;
using grouped::ModelPlan;
using grouped::OptimizerKind;

absl::StatusOr<std::unique_ptr<CpuExecutor>> CpuExecutor::Create(
    std::shared_ptr<const grouped::Plan> plan, std::shared_ptr<ThreadPool> pool,
    const Options& options) {
  auto executor = std::unique_ptr<CpuExecutor>(new CpuExecutor);
  const std::vector<ModelPlan>& models = plan->models;
  executor->kernels_ = options.kernels;
  executor->tuning_table_ = options.tuning_table != nullptr
                                ? options.tuning_table
                                : &GlobalTuningTable();
  executor->break_contract_ = options.break_contract && models.size() > 1;
  executor->steps_.assign(models.size(), 0);
  int64_t largest_state = 0;
  for (const ModelPlan& model : models) {
    largest_state = std::max(largest_state, model.state_size);
  }
  executor->workers_ = std::vector<Worker>(pool->threads());
  executor->team_size_ =
      TeamSize(*plan, pool->threads(), options.threads_per_model);
  for (size_t i = 0; i < models.size() && executor->team_size_ > 1; ++i) {
    executor->barriers_.push_back(
        std::make_unique<Barrier>(executor->team_size_));
  }
  for (Worker& worker : executor->workers_) {
    MB_RETURN_IF_ERROR(worker.workspace.Allocate(plan->max_workspace_size));
    MB_RETURN_IF_ERROR(worker.scratch.Allocate(ModelStep::ScratchSize(*plan)));
    MB_RETURN_IF_ERROR(worker.gradients.Allocate(largest_state));
    MB_RETURN_IF_ERROR(worker.row_losses.Allocate(plan->max_rows));
    if (!plan->loss.has_classes()) {
      MB_RETURN_IF_ERROR(worker.targets.Allocate(
          plan->max_rows * grouped::RowStride(plan->max_output_size)));
    }
    worker.classes.resize(plan->max_rows);
    worker.row_weights.resize(plan->max_rows);
    worker.predictions.resize(plan->max_rows);
  }
  const std::vector<double>& weights =
      plan->loss.has_classes() ? plan->loss.weight : plan->loss.pos_weight;
  if (!weights.empty()) {
    MB_RETURN_IF_ERROR(executor->loss_weights_.Allocate(
        grouped::RowStride(static_cast<int64_t>(weights.size()))));
    std::copy(weights.begin(), weights.end(), executor->loss_weights_.data());
  }
  // Parameters and two states, as most optimizers have.
  executor->prefetches_ =
      plan->state_size * 3 * static_cast<int64_t>(sizeof(float)) >
      options.cached_bytes * pool->threads();
  executor->pieces_from_ = options.pieces_from;
  executor->plan_ = std::move(plan);
  executor->pool_ = std::move(pool);
  return executor;
}

int CpuExecutor::TeamSize(const grouped::Plan& plan, int threads, int wanted) {
  // A fifth of a millisecond on one core. Threads that share less gain little,
  // and lose a lot when one of them is put aside for another program.
  constexpr int64_t kEnough = 16'000'000;
  const int possible =
      std::max(1, threads / static_cast<int>(plan.models.size()));
  if (wanted > 0) return std::min(wanted, possible);
  int64_t flops = 0;
  for (const ModelPlan& model : plan.models) {
    flops = std::max(flops, model.flops_per_row * plan.max_rows);
  }
  return flops < kEnough ? 1 : possible;
}

absl::Status CpuExecutor::Allocate(Arena arena) {
  return arenas_[static_cast<int>(arena)].Allocate(plan_->state_size);
}

void CpuExecutor::Release(Arena arena) {
  arenas_[static_cast<int>(arena)].Release();
}

bool CpuExecutor::IsAllocated(Arena arena) const {
  return arenas_[static_cast<int>(arena)].allocated();
}

absl::Status CpuExecutor::Read(Arena arena, int64_t offset, int64_t size,
                               float* out) {
  std::memcpy(out, arenas_[static_cast<int>(arena)].data() + offset,
              size * sizeof(float));
  return absl::OkStatus();
}

absl::Status CpuExecutor::Write(Arena arena, int64_t offset, int64_t size,
                                const float* values) {
  std::memcpy(arenas_[static_cast<int>(arena)].data() + offset, values,
              size * sizeof(float));
  return absl::OkStatus();
}

int64_t CpuExecutor::workspace_bytes() const {
  int64_t floats = 0, integers = 0;
  for (const Worker& worker : workers_) {
    floats += worker.workspace.size() + worker.scratch.size() +
              worker.gradients.size() + worker.targets.size() +
              worker.row_losses.size();
    floats += static_cast<int64_t>(worker.row_weights.size());
    integers += worker.classes.size() + worker.predictions.size();
  }
  floats += loss_weights_.size();
  return floats * sizeof(float) + integers * sizeof(int64_t);
}

template <typename Body>
void CpuExecutor::WorkThroughLists(int thread, Body body) {
  const ScopedFloatMode mode;
  Worker& worker = workers_[thread];
  for (WorkLists::Task task; lists_.Take(thread, &task);) {
    worker.next_model = task.next;
    body(task.item, TeamMember(), worker);
  }
}

template <typename Body>
void CpuExecutor::ForEachModel(const RowSet* rows, Body body) {
  const int models = static_cast<int>(plan_->models.size());
  costs_.resize(models);
  for (int m = 0; m < models; ++m) {
    const ModelPlan& model = plan_->models[m];
    const int64_t count =
        rows == nullptr ? 1 : static_cast<int64_t>(RowsOf(*rows, m).size());
    costs_[m] = model.flops_per_row * count + kUpdateFlops * model.state_size;
  }
  ++call_;
  lists_.Assign(costs_, static_cast<int>(workers_.size()));
  lists_.Begin();
  if (models == 1 && team_size_ == 1) return WorkThroughLists(0, body);
  pool_->RunTogether([&](int thread, int threads) {
    // One thread: the pool is occupied.
    if (team_size_ == 1 || threads == 1) return WorkThroughLists(thread, body);
    const int team = thread / team_size_;
    if (team >= models) return;
    const ScopedFloatMode mode;
    const TeamMember member(barriers_[team].get(), thread % team_size_,
                            team_size_);
    body(team, member, workers_[team * team_size_]);
  });
}

ModelStep CpuExecutor::MakeStep(int model, const TeamMember& member,
                                Worker& worker, bool training) {
  const ModelPlan& plan = plan_->models[model];
  ModelStep step;
  step.kernels = kernels_;
  step.plan = plan_.get();
  step.model = &plan;
  step.workspace = worker.workspace.data();
  step.params = Block(Arena::kParam, plan);
  step.member = member;
  step.training = training;
  step.step = steps_[model];
  if (!tilings_.empty()) step.tilings = tilings_[model].data();
  step.product_parts = break_contract_ ? 2 : 1;
  Worker& own = (&worker)[member.rank()];
  step.scratch = own.scratch.data();
  if (prefetches_) step.prefetch = &own.prefetch;
  if (worker.next_model >= 0) {
    const ModelPlan& next = plan_->models[worker.next_model];
    step.next_params = Block(Arena::kParam, next);
    step.next_params_size = next.state_size;
  }
  return step;
}

void CpuExecutor::GatherInput(const HostDataset& dataset,
                              absl::Span<const int32_t> rows, Worker& worker,
                              ModelStep* step) const {
  const grouped::BufferPlan& buffer = step->model->values[0];
  float* data = worker.workspace.data() + buffer.value;
  step->input = ConstMatrix(data, buffer.ld);
  step->rows = static_cast<int64_t>(rows.size());
  // The input lies in the same place for all models, and no operation writes to
  // it. (A team has one model, and one worker for its members.)
  if (team_size_ == 1) {
    if (worker.input_call == call_ && worker.input_rows == rows) return;
    worker.input_call = call_;
    worker.input_rows = rows;
  }
  const auto [first, end] = step->member.Share(step->rows);
  for (int64_t i = first; i < end; ++i) {
    std::memcpy(data + i * buffer.ld,
                dataset.features() + rows[i] * buffer.cols,
                buffer.cols * sizeof(float));
  }
}

double CpuExecutor::GatherTargets(const HostDataset& dataset,
                                  absl::Span<const int32_t> rows,
                                  Worker& worker) const {
  const LossSettings& loss = plan_->loss;
  if (loss.has_classes()) {
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t label = dataset.classes()[rows[i]];
      worker.classes[i] = label == loss.ignore_index ? -1 : label;
    }
    return dataset.Weigh(loss, rows, worker.row_weights.data());
  }
  const int64_t cols = dataset.target_size();
  const int64_t ld = grouped::RowStride(cols);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(worker.targets.data() + i * ld,
                dataset.values() + rows[i] * cols, cols * sizeof(float));
  }
  return static_cast<double>(rows.size());
}

float CpuExecutor::Loss(const ModelStep& step, const HostDataset& dataset,
                        const Worker& worker, double weight, Matrix gradient,
                        float* row_losses) const {
  const LossSettings& loss = plan_->loss;
  const int64_t rows = step.rows, cols = step.output_cols();
  const Matrix x = step.Output();
  const ConstMatrix targets(worker.targets.data(),
                            grouped::RowStride(dataset.target_size()));
  switch (loss.kind) {
    case LossKind::kCrossEntropy:
    case LossKind::kNll:
      return ClassLoss(step, worker, weight, gradient, row_losses);
    case LossKind::kBceWithLogits:
      return kernels_->bce_with_logits(rows, cols, loss_weights_.data(), x,
                                       targets, gradient, row_losses);
    case LossKind::kMse:
      return kernels_->mse(rows, cols, x, targets, gradient, row_losses);
    case LossKind::kL1:
      return kernels_->smooth_l1(rows, cols, 0, x, targets, gradient,
                                 row_losses);
    case LossKind::kHuber:
      return kernels_->huber(rows, cols, static_cast<float>(loss.delta), x,
                             targets, gradient, row_losses);
    case LossKind::kSmoothL1:
      return kernels_->smooth_l1(rows, cols, static_cast<float>(loss.beta), x,
                                 targets, gradient, row_losses);
  }
  return 0;
}

float CpuExecutor::ClassLoss(const ModelStep& step, const Worker& worker,
                             double weight, Matrix gradient,
                             float* row_losses) const {
  const LossSettings& loss = plan_->loss;
  ClassLossArgs args;
  args.rows = step.rows;
  args.cols = step.output_cols();
  args.x = step.Output();
  args.targets = worker.classes.data();
  args.row_weights = worker.row_weights.data();
  args.total = static_cast<float>(weight);
  args.label_smoothing = loss.label_smoothing;
  args.class_weights = loss_weights_.data();
  args.dx = gradient;
  args.row_losses = row_losses;
  if (loss.kind == LossKind::kNll) return kernels_->nll(args);
  const bool plain = loss.weight.empty() && loss.label_smoothing == 0 &&
                     weight == static_cast<double>(step.rows);  // none ignored
  if (!plain) return kernels_->weighted_cross_entropy(args);
  return kernels_->cross_entropy(args.rows, args.cols, args.x, args.targets,
                                 gradient, row_losses);
}

absl::Status CpuExecutor::TrainStep(const grouped::TrainArgs& args) {
  ForEachModel(&args.rows,
               [&](int model, const TeamMember& member, Worker& worker) {
                 float loss = 0;
                 const Outcome outcome =
                     args.active != nullptr && args.active[model] == 0
                         ? Outcome::kInactive
                         : TrainModel(model, member, args, worker, &loss);
                 if (!member.leads()) return;
                 args.losses[model] = loss;
                 args.outcomes[model] = outcome;
               });
  return absl::OkStatus();
}

Outcome CpuExecutor::TrainModel(int model, const TeamMember& member,
                                const grouped::TrainArgs& args, Worker& worker,
                                float* loss) {
  const absl::Span<const int32_t> rows = RowsOf(args.rows, model);
  if (rows.empty()) return Outcome::kEmpty;
  ModelStep step = MakeStep(model, member, worker, /*training=*/true);
  const bool updates =
      args.update && args.rule.optimizer != OptimizerKind::kNone;
  for (int s = 0; updates && s < grouped::kMaxStates; ++s) {
    step.states[s] = Block(grouped::StateArena(s), *step.model);
  }
  // Pieces are updated as they come where nothing looks at the gradients, and
  // where these would leave the cache.
  const bool in_pieces = updates && !args.keep_gradients &&
                         !args.rule.gradients.any() &&
                         step.model->state_size >= pieces_from_;
  GatherInput(*args.dataset, rows, worker, &step);
  if (member.leads()) {
    worker.weight = GatherTargets(*args.dataset, rows, worker);
    worker.finite = true;
  }
  member.Wait();
  if (worker.weight == 0) return Outcome::kEmpty;
  step.Forward();
  if (member.leads()) {
    worker.loss = Loss(step, *args.dataset, worker, worker.weight,
                       step.OutputGradient(), nullptr);
  }
  member.Wait();
  *loss = worker.loss;
  if (!std::isfinite(*loss)) return Outcome::kNonFiniteLoss;

  const bool in_place = args.keep_gradients && !args.accumulate;
  float* const grads =
      in_place ? KeptGradients(model) : worker.gradients.data();
  step.BackwardValues(grads);
  if (in_pieces &&
      AllAgree(step.GradientsMustBeFinite(grads), member, worker)) {
    UpdateInPieces(model, member, args.rule, grads, step);
    return Outcome::kStepped;
  }
  step.BackwardWeights(grads);
  worker.finite = true;
  member.Wait();
  if (!AllFinite(model, member, grads, worker)) {
    return Outcome::kNonFiniteGradient;
  }
  if (args.accumulate) {
    const Range mine = member.Share(step.model->state_size, kAlignFloats);
    Accumulate(mine, grads, KeptGradients(model));
  }
  return args.update ? UpdateModel(model, member, args.rule, grads, worker)
                     : Outcome::kStepped;
}

bool CpuExecutor::AllAgree(bool finite, const TeamMember& member,
                           Worker& worker) {
  if (!finite) worker.finite = false;
  member.Wait();
  return worker.finite;
}

bool CpuExecutor::AllFinite(int model, const TeamMember& member,
                            const float* grads, Worker& worker) const {
  const Range mine =
      member.Share(plan_->models[model].state_size, kAlignFloats);
  const bool finite =
      kernels_->all_below(1, mine.size(), HUGE_VALF, {grads + mine.begin, 0});
  return AllAgree(finite, member, worker);
}

absl::Status CpuExecutor::Backward(const grouped::BackwardArgs& args) {
  ForEachModel(&args.rows, [&](int model, const TeamMember& member,
                               Worker& worker) {
    const Outcome outcome = args.active != nullptr && args.active[model] == 0
                                ? Outcome::kInactive
                                : BackwardModel(model, member, args, worker);
    if (member.leads()) args.outcomes[model] = outcome;
  });
  return absl::OkStatus();
}

Outcome CpuExecutor::BackwardModel(int model, const TeamMember& member,
                                   const grouped::BackwardArgs& args,
                                   Worker& worker) {
  const absl::Span<const int32_t> rows = RowsOf(args.rows, model);
  if (rows.empty()) return Outcome::kEmpty;
  ModelStep step = MakeStep(model, member, worker, /*training=*/true);
  GatherInput(*args.dataset, rows, worker, &step);
  if (member.leads()) worker.finite = true;
  member.Wait();
  step.Forward();
  const Matrix gradient = step.OutputGradient();
  const int64_t cols = step.output_cols();
  const float* from = args.output_gradients[model];
  const auto [first, end] = member.Share(step.rows);
  for (int64_t i = first; i < end; ++i) {
    std::memcpy(gradient.data + i * gradient.ld, from + i * cols,
                cols * sizeof(float));
  }
  member.Wait();
  float* const grads = worker.gradients.data();
  step.BackwardValues(grads);
  step.BackwardWeights(grads);
  if (!AllFinite(model, member, grads, worker)) {
    return Outcome::kNonFiniteGradient;
  }
  Accumulate(member.Share(step.model->state_size, kAlignFloats), grads,
             KeptGradients(model));
  return Outcome::kStepped;
}

absl::Status CpuExecutor::Update(const grouped::UpdateArgs& args) {
  ForEachModel(nullptr,
               [&](int model, const TeamMember& member, Worker& worker) {
                 if (args.outcomes[model] != Outcome::kStepped) return;
                 float* const grads = KeptGradients(model);
                 if (member.leads()) worker.finite = true;
                 member.Wait();
                 const Outcome outcome =
                     AllFinite(model, member, grads, worker)
                         ? UpdateModel(model, member, args.rule, grads, worker)
                         : Outcome::kNonFiniteGradient;
                 if (member.leads()) args.outcomes[model] = outcome;
               });
  return absl::OkStatus();
}

Outcome CpuExecutor::UpdateModel(int model, const TeamMember& member,
                                 const grouped::UpdateRule& rule, float* grads,
                                 Worker& worker) {
  const ModelPlan& plan = plan_->models[model];
  if (rule.gradients.any()) {
    const auto value = [model](const double* column, double none) {
      return column == nullptr ? none : column[model];
    };
    ClipArgs clip;
    clip.count = plan.state_size;
    clip.grad = grads;
    clip.scale = value(rule.gradients.scale, clip.scale);
    clip.value = value(rule.gradients.clip_value, clip.value);
    clip.norm = value(rule.gradients.clip_norm, clip.norm);
    // The norm is one sum over all of them.
    if (member.leads()) kernels_->clip(clip);
    member.Wait();
    // Scaling may have overflowed.
    if (!AllFinite(model, member, grads, worker)) {
      return Outcome::kNonFiniteGradient;
    }
  }
  if (rule.optimizer == OptimizerKind::kNone) return Outcome::kStepped;
  const Range mine = member.Share(plan.state_size, kAlignFloats);
  ModelBlocks blocks = Blocks(plan, mine, grads + mine.begin);
  float mu_product = rule.mu_product == nullptr ? 0 : rule.mu_product[model];
  // Each of the team moves a copy of the number; the leader's counts, whose
  // share may be empty.
  blocks.mu_product = &mu_product;
  if (mine.size() > 0 || member.leads()) {
    cpu::UpdateModel(*kernels_, rule, model, steps_[model] + 1, blocks);
  }
  CountUpdate(model, member, rule, mu_product);
  return Outcome::kStepped;
}

void CpuExecutor::UpdateInPieces(int model, const TeamMember& member,
                                 const grouped::UpdateRule& rule,
                                 const float* grads, const ModelStep& step) {
  const ModelPlan& plan = plan_->models[model];
  const float before = rule.mu_product == nullptr ? 0 : rule.mu_product[model];
  float mu_product = before;
  const auto update = [&](const Range& part, const float* part_grads) {
    mu_product = before;  // each piece moves it anew, to the same
    ModelBlocks blocks = Blocks(plan, part, part_grads);
    blocks.mu_product = &mu_product;
    cpu::UpdateModel(*kernels_, rule, model, steps_[model] + 1, blocks);
  };
  // The leader, whose share may be empty, counts for all.
  if (member.leads() && rule.optimizer == OptimizerKind::kNAdam) {
    update(Range{}, nullptr);
  }
  step.BackwardWeights(grads, update);
  CountUpdate(model, member, rule, mu_product);
}

ModelBlocks CpuExecutor::Blocks(const ModelPlan& plan, const Range& part,
                                const float* grads) {
  const auto of = [&](Arena arena) {
    float* const block = Block(arena, plan);
    return block == nullptr ? nullptr : block + part.begin;
  };
  ModelBlocks blocks;
  blocks.count = part.size();
  blocks.param = of(Arena::kParam);
  blocks.grad = grads;
  for (int s = 0; s < grouped::kMaxStates; ++s) {
    blocks.states[s] = of(grouped::StateArena(s));
  }
  return blocks;
}

void CpuExecutor::CountUpdate(int model, const TeamMember& member,
                              const grouped::UpdateRule& rule,
                              float mu_product) {
  member.Wait();  // all have read the count
  if (!member.leads()) return;
  ++steps_[model];
  // Without a parameter there is no state.
  if (rule.optimizer == OptimizerKind::kNAdam &&
      plan_->models[model].state_size > 0) {
    rule.mu_product[model] = mu_product;
  }
}

absl::StatusOr<TuneReport> CpuExecutor::Tune(const TuneOptions& options) {
  MB_ASSIGN_OR_RETURN(TunedPlan tuned,
                      TunePlan(*plan_, *kernels_, options, tuning_table_));
  tilings_ = std::move(tuned.tilings);
  choices_ = tuned.report.choices;
  return std::move(tuned.report);
}

std::string CpuExecutor::tuning() const {
  std::string text;
  for (const TuneChoice& choice : choices_) {
    absl::StrAppend(&text, "  tuned, ", choice.operation, ": ", choice.choice,
                    " (", TuneOriginName(choice.origin), ")\n");
  }
  return text;
}

absl::Status CpuExecutor::Evaluate(const grouped::EvaluateArgs& args) {
  ForEachModel(&args.rows,
               [&](int model, const TeamMember& member, Worker& worker) {
                 if (member.leads()) {
                   args.losses[model] = 0;
                   args.correct[model] = -1;
                 }
                 if (args.active == nullptr || args.active[model] != 0) {
                   EvaluateModel(model, member, args, worker);
                 }
               });
  return absl::OkStatus();
}

void CpuExecutor::EvaluateModel(int model, const TeamMember& member,
                                const grouped::EvaluateArgs& args,
                                Worker& worker) {
  const absl::Span<const int32_t> rows = RowsOf(args.rows, model);
  const bool classes = plan_->loss.has_classes();
  double sum = 0, total = 0;
  int64_t correct = 0;
  ModelStep step = MakeStep(model, member, worker, /*training=*/false);
  // The leader's part, of rows whose outputs are there.
  const auto judge = [&](absl::Span<const int32_t> chunk) {
    const double weight = GatherTargets(*args.dataset, chunk, worker);
    // One by one: chunks are as long as the largest batch of any model.
    for (int64_t i = 0; i < step.rows; ++i) {
      total += classes ? worker.row_weights[i] : 1;
    }
    float* row_losses = worker.row_losses.data();
    Loss(step, *args.dataset, worker, weight, Matrix{}, row_losses);
    for (int64_t i = 0; i < step.rows; ++i) sum += row_losses[i];
    if (!classes) return;
    kernels_->argmax(step.rows, step.output_cols(), step.Output(),
                     worker.predictions.data());
    for (int64_t i = 0; i < step.rows; ++i) {
      correct += worker.predictions[i] == worker.classes[i];
    }
  };
  for (size_t begin = 0; begin < rows.size(); begin += plan_->max_rows) {
    const absl::Span<const int32_t> chunk =
        rows.subspan(begin, plan_->max_rows);
    GatherInput(*args.dataset, chunk, worker, &step);
    member.Wait();
    step.Forward();
    if (member.leads()) judge(chunk);
    member.Wait();
  }
  if (!member.leads()) return;
  if (total > 0) args.losses[model] = sum / total;
  if (classes) args.correct[model] = correct;
}

absl::Status CpuExecutor::Forward(const grouped::ForwardArgs& args) {
  ForEachModel(&args.rows,
               [&](int model, const TeamMember& member, Worker& worker) {
                 ForwardModel(model, member, args, worker);
               });
  return absl::OkStatus();
}

void CpuExecutor::ForwardModel(int model, const TeamMember& member,
                               const grouped::ForwardArgs& args,
                               Worker& worker) {
  const absl::Span<const int32_t> rows = RowsOf(args.rows, model);
  ModelStep step = MakeStep(model, member, worker, args.training);
  float* out = args.outputs[model];
  const int64_t cols = step.output_cols();
  for (size_t begin = 0; begin < rows.size(); begin += plan_->max_rows) {
    GatherInput(*args.dataset, rows.subspan(begin, plan_->max_rows), worker,
                &step);
    member.Wait();
    step.Forward();
    const Matrix y = step.Output();
    const auto [first, end] = member.Share(step.rows);
    for (int64_t i = first; i < end; ++i) {
      std::memcpy(out + i * cols, y.data + i * y.ld, cols * sizeof(float));
    }
    out += step.rows * cols;
    member.Wait();
  }
}

}  // namespace modelbatch::cpu
