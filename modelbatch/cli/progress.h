// Shows a run's progress on standard error: one live line on a terminal, else a
// plain line now and then.
//
//   epoch 12/30 [########------------]  41 %  loss 0.021..2.3  best #17 97.8 %
//   1.9M rows/s  ETA 0:02
#ifndef MODELBATCH_CLI_PROGRESS_H_
#define MODELBATCH_CLI_PROGRESS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "modelbatch/cli/terminal.h"
#include "modelbatch/train/run_training.h"

namespace modelbatch {

// What one line says.
struct ProgressView {
  int64_t epoch = 0;  // counted from 1
  int64_t epochs = 0;
  double done = 0;  // of the whole run, from 0 to 1
  double min_loss = 0;
  double max_loss = 0;
  std::string best;  // "#17 97.8 %"; empty: none yet
  double rows_per_second = 0;
  double seconds_left = 0;
};

// At most `width` columns: the bar shrinks, then the end is cut.
std::string FormatProgress(const ProgressView& view, int width, bool unicode);

class Progress : public TrainObserver {
 public:
  // `now` in seconds; both for tests.
  Progress(Terminal terminal, std::function<void(const std::string&)> write,
           std::function<double()> now);
  // On standard error.
  static Progress OnStandardError();

  void OnWave(int begin, int end, int models) override;
  void OnStart(const Trainer& trainer) override;
  void OnStep(const Trainer& trainer) override;

  // Ends the live line.
  void Finish();

 private:
  ProgressView View(const Trainer& trainer) const;
  void Show(const Trainer& trainer);
  void ShowFrozen(const Trainer& trainer);
  std::string Best(const Trainer& trainer) const;

  Terminal terminal_;
  std::function<void(const std::string&)> write_;
  std::function<double()> now_;
  bool line_open_ = false;
  double start_ = 0;
  double shown_ = 0;
  int64_t first_step_ = 0;  // done before this process
  int64_t model_rows_ = 0;
  int frozen_shown_ = 0;
  std::string best_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_PROGRESS_H_
