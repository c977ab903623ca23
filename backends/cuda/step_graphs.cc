#include "backends/cuda/step_graphs.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/grouped/session.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch::cuda {
namespace {

auto Facts(const StepKind& kind) {
  return std::tie(kind.optimizer, kind.gradient_scale, kind.clip_value,
                  kind.clip_norm, kind.keep_gradients, kind.accumulate,
                  kind.update, kind.steps, kind.shared_rows);
}

}  // namespace

bool StepKind::IsLike(const StepKind& other) const {
  return Facts(*this) == Facts(other);
}

std::string StepKind::ToString() const {
  std::string text = steps == 1 ? "step" : absl::StrCat(steps, " steps");
  absl::StrAppend(&text, update ? " with " : " without update",
                  update ? grouped::OptimizerKindName(optimizer) : "");
  if (gradient_scale) text += ", gradient_scale";
  if (clip_value) text += ", clip_value";
  if (clip_norm) text += ", clip_norm";
  if (keep_gradients) text += ", keeps gradients";
  if (accumulate) text += ", accumulates";
  if (shared_rows) text += ", shared rows";
  return text;
}

void StepGraphs::Enable() {
  enabled_ = true;
  failure_.clear();
}

absl::Status StepGraphs::Run(Gpu* gpu, const StepKind& kind,
                             absl::FunctionRef<absl::Status()> launch) {
  if (!enabled_) return launch();
  const auto found =
      std::find_if(known_.begin(), known_.end(), [&kind](const Known& known) {
        return known.kind.IsLike(kind) &&
               known.kind.addresses == kind.addresses;
      });
  if (found == known_.end()) {
    MB_RETURN_IF_ERROR(launch());
    known_.push_front({kind, nullptr, 0});
    if (known_.size() > kMostKinds) known_.pop_back();
    return absl::OkStatus();
  }
  known_.splice(known_.begin(), known_, found);
  Known& known = known_.front();
  if (known.graph == nullptr) {
    MB_RETURN_IF_ERROR(Record(gpu, launch, &known));
  }
  if (absl::Status status = known.graph->Launch(); !status.ok()) {
    return Fail(status, "launching a step as a CUDA graph");
  }
  ++known.launches;
  launched_ += kind.steps;
  return absl::OkStatus();
}

absl::Status StepGraphs::Record(Gpu* gpu,
                                absl::FunctionRef<absl::Status()> launch,
                                Known* known) {
  absl::Status status = gpu->BeginCapture();
  if (status.ok()) {
    status = launch();
    absl::StatusOr<std::unique_ptr<Graph>> graph = gpu->EndCapture();
    status.Update(graph.status());  // the first error says more
    if (status.ok()) known->graph = *std::move(graph);
  }
  if (!status.ok()) return Fail(status, "recording a step as a CUDA graph");
  ++recorded_;
  const StepKind& kind = known->kind;
  if (std::any_of(recorded_kinds_.begin(), recorded_kinds_.end(),
                  [&kind](const StepKind& k) { return k.IsLike(kind); })) {
    ++recorded_again_;
  } else {
    recorded_kinds_.push_back(kind);
  }
  return absl::OkStatus();
}

absl::Status StepGraphs::Fail(const absl::Status& status,
                              const std::string& what) {
  known_.clear();
  enabled_ = false;
  failure_ = absl::StrCat(what, ": ", status.message());
  return absl::Status(
      status.code(),
      absl::StrCat(failure_,
                   "; the step was not made. CUDA graphs are off "
                   "until EnableCompile"));
}

std::vector<TuneChoice> StepGraphs::Choices() const {
  std::vector<TuneChoice> choices;
  for (const Known& known : known_) {
    if (known.graph == nullptr) continue;
    TuneChoice& choice = choices.emplace_back();
    choice.operation = known.kind.ToString();
    choice.choice = absl::StrCat("a CUDA graph of ", known.graph->nodes(),
                                 " nodes, launched ", known.launches, " times");
    choice.uses = 1;
  }
  if (choices.empty()) {
    TuneChoice& choice = choices.emplace_back();
    choice.operation = "training step";
    choice.choice = enabled_ ? "a CUDA graph from the second step of a kind on"
                             : "launched one by one";
    choice.uses = 1;
  }
  return choices;
}

std::string StepGraphs::Notes() const {
  if (!enabled_ && failure_.empty()) return "";
  return absl::StrCat(
      "  CUDA graphs: ", recorded_, " recorded, of them ", recorded_again_,
      " again for a kind of step that had one; ", launched_,
      " steps launched in graphs\n",
      failure_.empty()
          ? ""
          : absl::StrCat("  CUDA graphs are off: ", failure_, "\n"));
}

}  // namespace modelbatch::cuda
