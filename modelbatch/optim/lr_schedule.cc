#include "modelbatch/optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/optim/lr_lambda.h"
#include "modelbatch/optim/lr_schedule_info.h"
#include "modelbatch/util/deterministic_math.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

using Part = LrScheduleState::Part;

constexpr double kPi = 3.141592653589793;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// A negative rate down to this part of the schedule's largest is rounding.
constexpr double kRounding = 1e-12;

// What a schedule sees of a model: torch's param_group.
struct Group {
  double lr = 0;
  double initial_lr = 0;
  double momentum = kNaN;  // set by one_cycle_lr
};

// Arguments as they were given, or their defaults; all were checked.
class Arguments {
 public:
  Arguments(const LrScheduleInfo& info, const Attributes& given)
      : info_(info), given_(given) {}

  double Float(const char* name) const {
    const AttributeValue& value = Value(name);
    if (const auto* i = std::get_if<int64_t>(&value)) {
      return static_cast<double>(*i);
    }
    return std::get<double>(value);
  }
  int64_t Int(const char* name) const { return std::get<int64_t>(Value(name)); }
  bool Bool(const char* name) const { return std::get<bool>(Value(name)); }
  const std::string& String(const char* name) const {
    return std::get<std::string>(Value(name));
  }
  const std::vector<int64_t>& Ints(const char* name) const {
    return std::get<std::vector<int64_t>>(Value(name));
  }

 private:
  const AttributeValue& Value(const char* name) const {
    const auto it = given_.find(name);
    return it != given_.end() ? it->second : info_.Find(name)->default_value;
  }

  const LrScheduleInfo& info_;
  const Attributes& given_;
};

}  // namespace

// The functions are the methods of torch's classes.
class LrSchedule::Rule {
 public:
  virtual ~Rule() = default;

  // Before the initial step.
  virtual void Construct(Group*) const {}
  virtual void Advance(Part* part) const { ++part->last_epoch; }
  // get_lr(); `initial`: in the step of the constructor.
  virtual absl::StatusOr<double> GetLr(const Part& part, bool initial,
                                       Group* group) const = 0;
  // Where sequential_lr comes to it: _get_closed_form_lr() at epoch 0, and
  // get_lr() of the classes without.
  virtual absl::StatusOr<double> AtZero(const Part& part, Group* group) const {
    return GetLr(part, false, group);
  }
  virtual bool cycles_momentum() const { return false; }
  // Whether the initial rate is its own.
  virtual bool own_lr() const { return false; }
};

namespace {

using Rule = LrSchedule::Rule;

class StepLr : public Rule {
 public:
  explicit StepLr(const Arguments& a)
      : step_size_(a.Int("step_size")), gamma_(a.Float("gamma")) {}

  absl::StatusOr<double> GetLr(const Part& part, bool,
                               Group* group) const override {
    if (part.last_epoch == 0 || part.last_epoch % step_size_ != 0) {
      return group->lr;
    }
    return group->lr * gamma_;
  }
  absl::StatusOr<double> AtZero(const Part& part, Group*) const override {
    return part.base_lr;
  }

 private:
  int64_t step_size_;
  double gamma_;
};

class MultiStepLr : public Rule {
 public:
  explicit MultiStepLr(const Arguments& a)
      : milestones_(a.Ints("milestones")), gamma_(a.Float("gamma")) {}

  absl::StatusOr<double> GetLr(const Part& part, bool,
                               Group* group) const override {
    const auto count = Count(part.last_epoch);
    return count == 0 ? group->lr : group->lr * Pow(gamma_, count);
  }
  absl::StatusOr<double> AtZero(const Part& part, Group*) const override {
    return part.base_lr * Pow(gamma_, Count(0));
  }

 private:
  double Count(int64_t epoch) const {
    return static_cast<double>(
        std::count(milestones_.begin(), milestones_.end(), epoch));
  }

  std::vector<int64_t> milestones_;
  double gamma_;
};

class ConstantLr : public Rule {
 public:
  explicit ConstantLr(const Arguments& a)
      : factor_(a.Float("factor")), total_iters_(a.Int("total_iters")) {}

  absl::StatusOr<double> GetLr(const Part& part, bool,
                               Group* group) const override {
    if (part.last_epoch == 0) return group->lr * factor_;
    if (part.last_epoch != total_iters_) return group->lr;
    return group->lr * (1.0 / factor_);
  }
  absl::StatusOr<double> AtZero(const Part& part, Group*) const override {
    return part.base_lr * factor_;
  }

 private:
  double factor_;
  int64_t total_iters_;
};

class LinearLr : public Rule {
 public:
  explicit LinearLr(const Arguments& a)
      : start_(a.Float("start_factor")),
        end_(a.Float("end_factor")),
        total_iters_(a.Int("total_iters")) {}

  absl::StatusOr<double> GetLr(const Part& part, bool initial,
                               Group* group) const override {
    if (part.last_epoch == 0) return group->lr * start_;
    if (initial || part.last_epoch > total_iters_) return group->lr;
    const double total = static_cast<double>(total_iters_);
    const double before = static_cast<double>(part.last_epoch - 1);
    return group->lr * (1.0 + (end_ - start_) /
                                  (total * start_ + before * (end_ - start_)));
  }
  absl::StatusOr<double> AtZero(const Part& part, Group*) const override {
    return part.base_lr * start_;
  }

 private:
  double start_;
  double end_;
  int64_t total_iters_;
};

class ExponentialLr : public Rule {
 public:
  explicit ExponentialLr(const Arguments& a) : gamma_(a.Float("gamma")) {}

  absl::StatusOr<double> GetLr(const Part&, bool initial,
                               Group* group) const override {
    return initial ? group->lr : group->lr * gamma_;
  }
  absl::StatusOr<double> AtZero(const Part& part, Group*) const override {
    return part.base_lr;
  }

 private:
  double gamma_;
};

class PolynomialLr : public Rule {
 public:
  explicit PolynomialLr(const Arguments& a)
      : total_iters_(a.Int("total_iters")), power_(a.Float("power")) {}

  absl::StatusOr<double> GetLr(const Part& part, bool initial,
                               Group* group) const override {
    if (initial || part.last_epoch > total_iters_) return group->lr;
    const double total = static_cast<double>(total_iters_);
    const double now = static_cast<double>(part.last_epoch);
    return group->lr *
           Pow((1.0 - now / total) / (1.0 - (now - 1) / total), power_);
  }
  absl::StatusOr<double> AtZero(const Part& part, Group*) const override {
    return part.base_lr;
  }

 private:
  int64_t total_iters_;
  double power_;
};

class CosineAnnealingLr : public Rule {
 public:
  explicit CosineAnnealingLr(const Arguments& a)
      : t_max_(a.Int("T_max")), eta_min_(a.Float("eta_min")) {}

  absl::StatusOr<double> GetLr(const Part& part, bool initial,
                               Group* group) const override {
    if (initial) return group->lr;
    const double t = static_cast<double>(t_max_);
    if ((part.last_epoch - 1 - t_max_) % (2 * t_max_) == 0) {
      return group->lr + (part.base_lr - eta_min_) * (1 - Cos(kPi / t)) / 2;
    }
    const double now = static_cast<double>(part.last_epoch);
    return (1 + Cos(kPi * now / t)) / (1 + Cos(kPi * (now - 1) / t)) *
               (group->lr - eta_min_) +
           eta_min_;
  }
  absl::StatusOr<double> AtZero(const Part& part, Group*) const override {
    return eta_min_ + (part.base_lr - eta_min_) * 2 / 2;
  }

 private:
  int64_t t_max_;
  double eta_min_;
};

class CosineAnnealingWarmRestarts : public Rule {
 public:
  explicit CosineAnnealingWarmRestarts(const Arguments& a)
      : t_0_(a.Int("T_0")),
        t_mult_(a.Int("T_mult")),
        eta_min_(a.Float("eta_min")) {}

  void Advance(Part* part) const override {
    if (part->last_epoch < 0) {
      part->last_epoch = 0;
      part->t_cur = 0;
      part->t_i = t_0_;
      return;
    }
    ++part->last_epoch;
    if (++part->t_cur >= part->t_i) {
      part->t_cur %= part->t_i;
      part->t_i *= t_mult_;
    }
  }
  absl::StatusOr<double> GetLr(const Part& part, bool, Group*) const override {
    const double t =
        kPi * static_cast<double>(part.t_cur) / static_cast<double>(part.t_i);
    return eta_min_ + (part.base_lr - eta_min_) * (1 + Cos(t)) / 2;
  }

 private:
  int64_t t_0_;
  int64_t t_mult_;
  double eta_min_;
};

class OneCycleLr : public Rule {
 public:
  static absl::StatusOr<std::shared_ptr<const Rule>> Create(
      const Arguments& a) {
    auto rule = std::make_shared<const OneCycleLr>(a);
    if (rule->phases_[0].end == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("pct_start ", a.Float("pct_start"), " of total_steps ",
                       a.Int("total_steps"),
                       " is one step, expected another number: the "
                       "first phase would have no length"));
    }
    return rule;
  }

  explicit OneCycleLr(const Arguments& a)
      : max_lr_(a.Float("max_lr")),
        initial_lr_(max_lr_ / a.Float("div_factor")),
        min_lr_(initial_lr_ / a.Float("final_div_factor")),
        total_steps_(a.Int("total_steps")),
        cos_(a.String("anneal_strategy") == "cos"),
        cycle_momentum_(a.Bool("cycle_momentum")),
        base_momentum_(a.Float("base_momentum")),
        max_momentum_(a.Float("max_momentum")) {
    const double total = static_cast<double>(total_steps_);
    const double pct = a.Float("pct_start");
    phases_ = {
        {pct * total - 1, initial_lr_, max_lr_, max_momentum_, base_momentum_}};
    if (a.Bool("three_phase")) {
      phases_.push_back({2 * pct * total - 2, max_lr_, initial_lr_,
                         base_momentum_, max_momentum_});
      phases_.push_back(
          {total - 1, initial_lr_, min_lr_, max_momentum_, max_momentum_});
    } else {
      phases_.push_back(
          {total - 1, max_lr_, min_lr_, base_momentum_, max_momentum_});
    }
  }

  void Construct(Group* group) const override {
    group->initial_lr = initial_lr_;
  }
  absl::StatusOr<double> GetLr(const Part& part, bool,
                               Group* group) const override {
    if (part.last_epoch > total_steps_) {
      return absl::FailedPreconditionError(
          absl::StrCat("tick ", part.last_epoch, " of one_cycle_lr, whose ",
                       "total_steps is ", total_steps_));
    }
    const double now = static_cast<double>(part.last_epoch);
    double start = 0;
    size_t p = 0;
    while (p + 1 < phases_.size() && now > phases_[p].end) {
      start = phases_[p++].end;
    }
    const Phase& phase = phases_[p];
    // After the last step the rate stays, where torch's line goes on, below 0
    // even. A last phase without length is found then only.
    const double pct =
        now >= phase.end ? 1 : (now - start) / (phase.end - start);
    if (cycle_momentum_) {
      group->momentum = Anneal(phase.start_momentum, phase.end_momentum, pct);
    }
    return Anneal(phase.start_lr, phase.end_lr, pct);
  }
  bool cycles_momentum() const override { return cycle_momentum_; }
  bool own_lr() const override { return true; }

 private:
  struct Phase {
    double end;
    double start_lr;
    double end_lr;
    double start_momentum;
    double end_momentum;
  };

  double Anneal(double start, double end, double pct) const {
    if (!cos_) return (end - start) * pct + start;
    return end + (start - end) / 2.0 * (Cos(kPi * pct) + 1);
  }

  double max_lr_;
  double initial_lr_;
  double min_lr_;
  int64_t total_steps_;
  bool cos_;
  bool cycle_momentum_;
  double base_momentum_;
  double max_momentum_;
  std::vector<Phase> phases_;
};

class LambdaLr : public Rule {
 public:
  explicit LambdaLr(LrLambda lambda) : lambda_(std::move(lambda)) {}

  absl::StatusOr<double> GetLr(const Part& part, bool, Group*) const override {
    return part.base_lr * lambda_(part.last_epoch);
  }

 private:
  LrLambda lambda_;
};

absl::Status Wrong(const std::string& kind, const std::string& message) {
  return absl::InvalidArgumentError(absl::StrCat(kind, ": ", message));
}

// Kind and arguments, whatever they are for.
absl::Status CheckSpec(const LrScheduleSpec& spec) {
  const LrScheduleInfo* info = FindLrSchedule(spec.kind);
  if (info == nullptr) {
    std::vector<std::string> kinds;
    for (const LrScheduleInfo& i : LrSchedules()) kinds.push_back(i.kind);
    return absl::InvalidArgumentError(
        absl::StrCat("no learning-rate schedule \"", spec.kind,
                     "\"; there are: ", absl::StrJoin(kinds, ", ")));
  }
  for (const auto& [name, value] : spec.arguments) {
    const LrScheduleArgument* argument = info->Find(name);
    if (argument == nullptr) {
      std::vector<std::string> names;
      for (const auto& a : info->arguments) names.push_back(a.name);
      return Wrong(spec.kind,
                   absl::StrCat("has no argument \"", name,
                                "\"; it has: ", absl::StrJoin(names, ", ")));
    }
    const absl::Status status = argument->Check(value);
    if (!status.ok()) return Wrong(spec.kind, std::string(status.message()));
  }
  for (const LrScheduleArgument& argument : info->arguments) {
    if (argument.required && spec.arguments.count(argument.name) == 0) {
      return Wrong(spec.kind, absl::StrCat(argument.name, " is missing"));
    }
  }
  if (!info->has_schedulers && !spec.schedulers.empty()) {
    return Wrong(spec.kind, "is made of no other schedulers");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Rule>> MakeRule(
    const LrScheduleSpec& spec) {
  const std::string& kind = spec.kind;
  const Arguments a(*FindLrSchedule(kind), spec.arguments);
  if (kind == "step_lr") return std::make_shared<const StepLr>(a);
  if (kind == "multi_step_lr") return std::make_shared<const MultiStepLr>(a);
  if (kind == "constant_lr") return std::make_shared<const ConstantLr>(a);
  if (kind == "linear_lr") return std::make_shared<const LinearLr>(a);
  if (kind == "exponential_lr") {
    return std::make_shared<const ExponentialLr>(a);
  }
  if (kind == "polynomial_lr") return std::make_shared<const PolynomialLr>(a);
  if (kind == "cosine_annealing_lr") {
    return std::make_shared<const CosineAnnealingLr>(a);
  }
  if (kind == "cosine_annealing_warm_restarts") {
    return std::make_shared<const CosineAnnealingWarmRestarts>(a);
  }
  if (kind == "one_cycle_lr") {
    auto rule = OneCycleLr::Create(a);
    if (!rule.ok()) return Wrong(kind, std::string(rule.status().message()));
    return rule;
  }
  MB_ASSIGN_OR_RETURN(LrLambda lambda, FindLrLambda(a.String("lr_lambda")));
  return std::make_shared<const LambdaLr>(std::move(lambda));
}

absl::Status InModel(int model, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("model ", model, ": ", status.message()));
}

// torch's _initial_step().
absl::Status InitialStep(const Rule& rule, Part* part, Group* group) {
  rule.Advance(part);
  MB_ASSIGN_OR_RETURN(group->lr, rule.GetLr(*part, true, group));
  return absl::OkStatus();
}

absl::Status PlainStep(const Rule& rule, Part* part, Group* group) {
  rule.Advance(part);
  MB_ASSIGN_OR_RETURN(group->lr, rule.GetLr(*part, false, group));
  return absl::OkStatus();
}

// torch's _update_lr(0), where a sequence comes to it.
absl::Status Arrive(const Rule& rule, Part* part, Group* group) {
  part->last_epoch = 0;
  MB_ASSIGN_OR_RETURN(group->lr, rule.AtZero(*part, group));
  return absl::OkStatus();
}

// ---- State as numbers

constexpr size_t kHead = 4;
constexpr size_t kPart = 7;

bool IsCount(double value) {
  return value >= -1 && value <= 0x1p63 / 2 && value == std::floor(value);
}

}  // namespace

class LrSchedule::Plateau {
 public:
  explicit Plateau(const Arguments& a)
      : min_(a.String("mode") == "min"),
        relative_(a.String("threshold_mode") == "rel"),
        factor_(a.Float("factor")),
        threshold_(a.Float("threshold")),
        min_lr_(a.Float("min_lr")),
        eps_(a.Float("eps")),
        patience_(a.Int("patience")),
        cooldown_(a.Int("cooldown")) {}

  void Start(Part* part) const { part->best = min_ ? kInfinity : -kInfinity; }

  // The new rate.
  double Step(double metric, double lr, Part* part) const {
    ++part->last_epoch;
    if (IsBetter(metric, part->best)) {
      part->best = metric;
      part->num_bad_epochs = 0;
    } else {
      ++part->num_bad_epochs;
    }
    if (part->cooldown_counter > 0) {
      --part->cooldown_counter;
      part->num_bad_epochs = 0;
    }
    if (part->num_bad_epochs <= patience_) return lr;
    part->cooldown_counter = cooldown_;
    part->num_bad_epochs = 0;
    const double reduced = std::max(lr * factor_, min_lr_);
    return lr - reduced > eps_ ? reduced : lr;
  }

 private:
  // NaN is not.
  bool IsBetter(double a, double best) const {
    if (min_) {
      return a < (relative_ ? best * (1.0 - threshold_) : best - threshold_);
    }
    return a > (relative_ ? best * (threshold_ + 1.0) : best + threshold_);
  }

  bool min_;
  bool relative_;
  double factor_;
  double threshold_;
  double min_lr_;
  double eps_;
  int64_t patience_;
  int64_t cooldown_;
};

std::vector<double> LrScheduleState::ToNumbers() const {
  std::vector<double> numbers = {initial_lr, lr, momentum,
                                 static_cast<double>(last_epoch)};
  for (const Part& part : parts) {
    numbers.insert(
        numbers.end(),
        {part.base_lr, static_cast<double>(part.last_epoch),
         static_cast<double>(part.t_cur), static_cast<double>(part.t_i),
         part.best, static_cast<double>(part.cooldown_counter),
         static_cast<double>(part.num_bad_epochs)});
  }
  return numbers;
}

absl::StatusOr<LrScheduleState> LrScheduleState::FromNumbers(
    absl::Span<const double> numbers) {
  if (numbers.size() < kHead + kPart || (numbers.size() - kHead) % kPart != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a schedule's state of ", numbers.size(), " numbers, expected ", kHead,
        " and ", kPart, " for each schedule in it"));
  }
  LrScheduleState state;
  state.initial_lr = numbers[0];
  state.lr = numbers[1];
  state.momentum = numbers[2];
  bool counts = IsCount(numbers[3]);
  state.last_epoch = counts ? static_cast<int64_t>(numbers[3]) : 0;
  for (size_t at = kHead; at < numbers.size(); at += kPart) {
    const double* n = &numbers[at];
    Part part;
    part.base_lr = n[0];
    part.best = n[4];
    for (const auto& [field, value] :
         {std::pair(&part.last_epoch, n[1]), std::pair(&part.t_cur, n[2]),
          std::pair(&part.t_i, n[3]), std::pair(&part.cooldown_counter, n[5]),
          std::pair(&part.num_bad_epochs, n[6])}) {
      if (IsCount(value)) {
        *field = static_cast<int64_t>(value);
      } else {
        counts = false;
      }
    }
    state.parts.push_back(part);
  }
  if (!counts) {
    return absl::InvalidArgumentError(
        "a schedule's state has a count that is none");
  }
  return state;
}

namespace {

// Of the rates among the arguments; 0: none is.
double LargestRate(const LrScheduleSpec& spec) {
  double largest = 0;
  for (const char* name : {"eta_min", "max_lr"}) {
    const auto it = spec.arguments.find(name);
    if (it == spec.arguments.end()) continue;
    if (const auto* number = std::get_if<double>(&it->second)) {
      largest = std::max(largest, *number);
    } else if (const auto* integer = std::get_if<int64_t>(&it->second)) {
      largest = std::max(largest, static_cast<double>(*integer));
    }
  }
  for (const LrScheduleSpec& inner : spec.schedulers) {
    largest = std::max(largest, LargestRate(inner));
  }
  return largest;
}

}  // namespace

absl::StatusOr<LrSchedule> LrSchedule::Create(const LrScheduleSpec& spec,
                                              const OptimizerInfo& optimizer) {
  MB_RETURN_IF_ERROR(CheckSpec(spec));
  const LrScheduleInfo& info = *FindLrSchedule(spec.kind);
  LrSchedule schedule;
  schedule.kind_ = spec.kind;
  schedule.largest_rate_ = LargestRate(spec);
  if (spec.kind == "reduce_lr_on_plateau") {
    schedule.plateau_ =
        std::make_shared<const Plateau>(Arguments(info, spec.arguments));
    return schedule;
  }
  if (!info.has_schedulers) {
    MB_ASSIGN_OR_RETURN(std::shared_ptr<const Rule> rule, MakeRule(spec));
    schedule.rules_.push_back(std::move(rule));
  } else {
    if (spec.schedulers.empty()) {
      return Wrong(spec.kind, "schedulers is missing, expected at least one");
    }
    for (const LrScheduleSpec& inner : spec.schedulers) {
      absl::Status status = CheckSpec(inner);
      if (!status.ok()) return Wrong(spec.kind, std::string(status.message()));
      if (FindLrSchedule(inner.kind)->has_schedulers ||
          inner.kind == "reduce_lr_on_plateau") {
        return Wrong(spec.kind,
                     absl::StrCat("cannot be made of a ", inner.kind));
      }
      absl::StatusOr<std::shared_ptr<const Rule>> rule = MakeRule(inner);
      if (!rule.ok()) {
        return absl::Status(
            rule.status().code(),
            absl::StrCat(spec.kind, ": ", rule.status().message()));
      }
      schedule.rules_.push_back(*std::move(rule));
    }
    schedule.form_ = Form::kChained;
  }
  if (spec.kind == "sequential_lr") {
    schedule.form_ = Form::kSequential;
    schedule.milestones_ =
        std::get<std::vector<int64_t>>(spec.arguments.at("milestones"));
    const auto& milestones = schedule.milestones_;
    if (milestones.size() + 1 != schedule.rules_.size()) {
      return Wrong(spec.kind,
                   absl::StrCat(schedule.rules_.size(), " schedulers with ",
                                milestones.size(), " milestones, expected ",
                                schedule.rules_.size() - 1, " of these"));
    }
    for (size_t i = 1; i < milestones.size(); ++i) {
      if (milestones[i] > milestones[i - 1]) continue;
      return Wrong(spec.kind,
                   absl::StrCat("milestones has ", milestones[i], " after ",
                                milestones[i - 1],
                                ", expected them in ascending order"));
    }
  }
  for (const auto& rule : schedule.rules_) {
    if (!rule->cycles_momentum()) continue;
    // torch cycles beta1 where there are betas.
    for (const char* name : {"beta1", "momentum"}) {
      for (const HyperParameter& h : optimizer.hyper_parameters) {
        if (h.name == name && schedule.momentum_.empty()) {
          schedule.momentum_ = name;
        }
      }
    }
    if (schedule.momentum_.empty()) {
      return Wrong(spec.kind, absl::StrCat("optimizer ", optimizer.kind,
                                           " has neither momentum nor beta1, "
                                           "expected cycle_momentum = false"));
    }
  }
  return schedule;
}

absl::Status LrSchedule::Write(double lr, double momentum, Optimizer* optimizer,
                               int model, LrScheduleState* state) const {
  const double scale = std::max(std::abs(state->initial_lr), largest_rate_);
  if (lr < 0 && lr >= -kRounding * scale) lr = 0;
  MB_ASSIGN_OR_RETURN(const double before, optimizer->Get(model, "lr"));
  MB_RETURN_IF_ERROR(optimizer->Set(model, "lr", lr));
  if (!momentum_.empty() && !std::isnan(momentum)) {
    const absl::Status status = optimizer->Set(model, momentum_, momentum);
    if (!status.ok()) {
      MB_RETURN_IF_ERROR(optimizer->Set(model, "lr", before));
      return status;
    }
    state->momentum = momentum;
  }
  state->lr = lr;
  return absl::OkStatus();
}

absl::Status LrSchedule::Start(Optimizer* optimizer, int model,
                               LrScheduleState* state) const {
  LrScheduleState begun;
  Group group;
  MB_ASSIGN_OR_RETURN(group.lr, optimizer->Get(model, "lr"));
  group.initial_lr = group.lr;
  begun.initial_lr = group.lr;
  if (plateau_ != nullptr) {
    begun.parts.emplace_back();
    plateau_->Start(&begun.parts[0]);
  }
  for (const auto& rule : rules_) {
    rule->Construct(&group);
    Part part;
    part.base_lr = group.initial_lr;
    part.last_epoch = -1;
    const absl::Status status = InitialStep(*rule, &part, &group);
    if (!status.ok()) return InModel(model, status);
    begun.parts.push_back(part);
  }
  if (form_ == Form::kSequential) {
    // As torch: the later ones are undone, the first begins again.
    group.lr = group.initial_lr;
    for (Part& part : begun.parts) --part.last_epoch;
    const absl::Status status =
        InitialStep(*rules_[0], &begun.parts[0], &group);
    if (!status.ok()) return InModel(model, status);
  }
  MB_RETURN_IF_ERROR(Write(group.lr, group.momentum, optimizer, model, &begun));
  *state = std::move(begun);
  return absl::OkStatus();
}

absl::Status LrSchedule::Step(Optimizer* optimizer, int model,
                              LrScheduleState* state) const {
  if (plateau_ != nullptr) {
    return InModel(model, Wrong(kind_, "a tick needs a metric"));
  }
  if (state->parts.size() != rules_.size()) {
    return InModel(model, absl::FailedPreconditionError(absl::StrCat(
                              kind_, ": the schedule has not begun")));
  }
  Group group;
  MB_ASSIGN_OR_RETURN(group.lr, optimizer->Get(model, "lr"));
  const int64_t now = state->last_epoch + 1;
  // The parts that tick: all, or of a sequence the one whose time it is.
  size_t begin = 0;
  size_t end = rules_.size();
  bool arrives = false;
  if (form_ == Form::kSequential) {
    begin = std::upper_bound(milestones_.begin(), milestones_.end(), now) -
            milestones_.begin();
    end = begin + 1;
    arrives = begin > 0 && milestones_[begin - 1] == now;
  }
  // One is the rule, for which nothing is allocated.
  const Part before = state->parts[begin];
  const std::vector<Part> more(state->parts.begin() + begin + 1,
                               state->parts.begin() + end);
  absl::Status status;
  for (size_t i = begin; i < end && status.ok(); ++i) {
    Part& part = state->parts[i];
    status = arrives ? Arrive(*rules_[i], &part, &group)
                     : PlainStep(*rules_[i], &part, &group);
  }
  if (!status.ok()) {
    status = InModel(model, status);
  } else {
    status = Write(group.lr, group.momentum, optimizer, model, state);
  }
  if (!status.ok()) {
    state->parts[begin] = before;
    std::copy(more.begin(), more.end(), state->parts.begin() + begin + 1);
    return status;
  }
  state->last_epoch = now;
  return absl::OkStatus();
}

absl::Status LrSchedule::Step(double metric, Optimizer* optimizer, int model,
                              LrScheduleState* state) const {
  if (plateau_ == nullptr) {
    return InModel(model, Wrong(kind_, "a tick takes no metric"));
  }
  if (state->parts.size() != 1) {
    return InModel(model, absl::FailedPreconditionError(absl::StrCat(
                              kind_, ": the schedule has not begun")));
  }
  MB_ASSIGN_OR_RETURN(double lr, optimizer->Get(model, "lr"));
  Part next = state->parts[0];
  lr = plateau_->Step(metric, lr, &next);
  MB_RETURN_IF_ERROR(Write(lr, kNaN, optimizer, model, state));
  state->parts[0] = next;
  ++state->last_epoch;
  return absl::OkStatus();
}

absl::Status LrSchedule::Restore(const LrScheduleState& state,
                                 Optimizer* optimizer, int model) const {
  const size_t parts = plateau_ != nullptr ? 1 : rules_.size();
  if (state.parts.size() != parts) {
    return InModel(model,
                   Wrong(kind_, absl::StrCat("a state of ", state.parts.size(),
                                             " schedules, expected ", parts)));
  }
  LrScheduleState written = state;
  return Write(state.lr, state.momentum, optimizer, model, &written);
}

absl::Status LrSchedule::Rebase(double lr, Optimizer* optimizer, int model,
                                LrScheduleState* state) const {
  if (plateau_ != nullptr) {
    LrScheduleState next = *state;
    next.initial_lr = lr;
    const double now =
        state->initial_lr == 0 ? lr : lr * (state->lr / state->initial_lr);
    MB_RETURN_IF_ERROR(Write(now, kNaN, optimizer, model, &next));
    *state = std::move(next);
    return absl::OkStatus();
  }
  MB_RETURN_IF_ERROR(optimizer->Set(model, "lr", lr));
  LrScheduleState next;
  MB_RETURN_IF_ERROR(Start(optimizer, model, &next));
  while (next.last_epoch < state->last_epoch) {
    MB_RETURN_IF_ERROR(Step(optimizer, model, &next));
  }
  *state = std::move(next);
  return absl::OkStatus();
}

bool LrSchedule::Overrides(const std::string& hyper_parameter) const {
  if (!momentum_.empty() && hyper_parameter == momentum_) return true;
  if (hyper_parameter != "lr") return false;
  return std::any_of(rules_.begin(), rules_.end(),
                     [](const auto& rule) { return rule->own_lr(); });
}

}  // namespace modelbatch
