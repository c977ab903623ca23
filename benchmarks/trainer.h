// One way to train some models of a workload, or any other work that is timed
// in steps.
#ifndef BENCHMARKS_TRAINER_H_
#define BENCHMARKS_TRAINER_H_

namespace modelbatch::benchmarks {

// Failures end the program: there is nothing to measure then.
class Trainer {
 public:
  virtual ~Trainer() = default;
  virtual void Reset() = 0;         // to the initial weights
  virtual void Run(int steps) = 0;  // returns when all is computed
  // All parameters, model by model, in the order of the layouts.
  virtual void CopyWeights(float* out) = 0;
};

}  // namespace modelbatch::benchmarks

#endif  // BENCHMARKS_TRAINER_H_
