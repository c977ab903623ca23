#include "modelbatch/train/verify.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "modelbatch/optim/lr_schedule.h"
#include "modelbatch/train/callback.h"
#include "modelbatch/train/event.h"
#include "modelbatch/train/population_events.h"
#include "modelbatch/train/train_state.h"
#include "modelbatch/train/trainer.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// "[5, 17]": where element `index` of a tensor of this shape lies.
std::string Coordinates(const Shape& shape, int64_t index) {
  Shape at(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    at[d] = index % shape[d];
    index /= shape[d];
  }
  return ShapeToString(at);
}

template <typename T, typename Bits>
std::string Both(T run, T alone) {
  Bits bits_run;
  Bits bits_alone;
  std::memcpy(&bits_run, &run, sizeof(run));
  std::memcpy(&bits_alone, &alone, sizeof(alone));
  return absl::StrFormat(
      "0x%0*x (%.17g) in the run, 0x%0*x (%.17g) alone",
      static_cast<int>(2 * sizeof(T)), static_cast<uint64_t>(bits_run),
      static_cast<double>(run), static_cast<int>(2 * sizeof(T)),
      static_cast<uint64_t>(bits_alone), static_cast<double>(alone));
}

class Comparison {
 public:
  // Each returns whether the two are equal, and keeps the first difference.
  bool Tensors(const std::string& name, const Tensor& run,
               const Tensor& alone) {
    if (run.dtype() != alone.dtype() || run.shape() != alone.shape()) {
      return Differ(absl::StrCat(name, ": ", DTypeName(run.dtype()), " ",
                                 ShapeToString(run.shape()), " in the run, ",
                                 DTypeName(alone.dtype()), " ",
                                 ShapeToString(alone.shape()), " alone"));
    }
    elements_ += run.size();
    ++tensors_;
    if (run.byte_size() == 0 ||
        std::memcmp(run.raw(), alone.raw(), run.byte_size()) == 0) {
      return true;
    }
    if (run.dtype() != DType::kFloat32) return Differ(name + ": bytes differ");
    return Differ(DescribeFloats(name, run, alone));
  }

  bool Maps(const std::string& name, const std::map<std::string, Tensor>& run,
            const std::map<std::string, Tensor>& alone) {
    if (run.size() != alone.size()) {
      return Differ(absl::StrCat(name, ": ", run.size(),
                                 " tensors in the run, ", alone.size(),
                                 " alone"));
    }
    for (const auto& [parameter, tensor] : run) {
      const auto it = alone.find(parameter);
      const std::string full = absl::StrCat(name, " ", parameter);
      if (it == alone.end()) return Differ(full + ": missing alone");
      if (!Tensors(full, tensor, it->second)) return false;
    }
    return true;
  }

  bool Ints(const std::string& name, int64_t run, int64_t alone) {
    if (run == alone) return true;
    return Differ(
        absl::StrCat(name, ": ", run, " in the run, ", alone, " alone"));
  }

  // NaN, which stands for "none", equals NaN.
  bool Doubles(const std::string& name, double run, double alone) {
    if (std::memcmp(&run, &alone, sizeof(run)) == 0) return true;
    return Differ(absl::StrCat(name, ": ", Both<double, uint64_t>(run, alone)));
  }

  bool Scores(const std::string& name, const Score& run, const Score& alone) {
    return Doubles(name + " loss", run.loss, alone.loss) &&
           Ints(name + " correct rows", run.correct, alone.correct);
  }

  bool Differ(const std::string& text) {
    difference_ = text;
    return false;
  }

  const std::string& difference() const { return difference_; }
  int64_t elements() const { return elements_; }
  int64_t tensors() const { return tensors_; }

 private:
  static std::string DescribeFloats(const std::string& name, const Tensor& run,
                                    const Tensor& alone) {
    const float* a = run.data<float>();
    const float* b = alone.data<float>();
    int64_t first = -1;
    int64_t count = 0;
    double most = 0;
    for (int64_t i = 0; i < run.size(); ++i) {
      if (std::memcmp(a + i, b + i, sizeof(float)) == 0) continue;
      if (first < 0) first = i;
      ++count;
      const double difference =
          std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
      most = std::max(most, difference);
    }
    return absl::StrCat(name, Coordinates(run.shape(), first), ": ",
                        Both<float, uint32_t>(a[first], b[first]), "; ", count,
                        " of ", run.size(), " elements differ, by ",
                        absl::StrFormat("%.3g", most), " at most");
  }

  std::string difference_;
  int64_t elements_ = 0;
  int64_t tensors_ = 0;
};

// What made a model what it is.
struct Lineage {
  int64_t root = 0;           // the model at its beginning
  int64_t epoch = 0;          // epochs finished when the model itself began
  std::vector<Event> events;  // of all models it comes from, until the copies
};

Lineage LineageOf(const std::vector<Event>& events, int64_t id) {
  Lineage lineage;
  int64_t at = id;
  for (size_t i = events.size(); i-- > 0;) {
    const Event& event = events[i];
    if (event.kind == EventKind::kReplace) {
      if (event.copy != at) continue;
      if (at == id) lineage.epoch = event.epochs_finished();
      at = event.source;
    } else if (event.model != at) {
      continue;
    }
    lineage.events.push_back(event);
  }
  lineage.root = at;
  std::reverse(lineage.events.begin(), lineage.events.end());
  return lineage;
}

// Does at its step again what the program did.
class ReplayCallback : public Callback {
 public:
  explicit ReplayCallback(const std::vector<Event>& events) {
    for (const Event& event : events) {
      if (!event.built_in) events_.push_back(event);
    }
  }

  absl::Status OnTrainStart(Trainer* trainer) override {
    return ReplayNow(trainer);
  }
  absl::Status OnStep(Trainer* trainer) override { return ReplayNow(trainer); }
  absl::Status OnEpoch(Trainer* trainer) override { return ReplayNow(trainer); }

  // Why an event could not be repeated; empty: all could.
  const std::string& failure() const { return failure_; }

 private:
  absl::Status ReplayNow(Trainer* trainer) {
    for (; next_ < events_.size(); ++next_) {
      const Event& event = events_[next_];
      if (event.step != trainer->state().step ||
          event.epochs_finished() != trainer->state().epoch) {
        return absl::OkStatus();
      }
      const absl::Status status = trainer->Replay(event);
      if (status.ok()) continue;
      failure_ = absl::StrCat(DescribeEvent(event),
                              ": cannot be repeated alone: ", status.message());
      return status;
    }
    return absl::OkStatus();
  }

  std::vector<Event> events_;
  size_t next_ = 0;
  std::string failure_;
};

bool CompareEvents(const std::vector<Event>& run,
                   const std::vector<Event>& alone, Comparison* compare) {
  for (size_t i = 0; i < std::max(run.size(), alone.size()); ++i) {
    if (i >= run.size()) {
      return compare->Differ(
          absl::StrCat(DescribeEvent(alone[i]), ": alone only"));
    }
    if (i >= alone.size()) {
      return compare->Differ(
          absl::StrCat(DescribeEvent(run[i]), ": in the run only"));
    }
    const std::string difference = EventDifference(run[i], alone[i]);
    if (!difference.empty()) {
      return compare->Differ(
          absl::StrCat(DescribeEvent(run[i]), ": ", difference));
    }
  }
  return true;
}

bool CompareRecords(const ModelRecord& run, const ModelRecord& alone,
                    Comparison* compare) {
  return compare->Ints("steps without an update", run.skipped_updates,
                       alone.skipped_updates) &&
         compare->Ints("best epoch", run.best_epoch, alone.best_epoch) &&
         compare->Scores("best validation", run.best_validation,
                         alone.best_validation) &&
         compare->Scores("best test", run.best_test, alone.best_test) &&
         compare->Maps("best weights", run.best, alone.best);
}

// From `begin` on; before it, the run's column is another model's.
bool CompareCurves(const TrainState& run, int index, int64_t begin,
                   const TrainState& alone, Comparison* compare) {
  if (!compare->Ints("epochs", run.epoch, alone.epoch)) return false;
  for (int64_t epoch = begin; epoch < run.epoch; ++epoch) {
    const EpochCurve& single = alone.curves[epoch];
    const std::string name = absl::StrCat("epoch ", epoch + 1, ": ");
    if (!compare->Doubles(name + "training loss",
                          run.curves[epoch].train_loss[index],
                          single.train_loss[0]) ||
        !compare->Doubles(name + "learning rate", run.curves[epoch].lr[index],
                          single.lr[0]) ||
        !compare->Scores(name + "validation",
                         run.curves[epoch].validation[index],
                         single.validation[0])) {
      return false;
    }
  }
  return true;
}

// Where the schedule is, and the rate it comes to.
bool CompareSchedules(const LrScheduleState& run, const LrScheduleState& alone,
                      Comparison* compare) {
  const std::vector<double> a = run.ToNumbers();
  const std::vector<double> b = alone.ToNumbers();
  bool same =
      compare->Ints("schedule's ticks", run.last_epoch, alone.last_epoch) &&
      compare->Doubles("schedule's learning rate", run.lr, alone.lr) &&
      compare->Ints("schedule's state", a.size(), b.size());
  for (size_t i = 0; same && i < a.size(); ++i) {
    same = compare->Doubles(absl::StrCat("schedule's state, ", i), a[i], b[i]);
  }
  return same;
}

bool CompareStates(const ModelState& run, const ModelState& alone,
                   Comparison* compare) {
  if (!compare->Ints("step count", run.step, alone.step)) return false;
  if (!compare->Ints("number of slots", run.slots.size(), alone.slots.size())) {
    return false;
  }
  for (const auto& [slot, tensors] : alone.slots) {
    const auto it = run.slots.find(slot);
    static const auto* const kNone = new std::map<std::string, Tensor>;
    if (!compare->Maps(slot, it == run.slots.end() ? *kNone : it->second,
                       tensors)) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<VerifyReport> VerifyModel(const Experiment& experiment,
                                         const Checkpoint& checkpoint,
                                         int64_t id, Backend* backend) {
  MB_RETURN_IF_ERROR(CheckBelongs(checkpoint, experiment));
  const TrainState& run = checkpoint.state;
  Experiment now = experiment;
  MB_ASSIGN_OR_RETURN(now.population,
                      PopulationAfter(run.events, experiment.population));
  VerifyReport report;
  MB_ASSIGN_OR_RETURN(report.index, IndexOfModel(now, id));
  const Lineage lineage = LineageOf(run.events, id);
  MB_ASSIGN_OR_RETURN(const int root, IndexOfModel(experiment, lineage.root));
  const Experiment single = SingleModel(experiment, root);
  MB_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer,
                      Trainer::Create(&single, backend));
  ReplayCallback replay(lineage.events);
  trainer->AddCallback(&replay);
  while (trainer->state().step < run.step) {
    const absl::Status status = trainer->Step();
    if (!replay.failure().empty()) {
      report.text = absl::StrCat("differs: ", replay.failure());
      return report;
    }
    MB_RETURN_IF_ERROR(status);
  }
  const TrainState& alone = trainer->state();
  Comparison compare;
  report.passed =
      CompareEvents(lineage.events, alone.events, &compare) &&
      CompareCurves(run, report.index, lineage.epoch, alone, &compare) &&
      CompareRecords(run.models[report.index], alone.models[0], &compare);
  int64_t updates = 0;
  if (report.passed && !alone.models[0].removed()) {
    MB_ASSIGN_OR_RETURN(const ModelState state,
                        trainer->batch().GetModelState(0));
    updates = state.step;
    report.passed =
        CompareStates(checkpoint.models[report.index], state, &compare) &&
        CompareSchedules(run.models[report.index].schedule,
                         alone.models[0].schedule, &compare);
  }
  if (!report.passed) {
    report.text = absl::StrCat("differs: ", compare.difference());
    return report;
  }
  report.text = absl::StrCat(
      "equal bit for bit: ", compare.elements(), " values in ",
      compare.tensors(), " tensors (weights, optimizer state, best weights), ",
      updates, " updates, ", alone.curves.size() - lineage.epoch,
      " epochs of curves");
  const std::string events = CountEvents(lineage.events);
  if (!events.empty()) absl::StrAppend(&report.text, ", ", events);
  return report;
}

}  // namespace modelbatch
