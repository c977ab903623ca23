#include "modelbatch/train/trainer.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/train/population_events.h"
#include "modelbatch/util/logging.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

Trainer::Trainer(const Experiment& experiment, Backend* backend,
                 PerModelBatches batches)
    : experiment_(experiment),
      backend_(backend),
      batches_(std::move(batches)),
      validation_(MakeValidation(experiment)) {
  const int models = experiment.population.size();
  state_.epoch_loss.assign(models, 0);
  state_.epoch_rows.assign(models, 0);
  state_.epoch_lr.assign(models, kNaN);
  state_.models.resize(models);
  for (const ModelInstance& model : experiment.population.models) {
    next_id_ = std::max(next_id_, model.id + 1);
  }
  MakeBuiltInCallbacks();
}

void Trainer::MakeBuiltInCallbacks() {
  const TrainConfig& train = experiment_.config.train;
  owned_.push_back(
      std::make_unique<NaNCallback>(train.on_nan, train.max_resets));
  if (train.early_stopping.has_value()) {
    owned_.push_back(std::make_unique<EarlyStopping>(*train.early_stopping));
  }
  for (const auto& callback : owned_) built_in_.Add(callback.get());
}

absl::StatusOr<PerModelBatches> Trainer::MakeBatches(
    const Experiment& experiment) {
  // One list and one seed: all models of a fold visit its rows in the same
  // order.
  std::vector<ModelRows> models;
  for (int i = 0; i < experiment.population.size(); ++i) {
    models.push_back({experiment.rows_of(i).train,
                      experiment.population.batch_sizes[i],
                      experiment.config.seed});
  }
  return PerModelBatches::Create(std::move(models));
}

RoutedRows Trainer::MakeValidation(const Experiment& experiment) {
  RoutedRows routed;
  if (experiment.folds.size() == 1) {
    routed.rows = *experiment.folds[0].validation;
    return routed;
  }
  routed.offsets.push_back(0);
  for (int i = 0; i < experiment.population.size(); ++i) {
    const std::vector<int32_t>& rows = *experiment.rows_of(i).validation;
    routed.rows.insert(routed.rows.end(), rows.begin(), rows.end());
    routed.offsets.push_back(static_cast<int64_t>(routed.rows.size()));
  }
  return routed;
}

absl::Status Trainer::RemakeBatches() {
  MB_ASSIGN_OR_RETURN(batches_, MakeBatches(experiment_));
  validation_ = MakeValidation(experiment_);
  batches_.StartEpoch(state_.epoch);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(
    const Experiment* experiment, Backend* backend) {
  MB_RETURN_IF_ERROR(CheckCapabilities(*experiment, backend->capabilities(),
                                       experiment->config.backend.name));
  MB_ASSIGN_OR_RETURN(PerModelBatches batches, MakeBatches(*experiment));
  auto trainer = std::unique_ptr<Trainer>(
      new Trainer(*experiment, backend, std::move(batches)));
  MB_RETURN_IF_ERROR(trainer->BuildBatch());
  MB_ASSIGN_OR_RETURN(
      trainer->dataset_,
      backend->CreateDataset(experiment->data->features.Borrow(),
                             experiment->data->targets.Borrow()));
  return trainer;
}

absl::Status Trainer::BuildBatch() {
  const ExperimentConfig& config = experiment_.config;
  const Population& population = experiment_.population;
  absl::StatusOr<std::unique_ptr<ModelBatch>> batch =
      ModelBatch::Create(backend_, population.models, config.loss,
                         batches_.max_rows(), config.backend.compile_options());
  if (!batch.ok()) {
    return config.source.Error("model", std::string(batch.status().message()),
                               batch.status().code());
  }
  batch_ = *std::move(batch);
  for (int i = 0; i < num_models(); ++i) MB_RETURN_IF_ERROR(LoadInitial(i));
  MB_ASSIGN_OR_RETURN(
      Optimizer optimizer,
      Optimizer::Create(config.optimizer.kind, {}, population.optimizers));
  optimizer_ = std::make_unique<Optimizer>(std::move(optimizer));
  schedules_.clear();
  for (size_t i = 0; i < population.schedules.size(); ++i) {
    MB_ASSIGN_OR_RETURN(
        LrSchedule schedule,
        LrSchedule::Create(population.schedules[i], optimizer_->info()));
    const absl::Status status = schedule.Start(
        optimizer_.get(), static_cast<int>(i), &state_.models[i].schedule);
    if (!status.ok()) {
      return config.source.Error("optimizer.schedule",
                                 std::string(status.message()), status.code());
    }
    schedules_.push_back(std::move(schedule));
  }
  MB_RETURN_IF_ERROR(batch_->SetOptimizer(config.optimizer.kind));
  if (!config.backend.compile.has_value()) return absl::OkStatus();
  absl::StatusOr<TuneReport> report =
      batch_->EnableCompile(*config.backend.compile);
  if (!report.ok()) {
    return config.source.Error("backend.compile",
                               std::string(report.status().message()),
                               report.status().code());
  }
  Log(LogSeverity::kInfo, report->ToString());
  return absl::OkStatus();
}

absl::Status Trainer::LoadInitial(int model) {
  const std::vector<InitialWeights>& initial = experiment_.population.initial;
  if (initial.empty()) return absl::OkStatus();
  MB_ASSIGN_OR_RETURN(ModelState state, batch_->GetModelState(model));
  for (const auto& [name, value] : *initial[model]) {
    state.slots["param"][name] = value.Borrow();
  }
  return batch_->LoadModelState(model, state);
}

int Trainer::num_active() const {
  return static_cast<int>(
      std::count_if(state_.models.begin(), state_.models.end(),
                    [](const ModelRecord& m) { return !m.frozen(); }));
}

bool Trainer::finished() const {
  return state_.epoch >= experiment_.config.train.epochs || num_active() == 0;
}

absl::Status Trainer::Call(Hook hook) {
  calling_built_in_ = true;
  const absl::Status status = (built_in_.*hook)(this);
  calling_built_in_ = false;
  MB_RETURN_IF_ERROR(status);
  DropStepsOfNone();
  return (callbacks_.*hook)(this);
}

absl::Status Trainer::Step() { return Advance(1); }

absl::Status Trainer::Advance(int64_t most) {
  recording_ = true;
  const absl::Status status = AdvanceAndRecord(most);
  recording_ = false;
  DropStepsOfNone();
  return status;
}

absl::Status Trainer::AdvanceAndRecord(int64_t most) {
  if (state_.epoch >= experiment_.config.train.epochs) {
    return absl::FailedPreconditionError("training is finished");
  }
  report_ = StepReport();
  if (!started_) {
    started_ = true;
    MB_RETURN_IF_ERROR(Call(&Callback::OnTrainStart));
  }
  // Unless the last call trained, and failed to finish the epoch.
  if (state_.step_in_epoch < steps_per_epoch()) {
    MB_RETURN_IF_ERROR(TrainBatch(most));
    MB_RETURN_IF_ERROR(Call(&Callback::OnStep));
  }
  if (state_.step_in_epoch == steps_per_epoch()) {
    MB_RETURN_IF_ERROR(FinishEpoch());
    MB_RETURN_IF_ERROR(Call(&Callback::OnEpoch));
    MB_RETURN_IF_ERROR(CompactRemoved());
  }
  return finished() ? Call(&Callback::OnTrainEnd) : absl::OkStatus();
}

absl::Status Trainer::TrainBatch(int64_t most) {
  if (!ahead()) {
    if (state_.step_in_epoch == 0) batches_.StartEpoch(state_.epoch);
    MB_RETURN_IF_ERROR(Submit(most));
  }
  MB_RETURN_IF_ERROR(TakeStep());
  ++state_.step;
  RecordStep();
  ++state_.step_in_epoch;
  return TickAfterStep();
}

bool Trainer::AnyRows() const {
  for (int i = 0; i < num_models(); ++i) {
    if (!state_.models[i].frozen() &&
        !batches_.BatchOf(i, state_.step_in_epoch).empty()) {
      return true;
    }
  }
  return false;
}

void Trainer::RecordStep() {
  report_.min_loss = std::numeric_limits<float>::infinity();
  report_.max_loss = -std::numeric_limits<float>::infinity();
  const StepResult& step = report_.by_model;
  for (int i = 0; i < static_cast<int>(step.outcomes.size()); ++i) {
    const Outcome outcome = step.outcomes[i];
    if (outcome == Outcome::kStepped) {
      const float loss = step.losses[i];
      const int64_t rows = static_cast<int64_t>(
          batches_.BatchOf(i, state_.step_in_epoch).size());
      state_.epoch_loss[i] += static_cast<double>(loss) * rows;
      state_.epoch_rows[i] += rows;
      state_.epoch_lr[i] = optimizer_->Get(i, "lr").value_or(kNaN);
      report_.model_rows += rows;
      report_.min_loss = std::min(report_.min_loss, loss);
      report_.max_loss = std::max(report_.max_loss, loss);
    } else if (outcome == Outcome::kNonFiniteLoss ||
               outcome == Outcome::kNonFiniteGradient) {
      ++state_.models[i].skipped_updates;
      report_.non_finite.push_back(i);
    }
  }
  if (report_.model_rows == 0) {
    report_.min_loss = report_.max_loss =
        std::numeric_limits<float>::quiet_NaN();
  }
}

absl::Status Trainer::TickAfterStep() {
  if (schedules_.empty() ||
      !experiment_.config.optimizer.schedule->every_step) {
    return absl::OkStatus();
  }
  absl::Status first;
  const std::vector<Outcome>& outcomes = report_.by_model.outcomes;
  for (int i = 0; i < static_cast<int>(outcomes.size()); ++i) {
    if (outcomes[i] != Outcome::kStepped) continue;
    // One that cannot tick does not keep the others from it.
    first.Update(
        schedules_[i].Step(optimizer_.get(), i, &state_.models[i].schedule));
  }
  return first;
}

absl::Status Trainer::TickAfterEpoch(int model, const EpochCurve& curve,
                                     Optimizer* optimizer,
                                     LrScheduleState* state) const {
  if (schedules_.empty() || state_.epoch_rows[model] == 0 ||
      experiment_.config.optimizer.schedule->every_step) {
    return absl::OkStatus();
  }
  const LrSchedule& schedule = schedules_[model];
  if (!schedule.needs_metric()) {
    return schedule.Step(optimizer, model, state);
  }
  double metric = curve.train_loss[model];
  switch (experiment_.config.optimizer.schedule->metric) {
    case ScheduleMetric::kValidationLoss:
      metric = curve.validation[model].loss;
      break;
    case ScheduleMetric::kValidationAccuracy:
      metric = static_cast<double>(curve.validation[model].correct) /
               static_cast<double>(experiment_.counted_validation(model));
      break;
    case ScheduleMetric::kTrainLoss:
      break;
  }
  return schedule.Step(metric, optimizer, model, state);
}

absl::Status Trainer::FinishEpoch() {
  EpochCurve curve;
  curve.train_loss.assign(num_models(), kNaN);
  curve.lr.assign(num_models(), kNaN);
  curve.validation.resize(num_models());
  EvaluateResult validation;
  const bool validate = !validation_.rows.empty() && num_active() > 0;
  if (validate) {
    MB_RETURN_IF_ERROR(
        batch_->Evaluate(*dataset_, validation_.view(), &validation));
  }
  std::vector<int> improved;
  for (int i = 0; i < num_models(); ++i) {
    if (state_.models[i].frozen()) continue;
    if (state_.epoch_rows[i] > 0) {
      curve.train_loss[i] = state_.epoch_loss[i] / state_.epoch_rows[i];
    }
    if (validate) {
      curve.validation[i].loss = validation.losses[i];
      curve.validation[i].correct = validation.correct[i];
    }
    if (Improves(i, curve.validation[i])) improved.push_back(i);
    curve.lr[i] = state_.epoch_lr[i];
  }
  MB_ASSIGN_OR_RETURN(std::vector<BestOfModel> best,
                      EvaluateBest(improved, curve));
  Optimizer optimizer = *optimizer_;
  std::vector<LrScheduleState> schedules;
  for (int i = 0; i < num_models(); ++i) {
    schedules.push_back(state_.models[i].schedule);
    if (state_.models[i].frozen()) continue;
    MB_RETURN_IF_ERROR(TickAfterEpoch(i, curve, &optimizer, &schedules[i]));
  }
  // Nothing fails from here on: an epoch is finished as a whole or not at all.
  for (BestOfModel& of_model : best) {
    ModelRecord& record = state_.models[of_model.model];
    record.best_epoch = state_.epoch + 1;
    record.best_validation = of_model.validation;
    record.best_test = of_model.test;
    record.best = std::move(of_model.weights);
  }
  *optimizer_ = std::move(optimizer);
  for (int i = 0; i < num_models(); ++i) {
    state_.models[i].schedule = std::move(schedules[i]);
  }
  std::fill(state_.epoch_loss.begin(), state_.epoch_loss.end(), 0);
  std::fill(state_.epoch_lr.begin(), state_.epoch_lr.end(), kNaN);
  std::fill(state_.epoch_rows.begin(), state_.epoch_rows.end(), 0);
  ++state_.epoch;
  state_.step_in_epoch = 0;
  state_.curves.push_back(std::move(curve));
  report_.epoch_finished = true;
  report_.improved = std::move(improved);
  return absl::OkStatus();
}

bool Trainer::Improves(int model, const Score& validation) const {
  const Score& best = state_.models[model].best_validation;
  if (experiment_.config.train.select == Selection::kLast) return true;
  if (!(validation.loss == validation.loss)) return false;
  if (state_.models[model].best_epoch == 0) return true;
  if (experiment_.config.train.select == Selection::kValidationAccuracy &&
      validation.correct != best.correct) {
    return validation.correct > best.correct;
  }
  return validation.loss < best.loss;  // the earlier epoch wins a tie
}

absl::StatusOr<std::vector<Trainer::BestOfModel>> Trainer::EvaluateBest(
    const std::vector<int>& improved, const EpochCurve& curve) {
  EvaluateResult test;
  const bool evaluate = !improved.empty() && !experiment_.split.test.empty();
  if (evaluate) MB_RETURN_IF_ERROR(EvaluateTest(improved, &test));
  std::vector<BestOfModel> all;
  for (const int i : improved) {
    BestOfModel best;
    best.model = i;
    best.validation = curve.validation[i];
    if (evaluate) {
      best.test.loss = test.losses[i];
      best.test.correct = test.correct[i];
    }
    for (const Parameter& parameter : batch_->layout(i).parameters) {
      MB_ASSIGN_OR_RETURN(Tensor value,
                          batch_->GetParameter(i, parameter.name));
      best.weights[parameter.name] = std::move(value);
    }
    all.push_back(std::move(best));
  }
  return all;
}

absl::Status Trainer::EvaluateTest(const std::vector<int>& models,
                                   EvaluateResult* result) {
  std::vector<uint8_t> these(num_models(), 0);
  for (const int model : models) these[model] = 1;
  const std::vector<uint8_t> active(batch_->active().begin(),
                                    batch_->active().end());
  MB_RETURN_IF_ERROR(Activate(these));
  const absl::Status status =
      batch_->Evaluate(*dataset_, RowSet{experiment_.split.test, {}}, result);
  MB_RETURN_IF_ERROR(Activate(active));
  return status;
}

absl::Status Trainer::Activate(const std::vector<uint8_t>& models) {
  for (int i = 0; i < num_models(); ++i) {
    if (batch_->removed(i)) continue;
    MB_RETURN_IF_ERROR(batch_->SetActive(i, models[i] != 0));
  }
  return absl::OkStatus();
}

absl::Status Trainer::CompactRemoved() {
  if (!compact_ || finished()) return absl::OkStatus();
  compact_ = false;
  return batch_->Compact();
}

absl::Status Trainer::Restore(TrainState state,
                              const std::vector<ModelState>& models) {
  if (static_cast<int>(models.size()) != num_models() ||
      static_cast<int>(state.models.size()) != num_models()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a state of ", models.size(), " models, expected ", num_models()));
  }
  if (state.step_in_epoch >= steps_per_epoch()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a state at step ", state.step_in_epoch,
                     " of an epoch of ", steps_per_epoch(), " steps"));
  }
  if (!state_.events.empty()) {
    return absl::FailedPreconditionError(
        "a state is restored before anything is done to a model");
  }
  MB_ASSIGN_OR_RETURN(
      experiment_.population,
      PopulationAfter(state.events, std::move(experiment_.population)));
  if (!state.events.empty()) {
    MB_RETURN_IF_ERROR(RemakeBatches());
    MB_RETURN_IF_ERROR(BuildBatch());
  }
  for (int i = 0; i < num_models(); ++i) {
    if (state.models[i].removed()) {
      MB_RETURN_IF_ERROR(batch_->Remove(i));
      compact_ = true;
      continue;
    }
    MB_RETURN_IF_ERROR(batch_->LoadModelState(i, models[i]));
    MB_RETURN_IF_ERROR(batch_->SetActive(i, !state.models[i].frozen()));
  }
  for (const Event& event : state.events) {
    next_id_ = std::max(next_id_, event.copy + 1);
  }
  state_ = std::move(state);
  submission_ = Submission();
  MB_RETURN_IF_ERROR(RestoreRates());
  batches_.StartEpoch(state_.epoch);
  report_ = StepReport();
  return CompactRemoved();
}

}  // namespace modelbatch
