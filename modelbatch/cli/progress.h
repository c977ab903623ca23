// Shows a run's progress on standard error: one live line on a terminal, else a
// plain line now and then.
//
//   epoch 12/30 [########------------]  41 %  loss 0.021..2.3  best #17 97.8 %
//   1.9M rows/s  ETA 0:02
//
// In waves (train.models_at_once) the line begins with the models that are
// trained now, whose the epoch, losses and best model are; percent and time
// are those of all models.
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
  std::string wave;   // "models 3-5/8"; empty: all
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
  // The models that are trained now; all of a run without waves are one.
  struct Wave {
    int begin = 0;
    int end = 1;
    int models = 1;
    int size() const { return end - begin; }
    bool is_last() const { return end == models; }
  };

  ProgressView View(const Trainer& trainer) const;
  void Show(const Trainer& trainer);
  void ShowFrozen(const Trainer& trainer);
  std::string Best(const Trainer& trainer) const;

  Terminal terminal_;
  std::function<void(const std::string&)> write_;
  std::function<double()> now_;
  bool line_open_ = false;
  Wave wave_;
  double start_ = -1;  // of this process; below 0: not yet
  double shown_ = 0;
  int64_t step_ = 0;        // that the wave is at
  double model_steps_ = 0;  // made by this process, over all waves
  int64_t model_rows_ = 0;  // in them
  int frozen_shown_ = 0;
  std::string best_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_CLI_PROGRESS_H_
