// Trains many independent neural networks at once: everything a program needs.
//
//   auto backend = modelbatch::CreateBackend("cpu");
//   auto batch = modelbatch::ModelBatch::Create(backend->get(), models,
//                                               {"cross_entropy", {}}, 64);
//   auto adam = modelbatch::OptimizerFactory("adam").CreateOptimizer(
//       batch->get(), configs);
//   (*batch)->TrainStep(**dataset, {rows, {}}, *adam);
//
// examples/quickstart is a whole program.
#ifndef MODELBATCH_MODELBATCH_H_
#define MODELBATCH_MODELBATCH_H_

#include "modelbatch/backend/backend.h"            // IWYU pragma: export
#include "modelbatch/backend/tune_report.h"        // IWYU pragma: export
#include "modelbatch/batch/evaluate.h"             // IWYU pragma: export
#include "modelbatch/batch/memory_usage.h"         // IWYU pragma: export
#include "modelbatch/batch/model_batch.h"          // IWYU pragma: export
#include "modelbatch/batch/train_one_epoch.h"      // IWYU pragma: export
#include "modelbatch/ensemble/ensemble.h"          // IWYU pragma: export
#include "modelbatch/loggers/csv.h"                // IWYU pragma: export
#include "modelbatch/loggers/json_lines.h"         // IWYU pragma: export
#include "modelbatch/loggers/metrics_logger.h"     // IWYU pragma: export
#include "modelbatch/loggers/tensorboard.h"        // IWYU pragma: export
#include "modelbatch/loss/compute_loss.h"          // IWYU pragma: export
#include "modelbatch/loss/loss.h"                  // IWYU pragma: export
#include "modelbatch/metrics/classification.h"     // IWYU pragma: export
#include "modelbatch/metrics/regression.h"         // IWYU pragma: export
#include "modelbatch/model/initialize.h"           // IWYU pragma: export
#include "modelbatch/model/layout.h"               // IWYU pragma: export
#include "modelbatch/model/model_spec.h"           // IWYU pragma: export
#include "modelbatch/optim/lr_lambda.h"            // IWYU pragma: export
#include "modelbatch/optim/lr_scheduler.h"         // IWYU pragma: export
#include "modelbatch/optim/optimizer.h"            // IWYU pragma: export
#include "modelbatch/optim/optimizer_configs.h"    // IWYU pragma: export
#include "modelbatch/optim/optimizer_factory.h"    // IWYU pragma: export
#include "modelbatch/plugin/plugin.h"              // IWYU pragma: export
#include "modelbatch/routing/data_router.h"        // IWYU pragma: export
#include "modelbatch/routing/k_folds.h"            // IWYU pragma: export
#include "modelbatch/routing/per_model_batches.h"  // IWYU pragma: export
#include "modelbatch/routing/random_masks.h"       // IWYU pragma: export
#include "modelbatch/routing/stratified_router.h"  // IWYU pragma: export
#include "modelbatch/tensor/tensor.h"              // IWYU pragma: export
#include "modelbatch/util/philox.h"                // IWYU pragma: export

#endif  // MODELBATCH_MODELBATCH_H_
