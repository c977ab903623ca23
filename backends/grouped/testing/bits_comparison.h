// The promise that two backends have the same bits, as cpu and cuda in fp32,
// put to the test: random populations go through random calls on both, and
// everything that comes out is compared.
#ifndef BACKENDS_GROUPED_TESTING_BITS_COMPARISON_H_
#define BACKENDS_GROUPED_TESTING_BITS_COMPARISON_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/grouped/testing/random_population.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/layout.h"

namespace modelbatch::grouped::testing {

// Of one population. What differs fails the test that uses it.
class BitsComparison {
 public:
  // With cpu.
  BitsComparison(uint64_t seed, std::unique_ptr<Backend> other);
  // In any precision.
  BitsComparison(uint64_t seed, std::unique_ptr<Backend> one,
                 std::unique_ptr<Backend> other, const std::string& precision);

  // Before Compile: more often than not, steps are such as update weights in
  // the epilogue of their gradient (backends/cuda/schedule/epilogue_updates.h);
  // now and then there are operands that are too large for it.
  void PreferEpilogueUpdates() { prefers_epilogue_updates_ = true; }

  // Whether it compiles, on which both sides agree. Writes weights to both.
  bool Compile();
  // A step, an evaluation, a backward pass, ...; compares what it returns.
  void CallAnything();
  // Compares the state of every model.
  void Compare();

  // What to look for when it fails.
  std::string ToString() const;
  // Steps that models have made.
  int stepped() const { return stepped_; }

 private:
  struct Side {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<Dataset> dataset;
    std::unique_ptr<Session> session;
  };

  absl::Span<const uint8_t> AnyActive();
  std::vector<Column> AnyColumns();
  void MakeSomeFeaturesLarge();
  void Steps();
  void StepsInOneCall();
  void Tune();
  void Evaluate();
  void Forward();
  void Backward();
  void Update();

  RandomPopulation population_;
  Random random_;
  Side sides_[2];  // cpu, the other
  bool prefers_epilogue_updates_ = false;
  std::vector<Layout> layouts_;
  std::string optimizer_, calls_, message_;
  std::vector<uint8_t> active_;
  int stepped_ = 0;
};

}  // namespace modelbatch::grouped::testing

#endif  // BACKENDS_GROUPED_TESTING_BITS_COMPARISON_H_
