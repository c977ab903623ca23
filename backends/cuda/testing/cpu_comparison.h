// The promise that in fp32 the cuda backend has the bits of the cpu backend,
// put to the test: random populations go through random calls on both, and
// everything that comes out is compared. On the emulator (cpu_bits_test.cc) or
// on a device (device_bits_test.cc).
#ifndef BACKENDS_CUDA_TESTING_CPU_COMPARISON_H_
#define BACKENDS_CUDA_TESTING_CPU_COMPARISON_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/cuda_backend.h"
#include "backends/cuda/testing/random_population.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/model/layout.h"

namespace modelbatch::cuda::testing {

// Of one population. What differs fails the test that uses it.
class CpuComparison {
 public:
  CpuComparison(uint64_t seed, GpuFactory open);
  // With any backend that promises the bits of cpu.
  CpuComparison(uint64_t seed, std::unique_ptr<Backend> other);
  // Of any two backends that promise each other's bits in `precision`.
  CpuComparison(uint64_t seed, std::unique_ptr<Backend> one,
                std::unique_ptr<Backend> other, const std::string& precision);

  // Before Compile: more often than not, steps are such as update weights in
  // the epilogue of their gradient (schedule/epilogue_updates.h); now and then
  // there are operands that are too large for it.
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

}  // namespace modelbatch::cuda::testing

#endif  // BACKENDS_CUDA_TESTING_CPU_COMPARISON_H_
