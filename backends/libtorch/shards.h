// Which models are stacked together. A shard is a set of models with equal
// shapes: their parameters are the rows of one tensor and an operation runs for
// all of them at once. Models of different shapes are in different shards. On a
// CPU a large set is cut into as many shards as threads can use: a shard on one
// thread needs no synchronisation between its operations.
#ifndef BACKENDS_LIBTORCH_SHARDS_H_
#define BACKENDS_LIBTORCH_SHARDS_H_

#include <vector>

#include "backends/grouped/plan.h"

namespace modelbatch::libtorch {

// Indices into Plan::models.
using Shard = std::vector<int>;

// Whether one stacked operation can run both: equal shapes, and equal numbers
// where an operation takes one for all (layer_norm's eps).
bool CanStack(const grouped::ModelPlan& a, const grouped::ModelPlan& b);

// All models of `plan`, each in one shard, the shard with the most work first.
// `pieces`: over how many the work should spread, at least 1; sets of equal
// models are cut no further than that needs.
std::vector<Shard> MakeShards(const grouped::Plan& plan, int pieces);

}  // namespace modelbatch::libtorch

#endif  // BACKENDS_LIBTORCH_SHARDS_H_
