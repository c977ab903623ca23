#include "benchmarks/compare/contender.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "benchmarks/compare/workload_folder.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::benchmarks {
namespace {

// The first step is held to its median alone.
constexpr double kAnyNorm = std::numeric_limits<double>::infinity();

bool WidthsDiffer(const Workload& workload) {
  return std::any_of(workload.layouts.begin(), workload.layouts.end(),
                     [&](const Layout& layout) {
                       return layout.outputs != workload.layouts[0].outputs;
                     });
}

absl::Status Named(const absl::Status& status, const Contender& contender) {
  return absl::Status(status.code(),
                      absl::StrCat(contender.Name(), ": ", status.message()));
}

// The weights after a run, which must have moved.
absl::StatusOr<std::vector<float>> Train(const Workload& workload,
                                         const Contender& contender,
                                         int steps) {
  const absl::Status ran = contender.group->Run(steps, 1).status();
  if (!ran.ok()) return Named(ran, contender);
  absl::StatusOr<std::vector<float>> weights = contender.group->Weights();
  if (!weights.ok()) return Named(weights.status(), contender);
  const absl::Status moved = CheckMoved(workload, *weights);
  if (!moved.ok()) return Named(moved, contender);
  return weights;
}

// What the first contender trains, by the number of steps.
class Reference {
 public:
  Reference(const Workload& workload, const Contender& who)
      : workload_(workload), who_(who) {}

  std::string Name() const { return who_.Name(); }
  absl::StatusOr<const std::vector<float>*> After(int steps) {
    auto found = weights_.find(steps);
    if (found == weights_.end()) {
      MB_ASSIGN_OR_RETURN(std::vector<float> weights,
                          Train(workload_, who_, steps));
      found = weights_.emplace(steps, std::move(weights)).first;
    }
    return &found->second;
  }

 private:
  const Workload& workload_;
  const Contender& who_;
  std::map<int, std::vector<float>> weights_;
};

// Of each model after so many steps.
absl::StatusOr<std::vector<Difference>> DifferencesAfter(
    int steps, const Workload& workload, const Contender& contender,
    Reference* reference) {
  MB_ASSIGN_OR_RETURN(const std::vector<float>* expected,
                      reference->After(steps));
  MB_ASSIGN_OR_RETURN(const std::vector<float> weights,
                      Train(workload, contender, steps));
  return Differences(workload, weights, *expected);
}

absl::Status Disagrees(const Contender& contender, const Reference& reference,
                       int steps, const char* models,
                       const Difference& difference,
                       const Difference& allowed) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "%s does not train what %s trains: after %d steps the weights of %s "
      "differ, of the way from the initial ones, by %.3g in the median of a "
      "tensor (allowed is %g) and by %.3g in its norm (%g)",
      contender.Name(), reference.Name(), steps, models, difference.median,
      allowed.median, difference.norm, allowed.norm));
}

absl::Status CheckAgreement(const Workload& workload, const Allowed& allowed,
                            Contender* contender, Reference* reference) {
  Agreement& agreement = contender->agreement;
  MB_ASSIGN_OR_RETURN(const auto after_one,
                      DifferencesAfter(1, workload, *contender, reference));
  agreement.after_one = Largest(after_one);
  if (!(agreement.after_one.median <= allowed.after_one)) {
    return Disagrees(*contender, *reference, 1, "a model", agreement.after_one,
                     {allowed.after_one, kAnyNorm});
  }
  for (const int steps : kRuns) {
    MB_ASSIGN_OR_RETURN(
        const auto after_run,
        DifferencesAfter(steps, workload, *contender, reference));
    agreement.steps = steps;
    agreement.after_run = Middle(after_run);
    if (agreement.after_run.median <= allowed.after_run.median &&
        agreement.after_run.norm <= allowed.after_run.norm) {
      return absl::OkStatus();
    }
  }
  return Disagrees(*contender, *reference, agreement.steps,
                   "half of the models", agreement.after_run,
                   allowed.after_run);
}

absl::Status CheckAgreement(const Workload& workload, const Allowed& allowed,
                            std::vector<Contender>* contenders,
                            Reference* reference) {
  for (Contender& contender : *contenders) {
    if (contender.group == nullptr) continue;
    MB_RETURN_IF_ERROR(
        CheckAgreement(workload, allowed, &contender, reference));
  }
  return absl::OkStatus();
}

}  // namespace

std::string Contender::Name() const {
  return absl::StrCat(peer->name, ", ", arrangement.Name());
}

std::vector<Contender> MakeContenders(const std::vector<Peer>& peers,
                                      const Workload& workload) {
  std::vector<Contender> contenders;
  for (const Peer& peer : peers) {
    for (Arrangement arrangement : peer.arrangements) {
      // One model on two processes is one process.
      arrangement.processes =
          std::min(arrangement.processes, workload.models());
      std::vector<std::string> stacks = {""};
      if (peer.stacks && WidthsDiffer(workload)) stacks = {"grouped", "padded"};
      for (const std::string& how : stacks) {
        Contender contender;
        contender.peer = &peer;
        contender.arrangement = arrangement;
        contender.arrangement.stacks = how;
        const bool known = std::any_of(
            contenders.begin(), contenders.end(), [&](const Contender& other) {
              return other.Name() == contender.Name();
            });
        if (!known) contenders.push_back(std::move(contender));
      }
    }
  }
  return contenders;
}

absl::Status StartContenders(const Workload& workload,
                             const std::string& scratch,
                             std::vector<Contender>* contenders) {
  const std::string folder = absl::StrCat(scratch, "/workload");
  MB_RETURN_IF_ERROR(WriteWorkload(folder, workload));
  const int models = workload.models();
  for (Contender& contender : *contenders) {
    const int processes = contender.arrangement.processes;
    std::vector<WorkerGroup::Part> parts;
    for (int p = 0; p < processes; ++p) {
      parts.push_back(contender.peer->part(
          workload, folder, contender.arrangement, p, models * p / processes,
          models * (p + 1) / processes));
    }
    auto group = WorkerGroup::Start(std::move(parts), scratch);
    if (group.ok()) {
      contender.group = *std::move(group);
    } else if (absl::IsUnimplemented(group.status())) {
      contender.reason = std::string(group.status().message());
    } else {
      return Named(group.status(), contender);
    }
  }
  return absl::OkStatus();
}

absl::Status StartAndCheck(const Workload& workload, const std::string& scratch,
                           const std::string& precision,
                           std::vector<Contender>* contenders) {
  const Allowed allowed = AllowedIn(precision);
  // What the others are held to.
  const Contender& first = contenders->front();
  const auto check_first = [&first] {
    if (first.group != nullptr) return absl::OkStatus();
    return absl::UnimplementedError(
        absl::StrCat(first.Name(), ": ", first.reason));
  };
  if (!workload.HasDropout()) {
    MB_RETURN_IF_ERROR(StartContenders(workload, scratch, contenders));
    MB_RETURN_IF_ERROR(check_first());
    Reference reference(workload, first);
    return CheckAgreement(workload, allowed, contenders, &reference);
  }
  const Workload without = WithoutDropout(workload);
  MB_RETURN_IF_ERROR(StartContenders(without, scratch, contenders));
  MB_RETURN_IF_ERROR(check_first());
  Reference reference(without, first);
  MB_RETURN_IF_ERROR(CheckAgreement(without, allowed, contenders, &reference));
  MB_ASSIGN_OR_RETURN(const std::vector<float>* nothing_dropped,
                      reference.After(1));
  for (Contender& contender : *contenders) contender.group.reset();
  MB_RETURN_IF_ERROR(StartContenders(workload, scratch, contenders));
  for (const Contender& contender : *contenders) {
    if (contender.group == nullptr) continue;
    MB_ASSIGN_OR_RETURN(const std::vector<float> weights,
                        Train(workload, contender, 1));
    const auto differences = Differences(workload, weights, *nothing_dropped);
    if (Middle(differences).norm > allowed.after_run.norm) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(contender.Name(),
                     " drops nothing: its weights are those of a run "
                     "without dropout"));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch::benchmarks
