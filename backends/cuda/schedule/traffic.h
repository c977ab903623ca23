// The bytes that the launches of a training step read and write, counted from
// the schedule: what a benchmark divides by the time that a step took.
//
//   const Traffic traffic = CountTraffic(plan, schedule, rows, kAdamTraffic);
//   const double share = traffic.total() / seconds / copy_bytes_per_second;
//
// Each launch counts each matrix that it reads or writes once, however often
// its blocks do, and rows of the dataset that several models see once for all
// of them. Nothing is taken to stay in a cache from one launch to the next, so
// that a step whose matrices do may move fewer.
#ifndef BACKENDS_CUDA_SCHEDULE_TRAFFIC_H_
#define BACKENDS_CUDA_SCHEDULE_TRAFFIC_H_

#include "backends/cuda/schedule/schedule.h"
#include "backends/grouped/plan.h"
#include "modelbatch/backend/backend.h"

namespace modelbatch::cuda {

// In bytes.
struct Traffic {
  double weights = 0;      // parameters that are read on the way to gradients
  double activations = 0;  // values, their gradients, statistics of norms
  double gradients = 0;    // of parameters, written by what computes them
  double update = 0;       // gradients, parameters, states
  double data = 0;         // rows and targets of the dataset
  double tables = 0;       // indices of rows, problems, tiles

  double total() const {
    return weights + activations + gradients + update + data + tables;
  }
};

// What a step does with its gradients.
struct UpdateTraffic {
  int states = 0;  // of the optimizer, a parameter
  // Layers that the schedule updates in epilogues are: as SGD, Adam and AdamW
  // do without clipping or gradients that are kept.
  bool in_epilogues = false;
};
inline constexpr UpdateTraffic kAdamTraffic = {2, true};

// Of a step of all models on these rows, without clipping.
Traffic CountTraffic(const grouped::Plan& plan, const Schedule& schedule,
                     const RowSet& rows, const UpdateTraffic& update);

}  // namespace modelbatch::cuda

#endif  // BACKENDS_CUDA_SCHEDULE_TRAFFIC_H_
