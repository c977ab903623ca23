#include "benchmarks/compare/contender.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "benchmarks/compare/workload_folder.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::benchmarks {
namespace {

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

// What the first contender has trained.
struct Expected {
  const Contender* who = nullptr;
  std::vector<float> after_few, after_all;
};

absl::Status CheckOne(const Difference& difference, int steps,
                      const char* models, const Contender& contender,
                      const Contender& first) {
  if (Agrees(difference)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "%s does not train what %s trains: after %d steps the weights of %s "
      "differ, of the way from the initial ones, by %.3g in the median of a "
      "tensor (allowed is %g) and by %.3g in its norm (%g)",
      contender.Name(), first.Name(), steps, models, difference.median,
      kAllowed.median, difference.norm, kAllowed.norm));
}

absl::Status CheckAgreement(const Workload& workload,
                            std::vector<Contender>* contenders,
                            Expected* expected) {
  for (Contender& contender : *contenders) {
    if (contender.group == nullptr) continue;
    MB_ASSIGN_OR_RETURN(std::vector<float> after_few,
                        Train(workload, contender, kFewSteps));
    MB_ASSIGN_OR_RETURN(std::vector<float> after_all,
                        Train(workload, contender, Workload::kSteps));
    if (expected->who == nullptr) {
      *expected = {&contender, std::move(after_few), std::move(after_all)};
      continue;
    }
    contender.agreement = {
        Largest(Differences(workload, after_few, expected->after_few)),
        Middle(Differences(workload, after_all, expected->after_all))};
    MB_RETURN_IF_ERROR(CheckOne(contender.agreement.after_few, kFewSteps,
                                "a model", contender, *expected->who));
    MB_RETURN_IF_ERROR(CheckOne(contender.agreement.after_all, Workload::kSteps,
                                "half of the models", contender,
                                *expected->who));
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
                           std::vector<Contender>* contenders) {
  Expected expected;
  if (!workload.HasDropout()) {
    MB_RETURN_IF_ERROR(StartContenders(workload, scratch, contenders));
    return CheckAgreement(workload, contenders, &expected);
  }
  const Workload without = WithoutDropout(workload);
  MB_RETURN_IF_ERROR(StartContenders(without, scratch, contenders));
  MB_RETURN_IF_ERROR(CheckAgreement(without, contenders, &expected));
  for (Contender& contender : *contenders) contender.group.reset();
  MB_RETURN_IF_ERROR(StartContenders(workload, scratch, contenders));
  for (const Contender& contender : *contenders) {
    if (contender.group == nullptr) continue;
    MB_ASSIGN_OR_RETURN(const std::vector<float> weights,
                        Train(workload, contender, Workload::kSteps));
    if (!Agrees(Middle(Differences(workload, weights, expected.after_all)))) {
      continue;
    }
    return absl::FailedPreconditionError(
        absl::StrCat(contender.Name(),
                     " drops nothing: its weights are those of a run "
                     "without dropout"));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch::benchmarks
