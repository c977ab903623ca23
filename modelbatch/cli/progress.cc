#include "modelbatch/cli/progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "modelbatch/cli/describe.h"
#include "modelbatch/cli/format.h"
#include "modelbatch/train/results.h"

namespace modelbatch {
namespace {

constexpr double kLiveSeconds = 0.1;   // between two live lines
constexpr double kPlainSeconds = 2;    // ... plain ones, at the end of an epoch
constexpr double kPlainPatience = 10;  // ... within a long epoch
constexpr int kMaxFrozenLines = 10;

constexpr int kMaxBar = 30;
constexpr int kMinBar = 8;

std::string Bar(double done, int width, bool unicode) {
  const int full = std::clamp(static_cast<int>(done * width), 0, width);
  std::string bar;
  for (int i = 0; i < width; ++i) {
    bar += unicode ? (i < full ? "━" : "╌") : (i < full ? "#" : "-");
  }
  return unicode ? bar : absl::StrCat("[", bar, "]");
}

}  // namespace

std::string FormatProgress(const ProgressView& view, int width, bool unicode) {
  const std::string epochs = absl::StrCat(view.epochs);
  std::string wave = view.wave.empty() ? "" : view.wave + "  ";
  const std::string epoch = absl::StrFormat(
      "epoch %*d/%s ", static_cast<int>(epochs.size()), view.epoch, epochs);
  const std::string done =
      absl::StrFormat(" %3.0f %%", std::floor(100 * view.done));
  std::string loss, best;
  if (view.min_loss <= view.max_loss) {
    loss = absl::StrFormat("  loss %.3g..%.3g", view.min_loss, view.max_loss);
  }
  if (!view.best.empty()) best = "  best " + view.best;
  std::string rate =
      absl::StrCat("  ", FormatCount(view.rows_per_second), " rows/s");
  const std::string left =
      absl::StrCat("  ETA ", FormatDuration(view.seconds_left));
  const int ends = unicode ? 0 : 2;
  const auto head = [&] { return wave + epoch; };
  const auto tail = [&] { return absl::StrCat(done, loss, best, rate, left); };
  const int room =
      width - ends - static_cast<int>(head().size() + tail().size());
  if (room >= kMinBar) {
    return absl::StrCat(
        head(), Bar(view.done, std::min(room, kMaxBar), unicode), tail());
  }
  // The least wanted goes first, the time that is left last.
  for (std::string* part : {&loss, &rate, &best, &wave}) {
    if (static_cast<int>(head().size() + tail().size()) - 1 <= width) break;
    part->clear();
  }
  return (head() + tail().substr(1)).substr(0, std::max(width, 0));
}

Progress::Progress(Terminal terminal,
                   std::function<void(const std::string&)> write,
                   std::function<double()> now)
    : terminal_(terminal), write_(std::move(write)), now_(std::move(now)) {}

Progress Progress::OnStandardError() {
  return Progress(
      Terminal::Of(2),
      [](const std::string& text) {
        std::fwrite(text.data(), 1, text.size(), stderr);
        std::fflush(stderr);
      },
      [] {
        return std::chrono::duration<double>(
                   std::chrono::steady_clock::now().time_since_epoch())
            .count();
      });
}

void Progress::OnWave(int begin, int end, int models) {
  wave_ = end - begin == models ? Wave() : Wave{begin, end, models};
}

void Progress::OnStart(const Trainer& trainer) {
  if (start_ < 0) {
    start_ = now_();
    shown_ = terminal_.is_terminal ? 0 : start_;
  }
  step_ = trainer.state().step;
  best_ = Best(trainer);
}

void Progress::OnStep(const Trainer& trainer) {
  const StepReport& report = trainer.last_step();
  model_rows_ += report.model_rows;
  model_steps_ +=
      static_cast<double>(trainer.state().step - step_) * wave_.size();
  step_ = trainer.state().step;
  if (!report.improved.empty()) best_ = Best(trainer);
  if (!report.frozen.empty()) ShowFrozen(trainer);
  const double waited = now_() - shown_;
  const bool show = (trainer.finished() && wave_.is_last()) ||
                    (terminal_.is_terminal
                         ? waited >= kLiveSeconds
                         : waited >= (report.epoch_finished ? kPlainSeconds
                                                            : kPlainPatience));
  if (show) Show(trainer);
}

void Progress::Show(const Trainer& trainer) {
  shown_ = now_();
  const ProgressView view = View(trainer);
  if (!terminal_.is_terminal) {
    write_(FormatProgress(view, 100, terminal_.unicode) + "\n");
    return;
  }
  // A character short of the width: some terminals wrap at the last one.
  write_(absl::StrCat(
      "\r", FormatProgress(view, terminal_.width - 1, terminal_.unicode),
      "\x1b[K"));
  line_open_ = true;
}

void Progress::Finish() {
  if (line_open_) write_("\n");
  line_open_ = false;
}

ProgressView Progress::View(const Trainer& trainer) const {
  const TrainState& state = trainer.state();
  const int64_t epochs = trainer.experiment().config.train.epochs;
  const double steps = static_cast<double>(epochs * trainer.steps_per_epoch());
  const double seconds = now_() - start_;
  // Of all models, each of which makes so many steps.
  const double left =
      (trainer.finished() ? 0 : wave_.size() * (steps - state.step)) +
      (wave_.models - wave_.end) * steps;
  const double all = wave_.models * steps;
  ProgressView view;
  if (wave_.models > 1) {
    view.wave = absl::StrCat("models ", wave_.begin, "-", wave_.end - 1, "/",
                             wave_.models);
  }
  view.epoch =
      std::min(state.epoch + (state.step_in_epoch > 0 ? 1 : 0), epochs);
  view.epochs = epochs;
  view.done =
      (wave_.begin * steps + wave_.size() * static_cast<double>(state.step)) /
      all;
  view.min_loss = trainer.last_step().min_loss;
  view.max_loss = trainer.last_step().max_loss;
  view.best = best_;
  view.rows_per_second = seconds > 0 ? model_rows_ / seconds : 0;
  view.seconds_left = left <= 0 ? 0
                      : model_steps_ > 0
                          ? seconds / model_steps_ * left
                          : std::numeric_limits<double>::infinity();
  return view;
}

std::string Progress::Best(const Trainer& trainer) const {
  const Experiment& experiment = trainer.experiment();
  const int best = Ranking(experiment, trainer.state())[0];
  const ModelRecord& record = trainer.state().models[best];
  if (record.best_epoch == 0 || !experiment.has_validation()) return "";
  const std::string score =
      experiment.has_classes()
          ? FormatPercent(Accuracy(record.best_validation,
                                   experiment.counted_validation(best)))
          : absl::StrFormat("%.3g", record.best_validation.loss);
  return absl::StrCat("#", experiment.population.models[best].id, " ", score);
}

void Progress::ShowFrozen(const Trainer& trainer) {
  for (int model : trainer.last_step().frozen) {
    const ModelRecord& record = trainer.state().models[model];
    if (!record.frozen() || record.frozen_by != EventKind::kFreeze) continue;
    if (frozen_shown_ > kMaxFrozenLines) return;
    const std::string clear = line_open_ ? "\r\x1b[K" : "";
    if (frozen_shown_++ == kMaxFrozenLines) {
      write_(clear + "further models are frozen; the end names them all\n");
      return;
    }
    write_(absl::StrCat(
        clear,
        Styled(absl::StrCat(DescribeModel(trainer.experiment(), model), ": ",
                            StatusOf(record)),
               "33", terminal_.colors),
        "\n"));
  }
}

}  // namespace modelbatch
