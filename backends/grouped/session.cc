#include "backends/grouped/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "backends/grouped/dataset.h"
#include "modelbatch/model/attribute_reader.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::grouped {
namespace {

constexpr char kStepSlot[] = "step";

struct KindName {
  const char* name;
  OptimizerKind kind;
};
constexpr KindName kKinds[] = {
    {"sgd", OptimizerKind::kSgd},
    {"adam", OptimizerKind::kAdam},
    {"adamw", OptimizerKind::kAdamW},
    {"nadam", OptimizerKind::kNAdam},
    {"radam", OptimizerKind::kRAdam},
    {"rmsprop", OptimizerKind::kRmsProp},
    {"adagrad", OptimizerKind::kAdagrad},
    {"adadelta", OptimizerKind::kAdadelta},
    {"lion", OptimizerKind::kLion},
};

absl::StatusOr<OptimizerKind> KindOf(const std::string& name) {
  for (const KindName& kind : kKinds) {
    if (kind.name == name) return kind.kind;
  }
  return absl::UnimplementedError(
      absl::StrCat("optimizer ", name, " is not in this backend"));
}

absl::StatusOr<const HostDataset*> AsHostDataset(const Dataset* dataset) {
  const auto* host = dynamic_cast<const HostDataset*>(dataset);
  if (host != nullptr) return host;
  return absl::InvalidArgumentError(
      dataset == nullptr ? "no dataset, expected one of this backend"
                         : "the dataset belongs to another backend");
}

}  // namespace

std::vector<std::string> GroupedOptimizers() {
  std::vector<std::string> names;
  for (const KindName& kind : kKinds) names.push_back(kind.name);
  return names;
}

const char* OptimizerKindName(OptimizerKind kind) {
  for (const KindName& known : kKinds) {
    if (known.kind == kind) return known.name;
  }
  return "none";
}

absl::StatusOr<std::unique_ptr<Session>> GroupedSession::Create(
    std::shared_ptr<const Plan> plan, std::unique_ptr<Executor> executor) {
  MB_RETURN_IF_ERROR(executor->Allocate(Arena::kParam));
  auto session = std::unique_ptr<GroupedSession>(new GroupedSession);
  session->zeros_.assign(plan->models.size(), 0.0);
  session->plan_ = std::move(plan);
  session->executor_ = std::move(executor);
  return std::unique_ptr<Session>(std::move(session));
}

absl::Status GroupedSession::SetOptimizer(const std::string& optimizer) {
  UpdateRule rule;
  const OptimizerInfo* info = nullptr;
  if (optimizer != "none") {
    MB_ASSIGN_OR_RETURN(info, FindOptimizer(optimizer));
    MB_ASSIGN_OR_RETURN(rule.optimizer, KindOf(optimizer));
    MB_RETURN_IF_ERROR(executor_->CheckRule(rule));
  }
  ReleaseStates();
  kind_ = OptimizerKind::kNone;
  info_ = nullptr;
  for (int64_t& step : executor_->steps()) step = 0;
  if (info == nullptr) return absl::OkStatus();
  int arena = 0;
  for (const OptimizerState& state : info->state) {
    if (state.per_model) {
      mu_product_.assign(num_models(), 0.0f);
      continue;
    }
    const Arena next = StateArena(arena++);
    if (!state.needed_by.empty()) continue;
    if (absl::Status status = executor_->Allocate(next); !status.ok()) {
      ReleaseStates();  // no optimizer rather than half of one
      return status;
    }
  }
  kind_ = rule.optimizer;
  info_ = info;
  return absl::OkStatus();
}

void GroupedSession::ReleaseStates() {
  for (int s = 0; s < kMaxStates; ++s) executor_->Release(StateArena(s));
  mu_product_.clear();
}

absl::Status GroupedSession::AllocateStates(const UpdateRule& rule) {
  int arena = 0;
  for (const OptimizerState& state : info_->state) {
    if (state.per_model) continue;
    const Arena next = StateArena(arena++);
    if (executor_->IsAllocated(next)) continue;
    const HyperParameter* h = info_->Find(state.needed_by);
    const double* column = rule.columns[h - info_->hyper_parameters.data()];
    if (std::any_of(column, column + num_models(),
                    [](double value) { return value != 0; })) {
      MB_RETURN_IF_ERROR(executor_->Allocate(next));
    }
  }
  return absl::OkStatus();
}

absl::Status GroupedSession::CheckModel(int model) const {
  if (model >= 0 && model < num_models()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("model index ", model, " does not exist, expected 0 to ",
                   num_models() - 1));
}

absl::Status GroupedSession::CheckRows(const RowSet& rows,
                                       const HostDataset& dataset,
                                       int64_t max_rows) const {
  const int64_t num_rows = static_cast<int64_t>(rows.rows.size());
  for (int64_t j = 0; j < num_rows; ++j) {
    const int32_t row = rows.rows[j];
    if (row >= 0 && row < dataset.num_rows()) continue;
    return absl::OutOfRangeError(absl::StrCat("rows[", j, "] is ", row,
                                              ", the dataset has rows 0 to ",
                                              dataset.num_rows() - 1));
  }
  const auto too_many = [&](int64_t count, const std::string& who) {
    return absl::InvalidArgumentError(
        absl::StrCat(who, count, " rows, expected at most the ", max_rows,
                     " that the session was compiled for"));
  };
  if (rows.offsets.empty()) {
    if (max_rows >= 0 && num_rows > max_rows) {
      return too_many(num_rows, "the step has ");
    }
    return absl::OkStatus();
  }
  if (static_cast<int>(rows.offsets.size()) != num_models() + 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "row offsets have ", rows.offsets.size(),
        " entries, expected number of models + 1 = ", num_models() + 1));
  }
  if (rows.offsets.front() != 0 || rows.offsets.back() != num_rows) {
    return absl::InvalidArgumentError(absl::StrCat(
        "row offsets go from ", rows.offsets.front(), " to ",
        rows.offsets.back(), ", expected 0 to the number of rows, ", num_rows));
  }
  for (int i = 0; i < num_models(); ++i) {
    const int64_t count = rows.offsets[i + 1] - rows.offsets[i];
    if (count < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("row offsets decrease after model index ", i));
    }
    if (max_rows >= 0 && count > max_rows) {
      return too_many(count,
                      absl::StrCat("model ", plan_->models[i].id, " has "));
    }
  }
  return absl::OkStatus();
}

absl::Status GroupedSession::CheckActive(
    absl::Span<const uint8_t> active) const {
  if (active.empty() || static_cast<int>(active.size()) == num_models()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("active has ", active.size(),
                   " entries, expected one a model, ", num_models()));
}

absl::Status GroupedSession::BindColumns(absl::Span<const Column> columns,
                                         UpdateRule* rule, size_t step,
                                         size_t steps) {
  if (info_ == nullptr) {
    return absl::FailedPreconditionError(
        "a step that updates needs an optimizer: call SetOptimizer first");
  }
  // Where a column's values go.
  const auto place = [this, rule](const HyperParameter& h) -> const double** {
    const auto& own = info_->hyper_parameters;
    if (&h >= own.data() && &h < own.data() + own.size()) {
      return &rule->columns[&h - own.data()];
    }
    const auto& shared = GradientHyperParameters();
    GradientColumns& g = rule->gradients;
    const double** const places[] = {&g.scale, &g.clip_value, &g.clip_norm};
    return places[&h - shared.data()];
  };
  *rule = UpdateRule();
  rule->optimizer = kind_;
  for (const Column& column : columns) {
    const HyperParameter* h = info_->Find(column.name);
    if (h == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("optimizer ", info_->kind, " has no hyper-parameter \"",
                       column.name, "\""));
    }
    if (column.values.size() != steps * num_models()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "column ", column.name, " has ", column.values.size(),
          " values, expected one a model, ", num_models(),
          steps == 1 ? "" : absl::StrCat(", in ", steps, " steps")));
    }
    const double* const of_step = column.values.data() + step * num_models();
    const double** const values = place(*h);
    if (*values != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("column ", column.name, " is there twice"));
    }
    for (int i = 0; i < num_models(); ++i) {
      absl::Status status = h->Check(of_step[i]);
      if (status.ok()) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("model ", plan_->models[i].id, ": ", status.message()));
    }
    *values = of_step;
  }
  for (size_t j = 0; j < info_->hyper_parameters.size(); ++j) {
    if (rule->columns[j] != nullptr) continue;
    const HyperParameter& h = info_->hyper_parameters[j];
    if (!h.optional) {
      return absl::InvalidArgumentError(absl::StrCat("column ", h.name,
                                                     " is missing, optimizer ",
                                                     info_->kind, " needs it"));
    }
    rule->columns[j] = zeros_.data();
  }
  rule->mu_product = mu_product_.empty() ? nullptr : mu_product_.data();
  return executor_->CheckRule(*rule);
}

absl::Status GroupedSession::TrainStep(const StepRequest& request,
                                       StepResult* result) {
  MB_ASSIGN_OR_RETURN(const HostDataset* dataset,
                      AsHostDataset(request.dataset));
  MB_RETURN_IF_ERROR(dataset->CheckFeatures(*plan_));
  MB_RETURN_IF_ERROR(dataset->CheckTargets(*plan_));
  MB_RETURN_IF_ERROR(CheckRows(request.rows, *dataset, plan_->max_rows));
  MB_RETURN_IF_ERROR(CheckActive(request.active));
  TrainArgs args;
  if (request.update) {
    MB_RETURN_IF_ERROR(BindColumns(request.columns, &args.rule));
  }
  if (request.accumulate && (request.update || !request.keep_gradients)) {
    return absl::InvalidArgumentError(
        "a step that accumulates keeps its gradients and does not update");
  }
  if (!request.accumulate) {  // what an earlier step kept
    MB_RETURN_IF_ERROR(ZeroGrad(/*release=*/!request.keep_gradients));
  }
  if (request.keep_gradients) MB_RETURN_IF_ERROR(KeepGradients());
  if (request.update) MB_RETURN_IF_ERROR(AllocateStates(args.rule));
  result->losses.resize(num_models());
  result->outcomes.resize(num_models());
  args.dataset = dataset;
  args.rows = request.rows;
  args.active = request.active.empty() ? nullptr : request.active.data();
  args.keep_gradients = request.keep_gradients;
  args.accumulate = request.accumulate;
  args.update = request.update;
  args.losses = result->losses.data();
  args.outcomes = result->outcomes.data();
  if (absl::Status status = executor_->TrainStep(args); !status.ok()) {
    // Some models may have added theirs already.
    executor_->Release(Arena::kGradient);
    return status;
  }
  if (request.keep_gradients) RecordGradients(result->outcomes);
  return absl::OkStatus();
}

absl::Status GroupedSession::TrainSteps(const StepsRequest& request,
                                        StepsResult* result) {
  if (!executor_->has_train_steps()) {
    return Session::TrainSteps(request, result);
  }
  result->made = 0;
  result->losses.clear();
  result->outcomes.clear();
  MB_RETURN_IF_ERROR(CheckStepColumns(request));
  MB_ASSIGN_OR_RETURN(const HostDataset* dataset,
                      AsHostDataset(request.dataset));
  MB_RETURN_IF_ERROR(dataset->CheckFeatures(*plan_));
  MB_RETURN_IF_ERROR(dataset->CheckTargets(*plan_));
  MB_RETURN_IF_ERROR(CheckActive(request.active));
  const size_t steps = request.rows.size();
  std::vector<UpdateRule> rules(steps);
  for (size_t s = 0; s < steps; ++s) {
    absl::Status status = CheckRows(request.rows[s], *dataset, plan_->max_rows);
    if (status.ok()) {
      status = BindColumns(request.columns, &rules[s], s, steps);
    }
    if (!status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat("step ", s, ": ", status.message()));
    }
  }
  MB_RETURN_IF_ERROR(ZeroGrad(/*release=*/true));
  for (const UpdateRule& rule : rules) {
    MB_RETURN_IF_ERROR(AllocateStates(rule));
  }
  result->losses.resize(steps * num_models());
  result->outcomes.resize(steps * num_models());
  TrainStepsArgs args;
  args.dataset = dataset;
  args.rows = request.rows;
  args.rules = rules;
  args.active = request.active.empty() ? nullptr : request.active.data();
  args.losses = result->losses.data();
  args.outcomes = result->outcomes.data();
  const absl::Status status = executor_->TrainSteps(args, &result->made);
  result->losses.resize(result->made * num_models());
  result->outcomes.resize(result->made * num_models());
  return status;
}

absl::Status GroupedSession::KeepGradients() {
  if (executor_->IsAllocated(Arena::kGradient)) return absl::OkStatus();
  MB_RETURN_IF_ERROR(executor_->Allocate(Arena::kGradient));
  gradients_.assign(num_models(), Outcome::kEmpty);
  return absl::OkStatus();
}

void GroupedSession::RecordGradients(absl::Span<const Outcome> outcomes) {
  for (int i = 0; i < num_models(); ++i) {
    switch (outcomes[i]) {
      case Outcome::kInactive:
      case Outcome::kEmpty:
        break;
      case Outcome::kStepped:
        if (gradients_[i] == Outcome::kEmpty) gradients_[i] = outcomes[i];
        break;
      case Outcome::kNonFiniteLoss:
      case Outcome::kNonFiniteGradient:
        gradients_[i] = outcomes[i];
        break;
    }
  }
}

absl::Status GroupedSession::Backward(const BackwardRequest& request,
                                      std::vector<Outcome>* outcomes) {
  MB_ASSIGN_OR_RETURN(const HostDataset* dataset,
                      AsHostDataset(request.dataset));
  MB_RETURN_IF_ERROR(dataset->CheckFeatures(*plan_));
  MB_RETURN_IF_ERROR(CheckRows(request.rows, *dataset, plan_->max_rows));
  MB_RETURN_IF_ERROR(CheckActive(request.active));
  if (static_cast<int>(request.output_gradients.size()) != num_models()) {
    return absl::InvalidArgumentError(
        absl::StrCat("output_gradients has ", request.output_gradients.size(),
                     " entries, expected one a model, ", num_models()));
  }
  std::vector<const float*> gradients(num_models(), nullptr);
  for (int i = 0; i < num_models(); ++i) {
    const int64_t rows = static_cast<int64_t>(RowsOf(request.rows, i).size());
    if (rows == 0 || (!request.active.empty() && request.active[i] == 0)) {
      continue;
    }
    const Tensor& gradient = request.output_gradients[i];
    const int64_t cols = plan_->models[i].values[plan_->output()].cols;
    if (gradient.dtype() != DType::kFloat32 || gradient.size() != rows * cols) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model ", plan_->models[i].id, ": the output gradient is ",
          DTypeName(gradient.dtype()), " ", ShapeToString(gradient.shape()),
          ", expected float32 ", ShapeToString({rows, cols})));
    }
    gradients[i] = gradient.data<float>();
  }
  MB_RETURN_IF_ERROR(KeepGradients());
  outcomes->resize(num_models());
  BackwardArgs args;
  args.dataset = dataset;
  args.rows = request.rows;
  args.active = request.active.empty() ? nullptr : request.active.data();
  args.output_gradients = gradients;
  args.outcomes = outcomes->data();
  if (absl::Status status = executor_->Backward(args); !status.ok()) {
    executor_->Release(Arena::kGradient);
    return status;
  }
  RecordGradients(*outcomes);
  return absl::OkStatus();
}

absl::Status GroupedSession::Update(const UpdateRequest& request,
                                    std::vector<Outcome>* outcomes) {
  MB_RETURN_IF_ERROR(CheckActive(request.active));
  UpdateArgs args;
  MB_RETURN_IF_ERROR(BindColumns(request.columns, &args.rule));
  if (!executor_->IsAllocated(Arena::kGradient)) {
    return absl::FailedPreconditionError(
        "no gradients are kept: call Backward first, or a step that keeps its "
        "gradients");
  }
  MB_RETURN_IF_ERROR(AllocateStates(args.rule));
  *outcomes = gradients_;
  for (int i = 0; i < num_models(); ++i) {
    if (!request.active.empty() && request.active[i] == 0) {
      (*outcomes)[i] = Outcome::kInactive;
    }
  }
  args.outcomes = outcomes->data();
  return executor_->Update(args);
}

absl::Status GroupedSession::ZeroGrad(bool release) {
  if (!executor_->IsAllocated(Arena::kGradient)) return absl::OkStatus();
  if (release) {
    executor_->Release(Arena::kGradient);
    return absl::OkStatus();
  }
  gradients_.assign(num_models(), Outcome::kEmpty);
  return executor_->Allocate(Arena::kGradient);
}

absl::Status GroupedSession::Evaluate(const EvaluateRequest& request,
                                      EvaluateResult* result) {
  MB_ASSIGN_OR_RETURN(const HostDataset* dataset,
                      AsHostDataset(request.dataset));
  MB_RETURN_IF_ERROR(dataset->CheckFeatures(*plan_));
  MB_RETURN_IF_ERROR(dataset->CheckTargets(*plan_));
  MB_RETURN_IF_ERROR(CheckRows(request.rows, *dataset, -1));
  MB_RETURN_IF_ERROR(CheckActive(request.active));
  result->losses.resize(num_models());
  result->correct.resize(num_models());
  EvaluateArgs args;
  args.dataset = dataset;
  args.rows = request.rows;
  args.active = request.active.empty() ? nullptr : request.active.data();
  args.losses = result->losses.data();
  args.correct = result->correct.data();
  return executor_->Evaluate(args);
}

absl::Status GroupedSession::Forward(const ForwardRequest& request,
                                     std::vector<Tensor>* outputs) {
  MB_ASSIGN_OR_RETURN(const HostDataset* dataset,
                      AsHostDataset(request.dataset));
  MB_RETURN_IF_ERROR(dataset->CheckFeatures(*plan_));
  MB_RETURN_IF_ERROR(CheckRows(request.rows, *dataset,
                               request.training ? plan_->max_rows : -1));
  outputs->clear();
  std::vector<float*> pointers;
  for (int i = 0; i < num_models(); ++i) {
    const int64_t cols = plan_->models[i].values[plan_->output()].cols;
    const int64_t count = static_cast<int64_t>(RowsOf(request.rows, i).size());
    outputs->push_back(Tensor::Zeros(DType::kFloat32, {count, cols}));
    pointers.push_back(outputs->back().data<float>());
  }
  ForwardArgs args;
  args.dataset = dataset;
  args.rows = request.rows;
  args.training = request.training;
  args.outputs = pointers;
  return executor_->Forward(args);
}

absl::StatusOr<Arena> GroupedSession::FindArena(const std::string& slot) const {
  std::vector<std::string> slots = {"param"};
  if (slot == "param") return Arena::kParam;
  if (slot == "grad") {
    if (executor_->IsAllocated(Arena::kGradient)) return Arena::kGradient;
    return absl::FailedPreconditionError(
        "no gradients are kept: call Backward first, or a step that keeps its "
        "gradients");
  }
  if (info_ != nullptr) {
    int arena = 0;
    for (const OptimizerState& state : info_->state) {
      slots.push_back(state.name);
      if (state.per_model) continue;
      if (state.name == slot) return StateArena(arena);
      ++arena;
    }
  }
  return absl::NotFoundError(absl::StrCat(
      "no state slot \"", slot, "\"; there are: ", absl::StrJoin(slots, ", "),
      ", grad, step"));
}

float* GroupedSession::FindNumber(int model, const std::string& slot) {
  if (info_ == nullptr) return nullptr;
  const OptimizerState* state = info_->FindState(slot);
  return state != nullptr && state->per_model ? &mu_product_[model] : nullptr;
}

absl::StatusOr<GroupedSession::Place> GroupedSession::FindPlace(
    int model, const std::string& slot, const std::string& parameter) const {
  Place place;
  MB_ASSIGN_OR_RETURN(place.arena, FindArena(slot));
  const ModelPlan& plan = plan_->models[model];
  std::vector<std::string> names;
  for (const ParameterPlan& p : plan.parameters) {
    if (p.name == parameter) {
      place.parameter = &p;
      place.offset = plan.state_offset + p.offset;
      return place;
    }
    names.push_back(p.name);
  }
  return absl::NotFoundError(
      absl::StrCat("model ", plan.id, " has no parameter \"", parameter,
                   "\"; it has: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<Tensor> GroupedSession::ReadState(int model,
                                                 const std::string& slot,
                                                 const std::string& parameter) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  if (slot == kStepSlot) {
    return Tensor::FromVector<int64_t>({executor_->steps()[model]}, {});
  }
  if (const float* number = FindNumber(model, slot); number != nullptr) {
    return Tensor::FromVector<float>({*number}, {});
  }
  MB_ASSIGN_OR_RETURN(const Place place, FindPlace(model, slot, parameter));
  Tensor value = Tensor::Zeros(DType::kFloat32, place.parameter->shape);
  // A state that no model has needed.
  if (!executor_->IsAllocated(place.arena)) return value;
  MB_RETURN_IF_ERROR(executor_->Read(
      place.arena, place.offset, place.parameter->size, value.data<float>()));
  return value;
}

absl::Status GroupedSession::WriteState(int model, const std::string& slot,
                                        const std::string& parameter,
                                        const Tensor& value) {
  MB_RETURN_IF_ERROR(CheckModel(model));
  const auto expect = [&](DType dtype, const Shape& shape) -> absl::Status {
    if (value.dtype() == dtype && value.shape() == shape) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", plan_->models[model].id, ", ", slot,
        parameter.empty() ? "" : " ", parameter, ": got ",
        DTypeName(value.dtype()), " ", ShapeToString(value.shape()),
        ", expected ", DTypeName(dtype), " ", ShapeToString(shape)));
  };
  if (slot == kStepSlot) {
    MB_RETURN_IF_ERROR(expect(DType::kInt64, {}));
    const int64_t step = value.data<int64_t>()[0];
    if (step < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", plan_->models[model].id, ": step is ", step,
                       ", expected at least 0"));
    }
    executor_->steps()[model] = step;
    return absl::OkStatus();
  }
  if (float* number = FindNumber(model, slot); number != nullptr) {
    MB_RETURN_IF_ERROR(expect(DType::kFloat32, {}));
    *number = value.data<float>()[0];
    return absl::OkStatus();
  }
  MB_ASSIGN_OR_RETURN(const Place place, FindPlace(model, slot, parameter));
  if (place.arena == Arena::kGradient) {
    return absl::InvalidArgumentError("slot grad can only be read");
  }
  MB_RETURN_IF_ERROR(expect(DType::kFloat32, place.parameter->shape));
  if (!executor_->IsAllocated(place.arena)) {
    if (value.IsZero()) return absl::OkStatus();
    MB_RETURN_IF_ERROR(executor_->Allocate(place.arena));
  }
  return executor_->Write(place.arena, place.offset, place.parameter->size,
                          value.data<float>());
}

absl::StatusOr<SessionStats> GroupedSession::Stats() {
  SessionStats stats;
  for (int a = 0; a < kNumArenas; ++a) {
    if (executor_->IsAllocated(static_cast<Arena>(a))) {
      stats.state_bytes +=
          plan_->state_size * static_cast<int64_t>(sizeof(float));
    }
  }
  stats.state_bytes += static_cast<int64_t>(mu_product_.size() * sizeof(float));
  stats.workspace_bytes = executor_->workspace_bytes();
  stats.plan = plan_->ToString() + executor_->tuning();
  return stats;
}

absl::StatusOr<TuneReport> GroupedSession::Tune(const Attributes& options) {
  AttributeReader reader("tune", options);
  TuneOptions tune;
  MB_ASSIGN_OR_RETURN(tune.time_ms, reader.Int("time_ms", tune.time_ms));
  MB_ASSIGN_OR_RETURN(tune.cache, reader.String("cache", ""));
  MB_RETURN_IF_ERROR(reader.Finish());
  if (tune.time_ms < 0) {
    return reader.Error(
        absl::StrCat("time_ms is ", tune.time_ms, ", expected at least 0"));
  }
  return executor_->Tune(tune);
}

}  // namespace modelbatch::grouped
