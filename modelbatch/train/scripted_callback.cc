#include "modelbatch/train/scripted_callback.h"

#include <string>

namespace modelbatch {
namespace {

using Action = ScriptedCallback::Action;

absl::Status Run(const std::map<int64_t, Action>& actions, int64_t at,
                 Trainer* trainer) {
  const auto action = actions.find(at);
  return action == actions.end() ? absl::OkStatus() : action->second(trainer);
}

Action Copy(int model, int from, uint64_t seed, OptimizerConfig changes) {
  return [=](Trainer* trainer) {
    return trainer->Replace(model, from, seed, changes, "exploit").status();
  };
}

Action Remove(int model) {
  return [=](Trainer* trainer) { return trainer->Remove(model, "the worst"); };
}

Action Reset(int model, uint64_t seed) {
  return [=](Trainer* trainer) {
    return trainer->Reset(model, seed, "a new start");
  };
}

Action Freeze(int model) {
  return [=](Trainer* trainer) { return trainer->Freeze(model, "paused"); };
}

}  // namespace

absl::Status ScriptedCallback::OnStep(Trainer* trainer) {
  return Run(at_step_, trainer->state().step, trainer);
}

absl::Status ScriptedCallback::OnEpoch(Trainer* trainer) {
  return Run(at_epoch_, trainer->state().epoch, trainer);
}

ScriptedCallback EventfulScript() {
  ScriptedCallback script;
  script.AtStep(2, Remove(1));
  script.AtStep(3, Reset(2, 77));
  script.AtStep(4, Copy(3, 0, 88, {{"lr", 0.002}}));
  script.AtStep(5, Freeze(4));
  script.AtEpoch(1, Copy(1, 3, 99, {{"beta1", 0.8}, {"clip_norm", 0.5}}));
  script.AtStep(7, Remove(5));
  script.AtStep(8, [](Trainer* t) { return t->Unfreeze(4, "goes on"); });
  script.AtEpoch(2, Copy(6, 6, 111, {{"lr", 0.05}}));
  script.AtStep(11, Remove(3));
  script.AtStep(12, Reset(1, 5));
  script.AtStep(13, Freeze(0));
  script.AtStep(14, Copy(5, 0, 6, {}));
  return script;
}

}  // namespace modelbatch
