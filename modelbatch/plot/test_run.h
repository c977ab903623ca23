// A run for tests, from the text of its files.
#ifndef MODELBATCH_PLOT_TEST_RUN_H_
#define MODELBATCH_PLOT_TEST_RUN_H_

#include <string>

#include "modelbatch/train/run_record.h"

namespace modelbatch {

// Its config sweeps optimizer.lr on a logarithmic scale and the width
// model.layers[0].out_features over a range that is even. It selects by
// validation_accuracy. A test fails where a text is none.
RunRecord TestRun(const std::string& results_csv,
                  const std::string& curves_csv =
                      "epoch,model,train_loss,validation_accuracy\n");

}  // namespace modelbatch

#endif  // MODELBATCH_PLOT_TEST_RUN_H_
